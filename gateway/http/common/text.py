"""What of an answer's text a client may see while it grows. Pure."""

from typing import Final

from aios.api.inference.v1 import inference_pb2 as pb

MARK: Final = "<tool_call>"
"""How a model begins a call that it writes as text."""
CALLS: Final = '{"tool_calls'
"""How an output begins, white space left out, that is calls where it might have been an answer in a form."""
_SPACE: Final = 256
"""Longest white space that is held back."""


class ShownText:
    """Cuts the calls out of a text that comes in pieces: clients get them apart, whole, at its end.

    With tools on offer, text is shown up to the first call, without the white space before it, which belongs
    to the call. Where the answer has a form beside the tools, the text is either calls or such an answer: it
    is held back until its beginning tells which, and calls are not shown. Where a call is required the text
    is the call, so nothing is shown. What turns out to be text after all comes with `rest`.
    """

    def __init__(self, *, tools: bool = False, required: bool = False, form: bool = False) -> None:
        self._tools = tools
        self._form = tools and form
        self._closed = required
        self._held = ""
        self._shown: list[str] = []

    @classmethod
    def of(cls, request: pb.GenerateRequest) -> "ShownText":
        """Make the one for the answer of a request."""
        return cls(
            tools=bool(request.tools),
            required=request.tool_choice == pb.TOOL_CHOICE_REQUIRED,
            form=request.HasField("constraint"),
        )

    def more(self, text: str) -> str:
        """Take a piece; return what may be shown now."""
        if self._closed:
            return ""
        if not self._tools:
            return self._show(text)
        if self._form:
            return self._either(text)
        held = self._held + text
        at = held.find(MARK)
        if at >= 0:
            self._closed, self._held = True, ""
            return self._show(held[:at].rstrip())
        clear = len(held) - _beginning(held)
        spaces = clear - len(held[:clear].rstrip())
        cut = clear - min(spaces, _SPACE)
        self._held = held[cut:]
        return self._show(held[:cut])

    def rest(self, content: str) -> str:
        """Return what is left to show of the answer's whole text, as its end tells it."""
        shown = "".join(self._shown)
        for seen in (shown, shown.lstrip()):
            if content.startswith(seen):
                return self._show(content[len(seen) :])
        return ""

    def _either(self, text: str) -> str:
        """Hold the beginning back until it tells calls from an answer, which is shown from then on."""
        held = self._held + text
        solid = "".join(held.split())
        if solid.startswith(CALLS):
            self._closed, self._held = True, ""
            return ""
        if CALLS.startswith(solid) and len(held) <= _SPACE:
            self._held = held
            return ""
        self._tools, self._held = False, ""  # calls within it are a part of the answer
        return self._show(held)

    def _show(self, text: str) -> str:
        if text:
            self._shown.append(text)
        return text


def _beginning(text: str) -> int:
    """Length of the longest beginning of the mark that the text ends with."""
    return next((n for n in range(min(len(MARK) - 1, len(text)), 0, -1) if text.endswith(MARK[:n])), 0)
