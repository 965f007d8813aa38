"""What of an answer's text a client may see while it grows. Pure."""

from typing import Final

MARK: Final = "<tool_call>"
"""How a model begins a call that it writes as text."""
_SPACE: Final = 256
"""Longest white space that is held back."""


class ShownText:
    """Cuts the calls out of a text that comes in pieces: clients get them apart, whole, at its end.

    With tools on offer, text is shown up to the first call, without the white space before it, which belongs
    to the call. Where a call is required the text is the call, so nothing is shown. What turns out to be
    text after all comes with `rest`.
    """

    def __init__(self, *, tools: bool = False, required: bool = False) -> None:
        self._tools = tools
        self._closed = required
        self._held = ""
        self._shown: list[str] = []

    def more(self, text: str) -> str:
        """Take a piece; return what may be shown now."""
        if self._closed:
            return ""
        if not self._tools:
            return self._show(text)
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

    def _show(self, text: str) -> str:
        if text:
            self._shown.append(text)
        return text


def _beginning(text: str) -> int:
    """Length of the longest beginning of the mark that the text ends with."""
    return next((n for n in range(min(len(MARK) - 1, len(text)), 0, -1) if text.endswith(MARK[:n])), 0)
