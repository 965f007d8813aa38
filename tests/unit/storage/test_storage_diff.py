"""The unified diff: applying it to the old text gives the new one."""

import difflib
import re

from hypothesis import given
from hypothesis import strategies as st

from services.storage.core import diff
from services.storage.core.diff import changes, lines, unified

TEXTS = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "x\r\n", "\n", "end"]), max_size=12).map("".join)


def apply(patch: str, old: str) -> str:
    """Apply a unified diff as patch(1) does."""
    before, result, at = lines(old), "", 0
    rows = lines(patch)[2:]
    for number, row in enumerate(rows):
        header = re.match(r"@@ -(\d+)(?:,(\d+))? \+", row)
        if header:
            start = int(header[1]) - (0 if header[2] == "0" else 1)
            result += "".join(before[at:start])
            at = start
            continue
        if row.startswith("\\"):
            continue
        bare = row[1:]
        if number + 1 < len(rows) and rows[number + 1].startswith("\\"):
            bare = bare.removesuffix("\n")
        if row[0] in " -":
            assert before[at] == bare
            at += 1
        if row[0] in " +":
            result += bare
    return result + "".join(before[at:])


@given(TEXTS, TEXTS, st.integers(0, 4))
def test_applying_the_diff_gives_the_new_text(old: str, new: str, context: int) -> None:
    found = unified(old, new, old_name="a", new_name="b", context=context)

    assert (found.text == "") == (old == new)
    if found.text:
        assert apply(found.text, old) == new


@given(TEXTS, TEXTS)
def test_the_diff_is_as_short_as_the_best_of_the_standard_library(old: str, new: str) -> None:
    before, after = lines(old), lines(new)
    found = changes(before, after)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    theirs = sum((i2 - i1) + (j2 - j1) for tag, i1, i2, j1, j2 in matcher.get_opcodes() if tag != "equal")

    assert sum((h.old_to - h.old_from) + (h.new_to - h.new_from) for h in found) <= theirs


def test_texts_with_nothing_in_common_take_bounded_time() -> None:
    old = "".join(f"{i}\n" for i in range(5000))
    new = "".join(f"x{i}\n" for i in range(5000))
    found = unified(old, new, old_name="a", new_name="b")

    assert (found.added, found.removed) == (5000, 5000)
    assert diff.MAX_EDITS < 10_000


def test_a_missing_line_feed_at_the_end_is_said() -> None:
    found = unified("a", "a\n", old_name="a", new_name="b")

    assert found.text.splitlines()[3:] == ["-a", "\\ No newline at end of file", "+a"]
