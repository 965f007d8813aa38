"""What is kept of a call's arguments: their beginning, without the values of secrets. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from services.tool.core.redaction import Redactor
from services.tool.model import ToolCall


def with_arguments(call: ToolCall, arguments_json: str, most: int, redactors: Iterable[Redactor]) -> ToolCall:
    """Return a call with its canonical arguments, at most `most` bytes of them; 0: with none.

    Canonical JSON is ASCII, so its characters are its bytes.
    """
    if not most:
        return call
    text, known = arguments_json, list(redactors)
    # A value that the cut would go through must be found whole: more than is kept is searched.
    head = text[: most + max((each.longest for each in known), default=0)]
    cut = len(head) < len(text)
    for each in known:
        head = each.text(head, cut=cut)
    return replace(
        call, arguments=head[:most], arguments_bytes=len(text), arguments_cut=cut or len(head) > most
    )
