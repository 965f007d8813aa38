"""Which leading parts of a prompt other calls may share, and how many tokens each has. Pure.

Backends keep the prompts they have read, and a call that begins with one of them is cheap where it was read.
So the scheduler is told a chain of keys: the tools with the system prompt, then the conversation up to some
of its messages. The next step of an agent, and a fork of its context, begin with one of those.

A key is a digest over everything before its end, the tenant first: equal keys mean equal beginnings within
one tenant, and calls of different tenants never have a key in common, so that nobody learns from a cache
what another tenant sends. A digest is not reversible, but a short prompt can be guessed: keys go to the
scheduler alone.

A caller may also name calls that are likely to share a beginning, by an affinity key. That is no knowledge of
their prompts, so its part has no tokens: nothing is taken for cached or for shared because of it.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from gateway.inference.core.prompt_plan import form_beside_tools, shown_tools
from gateway.inference.model import GenerationSpec, Prompt
from services.chassis.chat import ChatMessage, Role, ToolDefinition
from services.chassis.dispatch.scheduling import Prefix

NEWEST: Final = 5
"""Last messages that each end a part: a step adds an answer and results of its tools."""
OLDER: Final = 2
"""Further parts: after the first 2^k messages, for the largest k. Forks go back to somewhere."""
MOST: Final = 1 + OLDER + NEWEST
"""Parts of one prompt at most, the affinity left out."""

SHORTEST_TEXT: Final = 512
"""Characters of the first part of a raw prompt; each further part is twice as long as the one before."""
MESSAGE_BYTES: Final = 16
"""What a chat template adds to a message, about."""
KEY_DIGITS: Final = 32


def of(tenant: str, spec: GenerationSpec, prompt: Prompt) -> tuple[Prefix, ...]:
    """Return the parts of what is asked for, as `prompt` puts it; the affinity, if any, first."""
    if not spec.messages:
        parts = of_text(tenant, prompt)
    else:
        parts = of_chat(tenant, spec.messages, shown_tools(spec), prompt, form_beside_tools(spec))
    return (affinity(tenant, spec.affinity_key), *parts) if spec.affinity_key else parts


def affinity(tenant: str, key: str) -> Prefix:
    """Return the part that stands for an affinity key."""
    return Prefix(_Chain("affinity", tenant, key).key(), 0)


def of_chat(
    tenant: str,
    messages: Sequence[ChatMessage],
    tools: Sequence[ToolDefinition],
    prompt: Prompt,
    form: str = "",
) -> tuple[Prefix, ...]:
    """Return the parts of a chat, short to long, the whole prompt last.

    `form`: the schema of an answer beside tools, which the model is shown with them.
    """
    ends = _ends(messages, has_tools=bool(tools))
    keys: list[str] = []
    sizes: list[int] = []
    digest = _Chain("chat", tenant)
    for tool in tools:
        digest.add(tool.name, tool.description, tool.parameters_schema)
    if form:
        digest.add("form", form)
    for count in range(len(messages) + 1):
        if count:
            digest.add(*_fields(messages[count - 1]))
            digest.size += MESSAGE_BYTES
        if count in ends:
            keys.append(digest.key())
            sizes.append(digest.size)
    # The tools may have become a message in front of all others.
    before = len(prompt.marks) - len(messages)
    marks = [_mark(prompt, end + before - 1) for end in sorted(ends)]
    return _measured(keys, sizes, marks, prompt.token_count)


def of_text(tenant: str, prompt: Prompt) -> tuple[Prefix, ...]:
    """Return the parts of a raw prompt, short to long, the whole prompt last."""
    ends = text_ends(len(prompt.text))
    digest = _Chain("text", tenant)
    keys: list[str] = []
    sizes: list[int] = []
    for start, end in zip((0, *ends), (*ends, len(prompt.text)), strict=False):
        digest.feed(prompt.text[start:end])
        keys.append(digest.key())
        sizes.append(digest.size)
    marks = [_mark(prompt, at) for at in range(len(keys))]
    return _measured(keys, sizes, marks, prompt.token_count)


def text_ends(length: int) -> tuple[int, ...]:
    """Return where the parts of a raw prompt of so many characters end, the whole prompt left out.

    Where one ends depends on its own length alone, so that a longer prompt has the same parts.
    """
    ends: list[int] = []
    end = SHORTEST_TEXT
    while end < length:
        ends.append(end)
        end *= 2
    return tuple(ends[-(MOST - 1) :])


def message_ends(text: str, contents: Iterable[str]) -> Iterator[int]:
    """Return for each message of a chat where its content ends in the rendered text; -1: not found."""
    at = 0
    for content in contents:
        wanted = content.strip()  # as most templates do
        found = text.find(wanted, at)
        if found >= 0:
            at = found + len(wanted)
        yield at if found >= 0 else -1


def token_marks(stops: Sequence[int], ends: Iterable[int]) -> tuple[int, ...]:
    """Return how many tokens lie before each character position; 0 where that is unknown.

    `stops`: per token of the prompt, behind which character it ends.
    """
    return tuple(bisect_right(stops, end) if end >= 0 else 0 for end in ends)


class _Chain:
    """A running digest; every field is framed by its length, so that no two sequences look alike."""

    __slots__ = ("_digest", "size")

    def __init__(self, *scope: str) -> None:
        self._digest = hashlib.sha256(_framed(scope))
        self.size = 0

    def add(self, *fields: str) -> None:
        self._feed(_framed(fields))

    def feed(self, text: str) -> None:
        """Go on with one unframed field, however it is cut."""
        self._feed(text.encode(errors="surrogatepass"))

    def key(self) -> str:
        return self._digest.hexdigest()[:KEY_DIGITS]

    def _feed(self, data: bytes) -> None:
        self._digest.update(data)
        self.size += len(data)


def _framed(fields: Sequence[str]) -> bytes:
    lengths = ",".join([str(len(field)) for field in fields])
    return "".join((lengths, ";", *fields)).encode(errors="surrogatepass")


def _fields(message: ChatMessage) -> tuple[str, ...]:
    fixed = (message.role.value, message.content, message.name, message.tool_call_id)
    if not message.tool_calls:
        return fixed
    return (
        *fixed,
        *(part for call in message.tool_calls for part in (call.id, call.name, call.arguments)),
    )


def _ends(messages: Sequence[ChatMessage], *, has_tools: bool) -> set[int]:
    """Choose behind how many messages a part ends."""
    total = len(messages)
    head = next((at for at, each in enumerate(messages) if each.role is not Role.SYSTEM), total)
    oldest = max(head, total - NEWEST)
    older = [count for count in _powers(oldest) if count > head][-OLDER:]
    newest = range(oldest + 1, total + 1)
    return {*older, *newest, *([head] if head or has_tools else [])}


def _powers(below: int) -> Iterator[int]:
    count = 1
    while count <= below:
        yield count
        count *= 2


def _mark(prompt: Prompt, at: int) -> int:
    return prompt.marks[at] if 0 <= at < len(prompt.marks) else 0


def _measured(
    keys: Sequence[str], sizes: Sequence[int], marks: Sequence[int], total: int
) -> tuple[Prefix, ...]:
    """Give each part its length, and the last one that of the prompt."""
    found: list[Prefix] = []
    covered = 0
    for key, size, mark in zip(keys, sizes, marks, strict=True):
        tokens = mark or (size * total // sizes[-1] if sizes[-1] else 0)
        covered = max(covered, min(tokens, total))
        found.append(Prefix(key, covered))
    if found:
        found[-1] = Prefix(found[-1].key, total)
    return tuple(each for each in found if each.tokens)
