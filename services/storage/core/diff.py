"""Unified diff of two texts in bounded time.

Shortest edit script by the greedy algorithm of E. Myers, "An O(ND) Difference Algorithm and Its Variations",
Algorithmica 1 (1986), on what is left between the common beginning and end. Texts that differ in more than
MAX_EDITS lines are not compared further: their differing middle is shown as replaced.
"""

from collections.abc import Sequence
from dataclasses import dataclass

MAX_EDITS = 1000
"""Edit distance up to which the diff is minimal. Time and space grow with its square."""

_NO_NEWLINE = "\n\\ No newline at end of file\n"


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines [old_from, old_to) of the old text became lines [new_from, new_to) of the new one."""

    old_from: int
    old_to: int
    new_from: int
    new_to: int


@dataclass(frozen=True, slots=True)
class Diff:
    """A unified diff and its size in lines."""

    text: str
    added: int
    removed: int


def unified(old: str, new: str, *, old_name: str, new_name: str, context: int = 3) -> Diff:
    """Compare two texts line by line; a line ends with a line feed only. Equal texts give an empty diff."""
    before, after = lines(old), lines(new)
    hunks = changes(before, after)
    if not hunks:
        return Diff("", 0, 0)
    parts = [f"--- {old_name}\n", f"+++ {new_name}\n"]
    parts += [_render(group, before, after, context) for group in _group(hunks, context)]
    return Diff(
        "".join(parts),
        added=sum(hunk.new_to - hunk.new_from for hunk in hunks),
        removed=sum(hunk.old_to - hunk.old_from for hunk in hunks),
    )


def lines(text: str) -> list[str]:
    """Split at line feeds and keep them."""
    parts = text.split("\n")
    return [part + "\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def changes(before: Sequence[str], after: Sequence[str]) -> list[Hunk]:
    """List what changed, in order; neighbouring hunks do not touch."""
    head = 0
    while head < len(before) and head < len(after) and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < min(len(before), len(after)) - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    if not old and not new:
        return []
    trace = _search(old, new) if old and new else None
    found = [Hunk(0, len(old), 0, len(new))] if trace is None else _hunks(trace, len(old), len(new))
    return [Hunk(h.old_from + head, h.old_to + head, h.new_from + head, h.new_to + head) for h in found]


def _search(old: Sequence[str], new: Sequence[str]) -> list[dict[int, int]] | None:
    """Return the furthest x on each diagonal before each step, or None beyond MAX_EDITS."""
    furthest = {1: 0}
    trace: list[dict[int, int]] = []
    for edits in range(min(len(old) + len(new), MAX_EDITS) + 1):
        trace.append(dict(furthest))
        for diagonal in range(-edits, edits + 1, 2):
            x = _step(furthest, diagonal, edits)
            y = x - diagonal
            while x < len(old) and y < len(new) and old[x] == new[y]:
                x, y = x + 1, y + 1
            furthest[diagonal] = x
            if x >= len(old) and y >= len(new):
                return trace
    return None


def _step(furthest: dict[int, int], diagonal: int, edits: int) -> int:
    """Take the better of one insertion and one deletion onto a diagonal."""
    if diagonal == -edits or (diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1]):
        return furthest[diagonal + 1]
    return furthest[diagonal - 1] + 1


def _hunks(trace: list[dict[int, int]], x: int, y: int) -> list[Hunk]:
    """Walk a trace back from the end (x, y) and join touching edits."""
    hunks: list[Hunk] = []
    for edits in range(len(trace) - 1, 0, -1):
        furthest, diagonal = trace[edits], x - y
        insertion = diagonal == -edits or (
            diagonal != edits and furthest[diagonal - 1] < furthest[diagonal + 1]
        )
        before = diagonal + 1 if insertion else diagonal - 1
        x = furthest[before]
        y = x - before
        edit = Hunk(x, x if insertion else x + 1, y, y + 1 if insertion else y)
        if hunks and (hunks[-1].old_from, hunks[-1].new_from) == (edit.old_to, edit.new_to):
            edit = Hunk(edit.old_from, hunks[-1].old_to, edit.new_from, hunks[-1].new_to)
            hunks.pop()
        hunks.append(edit)
    return hunks[::-1]


def _group(hunks: Sequence[Hunk], context: int) -> list[list[Hunk]]:
    """Put hunks together whose context would overlap."""
    groups: list[list[Hunk]] = []
    for hunk in hunks:
        if groups and hunk.old_from - groups[-1][-1].old_to <= 2 * context:
            groups[-1].append(hunk)
        else:
            groups.append([hunk])
    return groups


def _render(group: Sequence[Hunk], before: Sequence[str], after: Sequence[str], context: int) -> str:
    first, last = group[0], group[-1]
    lead = min(context, first.old_from)
    trail = min(context, len(before) - last.old_to)
    old_from, old_to = first.old_from - lead, last.old_to + trail
    new_from, new_to = first.new_from - lead, last.new_to + trail
    parts = [f"@@ -{_range(old_from, old_to)} +{_range(new_from, new_to)} @@\n"]
    at = old_from
    for hunk in group:
        parts += [_line(" ", text) for text in before[at : hunk.old_from]]
        parts += [_line("-", text) for text in before[hunk.old_from : hunk.old_to]]
        parts += [_line("+", text) for text in after[hunk.new_from : hunk.new_to]]
        at = hunk.old_to
    parts += [_line(" ", text) for text in before[at:old_to]]
    return "".join(parts)


def _range(start: int, stop: int) -> str:
    """Format a range of lines as GNU diff does: counted from 1; an empty one names the line before it."""
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


def _line(mark: str, text: str) -> str:
    return mark + text if text.endswith("\n") else mark + text + _NO_NEWLINE
