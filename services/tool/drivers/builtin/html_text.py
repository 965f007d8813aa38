"""The readable text of a web page: what a person would read of it, line by line. Runs in worker processes."""

import re
from html.parser import HTMLParser
from typing import Final

_SILENT: Final = frozenset(
    {"script", "style", "template", "noscript", "svg", "iframe", "object", "canvas", "head"}
)
"""Elements of which nothing is read."""
_WORDS: Final = (
    "address article aside blockquote br caption dd div dl dt fieldset figure footer form h1 h2 h3 h4 h5 h6"
    " header hr li main nav ol option p pre section table td th title tr ul"
)
_BLOCKS: Final = frozenset(_WORDS.split())
"""Elements that begin a line."""
_UNSEEN: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
"""Characters that no reader of the page sees."""
_VOID: Final = frozenset({"br", "hr", "img", "input", "meta", "link", "wbr", "source", "area", "base", "col"})


class _Reader(HTMLParser):
    """Collects text outside of silent elements."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.title: list[str] = []
        self._silent: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        del attrs
        if tag == "title":
            self._in_title = True
        elif tag == "body":
            self._silent.clear()  # whatever its head left open
        elif tag in _SILENT:
            self._silent.append(tag)
        if tag in _BLOCKS:
            self.pieces.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element that is closed at once, which is true of void ones only."""
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """End an element."""
        if tag == "title":
            self._in_title = False
        elif tag in self._silent:
            del self._silent[self._silent.index(tag) :]
        if tag in _BLOCKS:
            self.pieces.append("\n")

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        """Pass over `<![...>` as browsers do; the library raises for what it does not know there."""
        del report
        return int(self.parse_bogus_comment(i))

    def handle_data(self, data: str) -> None:
        """Take text."""
        if self._in_title:
            self.title.append(data)
        elif not self._silent:
            self.pieces.append(data)


def _closed(page: str) -> str:
    """Return a page without markup that nothing closes: the parser looks to the end for each piece.

    A comment that is not closed hides the rest, as in a browser; the signs of a tag that is not closed go.
    """
    comment = page.find("<!--", page.rfind("-->") + 1)
    page = page if comment < 0 else page[:comment]
    head, end, tail = page.rpartition(">")
    return f"{head}{end}{tail.replace('<', ' ')}"


def readable(page: str) -> tuple[str, str]:
    """Return a page's title and its text, without markup, scripts and empty lines."""
    reader = _Reader()
    reader.feed(_closed(page))
    reader.close()
    text = _UNSEEN.sub("", "".join(reader.pieces))
    lines = (re.sub(r"[ \t\r\f\v\u00a0]+", " ", line).strip() for line in text.split("\n"))
    title = _UNSEEN.sub("", " ".join("".join(reader.title).split()))
    return title[:300], "\n".join(line for line in lines if line)
