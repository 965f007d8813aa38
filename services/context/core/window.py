"""Choosing the messages that fit a window. Pure.

System and pinned messages and the newest one always stay; a tool call stays or goes together with its
results.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from services.chassis.chat import Role
from services.context.model import DroppedRun, DropReason, Message, Strategy

DEFAULT_HEAD = 2
MOST_RESERVE = 1_024
PORTION_BYTES = 256 * 1024
PORTION_MESSAGES = 256
MOST_RUNS = 1_000
"""Runs of dropped messages that are told; the newest ones."""


@dataclass(frozen=True, slots=True)
class Item:
    """A message and what it costs."""

    message: Message
    tokens: int
    stays: bool
    """Whether it is a system or pinned message."""

    @property
    def position(self) -> int:
        """The message's place."""
        return self.message.position


@dataclass(frozen=True, slots=True)
class Group:
    """Messages that stay or go together: one message, or a tool call with its results."""

    items: tuple[Item, ...]
    stays: bool

    @property
    def tokens(self) -> int:
        """What the group costs."""
        return sum(item.tokens for item in self.items)

    @property
    def size(self) -> int:
        """Unit: bytes."""
        return sum(item.message.chat.size for item in self.items)

    @property
    def last(self) -> int:
        """Place of the last message."""
        return self.items[-1].position


@dataclass(frozen=True, slots=True)
class Room:
    """How much fits."""

    tokens: int
    bytes: int

    def less(self, groups: Iterable[Group]) -> "Room":
        """Return what is left beside some groups; negative when they do not fit."""
        taken = list(groups)
        return Room(
            self.tokens - sum(group.tokens for group in taken),
            self.bytes - sum(group.size for group in taken),
        )

    def fits(self, group: Group) -> bool:
        """Tell whether a group fits."""
        return group.tokens <= self.tokens and group.size <= self.bytes


@dataclass(frozen=True, slots=True)
class Choice:
    """Which groups are in the window."""

    kept: tuple[Group, ...]
    dropped: tuple[Group, ...]
    """Oldest first."""

    @property
    def items(self) -> list[Item]:
        """The messages in the window, in order; those made for it follow the system messages at its head.

        Results stand behind their call, also those that came after somebody else had spoken: models are not
        served in any other order.
        """
        begun = sorted(self.kept, key=lambda group: group.items[0].position)
        ordered = [item for group in begun for item in group.items]
        made = [item for item in ordered if not item.position]
        said = ordered[len(made) :]
        head = len(list(takewhile(lambda item: item.message.chat.role is Role.SYSTEM, said)))
        return [*said[:head], *made, *said[head:]]

    @property
    def tokens(self) -> int:
        """What the window costs."""
        return sum(group.tokens for group in self.kept)

    @property
    def least(self) -> bool:
        """Whether only the messages are left that a window always holds."""
        return all(group.stays for group in self.kept)


def portions(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Cut messages into portions that are counted at once."""
    some: list[Message] = []
    size = 0
    for message in messages:
        if some and (size + message.chat.size > PORTION_BYTES or len(some) == PORTION_MESSAGES):
            yield some
            some, size = [], 0
        some.append(message)
        size += message.chat.size
    if some:
        yield some


def reserve(budget: int, asked: int) -> int:
    """Return the room kept for the answer: what was asked for, or a quarter of the window up to 1024."""
    return asked or min(MOST_RESERVE, budget // 4)


def groups(items: Sequence[Item]) -> list[Group]:
    """Put tool calls and their results together, in the order of their last messages.

    The newest group stays: a window without the last thing said is of no use.
    """
    members: list[list[Item]] = []
    waiting: dict[str, int] = {}
    for item in items:
        chat = item.message.chat
        owner = waiting.pop(chat.tool_call_id, None) if chat.role is Role.TOOL else None
        if owner is not None:
            members[owner].append(item)
            continue
        members.append([item])
        waiting |= {call.id: len(members) - 1 for call in chat.tool_calls}
    ordered = sorted(members, key=lambda group: group[-1].position)
    newest = len(ordered) - 1
    return [
        Group(tuple(group), stays=index == newest or any(item.stays for item in group))
        for index, group in enumerate(ordered)
    ]


def choose(candidates: Sequence[Group], room: Room, strategy: Strategy, head_messages: int = 0) -> Choice:
    """Fit groups into the room.

    Groups that stay are kept even when they do not fit: the caller checks. HEAD_AND_TAIL keeps the groups of
    the first `head_messages` messages that may go, then the newest; every other strategy keeps the newest.
    """
    kept = {index for index, group in enumerate(candidates) if group.stays}
    left = room.less(candidates[index] for index in kept)
    free = [index for index in range(len(candidates)) if index not in kept]
    if strategy is Strategy.HEAD_AND_TAIL:
        for index in _head(candidates, free, head_messages or DEFAULT_HEAD):
            if not left.fits(candidates[index]):
                break
            kept.add(index)
            left = left.less([candidates[index]])
    for index in reversed(free):
        if index in kept:
            continue
        if not left.fits(candidates[index]):
            break
        kept.add(index)
        left = left.less([candidates[index]])
    return Choice(
        tuple(group for index, group in enumerate(candidates) if index in kept),
        tuple(group for index, group in enumerate(candidates) if index not in kept),
    )


def explain(
    choice: Choice, room: Room, candidates: Sequence[Group], summarized: frozenset[int] = frozenset()
) -> tuple[DroppedRun, ...]:
    """Tell which messages of the candidates were dropped and why, oldest first, in runs.

    SUMMARIZED: a summary in the window tells what it said. TOOL_GROUP: the message alone would have fitted,
    but its group had to go as a whole. That is said of the newest group that was dropped; older messages had
    no room in any case.
    """
    left = room.less(choice.kept)
    edge = choice.dropped[-1] if choice.dropped else None
    lone: set[int] = set()
    if edge is not None and len(edge.items) > 1:
        lone = {item.position for item in edge.items if item.tokens <= left.tokens}
    kept = {item.position for group in choice.kept for item in group.items}
    gone = (item for group in candidates for item in group.items if item.position not in kept)
    runs: list[DroppedRun] = []
    for item in sorted(gone, key=lambda item: item.position):
        reason = DropReason.NO_ROOM
        if item.position in summarized:
            reason = DropReason.SUMMARIZED
        elif item.position in lone:
            reason = DropReason.TOOL_GROUP
        previous = runs[-1] if runs else None
        if previous and previous.last == item.position - 1 and previous.reason is reason:
            runs[-1] = DroppedRun(previous.first, item.position, reason, previous.token_count + item.tokens)
        else:
            runs.append(DroppedRun(item.position, item.position, reason, item.tokens))
    return tuple(runs[-MOST_RUNS:])


def _head(candidates: Sequence[Group], free: Sequence[int], messages: int) -> list[int]:
    """Return the groups that hold the first messages that may go."""
    ordered = sorted(free, key=lambda index: candidates[index].items[0].position)
    chosen: list[int] = []
    covered = 0
    for index in ordered:
        if covered >= messages:
            break
        chosen.append(index)
        covered += len(candidates[index].items)
    return chosen
