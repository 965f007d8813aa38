"""What a person is shown of a tool that an agent wants to share. Pure."""

import difflib
import json
from dataclasses import asdict
from typing import Final

from services.chassis.rpc.errors import InvalidRequest
from services.tool.core.making import Content, Draft, SharingRequest, Version, trial_of

MAX_REQUEST_BYTES: Final = 3_500_000
"""What a person is asked, as text; access takes a little more."""
MAX_DIFF_LINES: Final = 500
"""Lines that differ, of either side, up to which a diff is worked out: the work grows with their square."""
CONTEXT: Final = 3
"""Equal lines that are shown around what differs."""


def sharing_request(draft: Draft, current: Version | None, number: int) -> SharingRequest:
    """Return what a person is asked before a draft is shared as version `number`, in the place of `current`.

    The same draft in the same place is asked for in the same words, so that a repeat finds the approval that
    is open; what was approved for another place counts for none. Raises ToolNotTested, InvalidRequest.
    """
    trial = trial_of(draft)
    about = {
        "tool": draft.tool_id,
        "sha256": draft.sha256,
        "number": number,
        "effect": draft.effect.value,
        "untrusted_author": draft.untrusted,
        "content": asdict(draft.content),
        "test": {
            "source_sha256": trial.source_sha256,
            "interpreter": trial.interpreter,
            "sandbox": trial.sandbox,
            "results": [one.result_json for one in trial.examples],
        },
        "shared_now": None if current is None else {"number": current.number, "sha256": current.sha256},
        "diff": "" if current is None else diff(current.content, draft.content),
    }
    shown = json.dumps(about, sort_keys=True, separators=(",", ":"), allow_nan=False)
    if len(shown) > MAX_REQUEST_BYTES:
        raise InvalidRequest.field("name", "the draft and its diff are more than a person can be shown")
    text = f"share {draft.tool_id} ({draft.sha256[:12]}) with every agent: {draft.content.description}"
    return SharingRequest(
        tool=draft.tool_id,
        sha256=draft.sha256,
        number=number,
        replaces=0 if current is None else current.number,
        description=text,
        shown=shown,
    )


def diff(before: Content, after: Content) -> str:
    """Return what differs, as a unified diff. Bounded work: what differs in many lines is shown whole."""
    old, new = _lines(before), _lines(after)
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    middle = old[head : len(old) - tail], new[head : len(new) - tail]
    if max(map(len, middle)) > MAX_DIFF_LINES:
        gone, come = ([f"{sign}{line}" for line in part] for sign, part in zip("-+", middle, strict=True))
        return "\n".join(["--- shared", "+++ draft", *gone, *come])
    before_it, after_it = old[max(0, head - CONTEXT) : head], old[len(old) - tail :][:CONTEXT]
    left, right = ([*before_it, *part, *after_it] for part in middle)
    return "\n".join(difflib.unified_diff(left, right, "shared", "draft", lineterm="", n=CONTEXT))


def _lines(content: Content) -> list[str]:
    parts = asdict(content)
    code = parts.pop("code")
    source = code.pop("source").split("\n")
    rest = json.dumps({**parts, "code": code}, sort_keys=True, indent=1, allow_nan=False).split("\n")
    return [*rest, "source:", *source]


def _common(one: list[str], other: list[str]) -> int:
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count
