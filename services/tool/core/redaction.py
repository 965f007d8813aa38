"""Takes the values of secrets out of what tools say. Pure.

A server may send back what it was sent: in an error, a log, a progress message, or in its result. Every value
is found as it is and in the forms that programs turn texts into: escaped for JSON, Python or HTML, quoted for
URLs, as hexadecimal digits, in base64 at each alignment, and reversed; also JSON in JSON, and base64 of JSON.
A value that is split, spaced, encrypted or otherwise encoded twice is not found: this guards against
accidents. Against malice a secret is bound to where it may go.

All forms are looked for at once, by an automaton (Aho-Corasick) that takes a time which does not depend on
their number, outside the interpreter's lock. Texts of many kilobytes are nevertheless work for a thread.
"""

import base64
import binascii
import html
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NoReturn, SupportsIndex, TypeVar
from urllib.parse import quote

from ahocorasick_rs import BytesAhoCorasick

from services.chassis.rpc.errors import (
    FieldViolation,
    KernelError,
    PreconditionViolation,
    QuotaViolation,
)
from services.tool.core.secrets import MARKER, Secret
from services.tool.model import CallError, ContentPart, Progress, ToolOutcome, UnreadableResult

E = TypeVar("E", bound=KernelError)

_ANCHOR: Final = 256
"""Bytes of a form that the automaton knows; the rest of a longer one is compared where they are found."""
_PIECE: Final = 65_536
"""Bytes that are searched at a time, which bounds how many places are found at once."""
_TRIES: Final = 64
"""Places in the end of a text at which a form might begin that are tried before the first is taken as one."""
_HEAD: Final = 4
"""Bytes of a form by which those places are looked for."""
_TELLING: Final = 4
"""Fewer bytes of a value that was cut off tell nothing."""
_PERCENT: Final = re.compile("%[0-9A-F]{2}")
_MARKER: Final = MARKER.encode()


def forms(value: str) -> frozenset[bytes]:
    """Return how a value may come back, each form once."""
    spelled = {value, unicodedata.normalize("NFC", value), unicodedata.normalize("NFD", value)}
    written = {_json(value, ascii_only=True), _json(value, ascii_only=False), quote(_bytes(value), safe="")}
    found = {_bytes(text) for one in spelled for text in _escaped(one)}
    return frozenset(found.union(*(_encoded(_bytes(one)) for one in spelled | written)))


class Redactor:
    """Takes values out of texts, bytes and JSON values. Shows nothing of them itself."""

    __slots__ = ("_anchors", "_automaton", "_forms", "_numeric", "longest", "shortest")

    def __init__(self, secrets: Iterable[Secret | str]) -> None:
        values = {one.reveal() if isinstance(one, Secret) else one for one in secrets} - {""}
        every = {form for value in values for form in forms(value)}
        anchors: dict[bytes, list[bytes]] = {}
        for form in every:
            anchors.setdefault(form[:_ANCHOR], []).append(form)
        self._forms = sorted(every)
        self._anchors = list(anchors.values())
        self._automaton = BytesAhoCorasick(list(anchors)) if anchors else None
        self.longest = max(map(len, every), default=0)
        """Bytes of the longest form."""
        self.shortest = min(map(len, every), default=0)
        """Bytes of the shortest form."""
        self._numeric = any(not form.strip(b"0123456789.+-eE") for form in every)

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return self._automaton is not None

    def __repr__(self) -> str:
        """Show that there is one."""
        return "Redactor()"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to be pickled or copied: it holds values."""
        raise TypeError("a redactor is not written down")

    def text(self, text: str, *, cut: bool = False) -> str:
        """Return a text without the values; `cut`: it was cut off, so a value may have lost its end."""
        if self._automaton is None or (len(text) * 4 < self.shortest and not cut):
            return text
        data = _bytes(text)
        clean = self.data(data, cut=cut)
        return text if clean is data else clean.decode("utf-8", "surrogatepass")

    def data(self, data: bytes, *, cut: bool = False) -> bytes:
        """Return bytes without the values; `cut`: they were cut off, so a value may have lost its end."""
        if self._automaton is None or (len(data) <= _PIECE and not cut and not self.places(data)):
            return data
        stream, step = self.stream(), max(_PIECE, 4 * self.longest)
        last = (len(data) - 1) // step * step
        pieces = [stream.feed(data[start : start + step]) for start in range(0, last, step)]
        return b"".join((*pieces, stream.finish(data[max(0, last) :], cut=cut)))

    def value(self, value: Any) -> Any:
        """Return a copy of a JSON value without the values, in names, texts and numbers alike."""
        if self._automaton is None:
            return value
        holder = [value]
        left: list[dict[Any, Any] | list[Any]] = [holder]
        while left:  # not by recursion: a tool's result may be as deep as it likes
            node = left.pop()
            places = list(node.items() if isinstance(node, dict) else enumerate(node))
            for place, item in places:
                if isinstance(item, dict | list | tuple):
                    copied = self._renamed(item) if isinstance(item, dict) else list(item)
                    left.append(copied)
                    node[place] = copied
                else:
                    node[place] = self._scalar(item)
        return holder[0]

    def stream(self) -> "RedactedStream":
        """Begin to take the values out of bytes that come in pieces."""
        return RedactedStream(self)

    def places(self, data: bytes) -> list[tuple[int, int]]:
        """Return where forms begin and end, in order; places may overlap."""
        if self._automaton is None:
            return []
        found = []
        for which, start, _ in self._automaton.find_matches_as_indexes(data, overlapping=True):
            whole = max(
                (len(form) for form in self._anchors[which] if data.startswith(form, start)), default=0
            )
            if whole:
                found.append((start, start + whole))
        return sorted(found)

    def begun(self, data: bytes) -> int:
        """Return where the first form begins that the end of the data cuts off; their length: none does."""
        first = len(data)
        for form in self._forms:
            first = min(first, _cut_off(data, form))
        return first

    def _renamed(self, node: Mapping[Any, Any]) -> dict[Any, Any]:
        """Return an object with clean names, as many as before."""
        names = [self._scalar(name) for name in node]
        taken = {name for name, clean in zip(node, names, strict=True) if name == clean}
        fresh: dict[Any, Any] = {}
        numbers: Counter[str] = Counter()
        for clean, (name, item) in zip(names, node.items(), strict=True):
            unique = clean
            while unique != name and unique in taken:
                numbers[clean] += 1
                unique = f"{clean}#{numbers[clean]}"
            taken.add(unique)
            fresh[unique] = item
        return fresh

    def _scalar(self, item: Any) -> Any:
        if isinstance(item, str):
            return self.text(item)
        if self._numeric and isinstance(item, int | float) and not isinstance(item, bool):
            return MARKER if self.places(_digits(item)) else item
        return item


class RedactedStream:
    """Takes values out of bytes that come in pieces, also where the pieces cut them.

    What may be the beginning of a value is kept back until more comes.
    """

    __slots__ = ("_covered", "_kept", "_redactor")

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._kept = b""
        self._covered = 0
        """Leading bytes of what is kept that belong to a value which is marked already."""

    def feed(self, piece: bytes) -> bytes:
        """Return what is sure to hold no value."""
        data = self._kept + piece
        return self._passed(data, self._redactor.begun(data))

    def finish(self, piece: bytes = b"", *, cut: bool = False) -> bytes:
        """Return the rest; `cut`: the end was cut off, so what may be a value's beginning is marked too."""
        data = self._kept + piece
        until = self._redactor.begun(data) if cut else len(data)
        if len(data) - until < _TELLING:
            until = len(data)
        done = self._passed(data, until)
        hidden = len(self._kept) > self._covered
        self._kept, self._covered = b"", 0
        return done + _MARKER if hidden else done

    def _passed(self, data: bytes, until: int) -> bytes:
        """Return the data up to a place, with a marker for each value that begins before it."""
        done: list[bytes] = []
        at = self._covered
        for start, end in self._redactor.places(data):
            if start >= until:
                break
            if start >= at:
                done += (data[at:start], _MARKER)
            at = max(at, end)
        if at < until:
            done.append(data[at:until])
        self._kept, self._covered = data[until:], max(0, at - until)
        return b"".join(done)


class RedactedProgress:
    """Takes values out of what one call tells of its progress; its partial output is one text in pieces."""

    __slots__ = ("_output", "_redactor")

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._output = redactor.stream()

    def told(self, progress: Progress) -> Progress:
        """Return progress without the values. What may be the beginning of one comes with the next."""
        output = self._output.feed(_bytes(progress.partial_output)) if progress.partial_output else b""
        return replace(
            progress, message=self._redactor.text(progress.message), partial_output=_decoded(output)
        )

    def rest(self) -> str:
        """Return what was kept back of the output; the call has ended."""
        return _decoded(self._output.finish())


def redacted(outcome: ToolOutcome, redactor: Redactor) -> ToolOutcome:
    """Return what a tool answered without the values. May take long: call it in a thread."""
    if not redactor:
        return outcome
    value = outcome.value
    if isinstance(value, UnreadableResult):
        value = UnreadableResult(redactor.text(value.why))
    return replace(
        outcome,
        value=redactor.value(value),
        pieces=tuple(_piece(piece, redactor) for piece in outcome.pieces),
        error=None if outcome.error is None else _call_error(outcome.error, redactor),
    )


def redacted_error(error: E, redactor: Redactor) -> E:
    """Return an error of the same kind without the values. Raise it `from None`: a cause shows them too."""
    if not redactor:
        return error
    text, clean = redactor.text, type(error).__new__(type(error))
    clean.__dict__.update(error.__dict__)  # not by its constructor: kinds of errors differ in what that takes
    clean.message = text(error.message)
    clean.args = (clean.message,)
    clean.metadata = {text(key): text(value) for key, value in error.metadata.items()}
    clean.violations = [FieldViolation(text(one.field), text(one.description)) for one in error.violations]
    if error.quota is not None:
        clean.quota = QuotaViolation(text(error.quota.subject), text(error.quota.description))
    if (state := error.precondition) is not None:
        clean.precondition = PreconditionViolation(
            text(state.kind), text(state.subject), text(state.description)
        )
    return clean


def _call_error(error: CallError, redactor: Redactor) -> CallError:
    try:
        details = json.loads(error.details_json) if error.details_json else None
    except (ValueError, RecursionError):
        details_json = redactor.text(error.details_json)
    else:
        clean = redactor.value(details)
        details_json = error.details_json if details is None else json.dumps(clean, ensure_ascii=False)
    return replace(error, message=redactor.text(error.message), details_json=details_json)


def _piece(piece: ContentPart, redactor: Redactor) -> ContentPart:
    try:
        data = base64.b64decode(piece.data_base64, validate=True)
    except (binascii.Error, ValueError):
        data_base64 = redactor.text(piece.data_base64)
    else:
        clean = redactor.data(data)
        data_base64 = piece.data_base64 if clean == data else base64.b64encode(clean).decode()
    return replace(
        piece,
        text=redactor.text(piece.text),
        data_base64=data_base64,
        uri=redactor.text(piece.uri),
        media_type=redactor.text(piece.media_type),
    )


def _cut_off(data: bytes, form: bytes) -> int:
    """Return where a form begins that the end of the data cuts off; their length: it does not."""
    lowest = max(0, len(data) - len(form) + 1)
    head, tries = form[:_HEAD], 0
    at = data.find(head, lowest)
    while at != -1:
        if tries == _TRIES or form.startswith(data[at:]):
            return at
        tries += 1
        at = data.find(head, at + 1)
    for at in range(max(lowest, len(data) - _HEAD + 1), len(data)):
        if form.startswith(data[at:]):
            return at
    return len(data)


def _escaped(value: str) -> set[str]:
    """Return a text as programs write it into other texts, itself and reversed included."""
    raw = _bytes(value)
    written = {_json(value, ascii_only=True), _json(value, ascii_only=False)}
    twice = {_json(one, ascii_only=False) for one in written}
    quoted = {quote(raw, safe=safe) for safe in ("", "/", "!'()*~", ":/?#[]@!$&'()*+,;=")}
    quoted |= {one.replace("%20", "+") for one in quoted}
    return {
        value,
        value[::-1],
        *written,
        *twice,
        *(one.replace("/", "\\/") for one in written),
        *quoted,
        *(_lower(one) for one in quoted),
        *_html(value),
        repr(value)[1:-1],
        ascii(value)[1:-1],
        repr(raw)[2:-1],
    }


def _html(value: str) -> Iterator[str]:
    for escaped in (html.escape(value), html.escape(value, quote=False)):
        yield escaped
        yield escaped.replace("&#x27;", "&#39;")
        yield escaped.replace("&#x27;", "'")
        yield escaped.replace("&quot;", "&#34;").replace("&#x27;", "&#39;")


def _encoded(data: bytes) -> set[bytes]:
    """Return bytes as hexadecimal digits and in base64, without digits that their neighbours decide on."""
    found = {data.hex().encode(), data.hex().upper().encode()}
    for before in range(3):
        skipped, unsure = (0, 2, 3)[before], (len(data) + before) % 3 != 0
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(bytes(before) + data).rstrip(b"=")
            found.add(text[skipped : len(text) - unsure])
    return found


def _json(value: str, *, ascii_only: bool) -> str:
    return json.dumps(value, ensure_ascii=ascii_only)[1:-1]


def _lower(quoted: str) -> str:
    """Write the digits of %XX in lower case."""
    return _PERCENT.sub(lambda found: found[0].lower(), quoted)


def _digits(number: float) -> bytes:
    try:
        return str(number).encode()
    except ValueError:  # more digits than the interpreter writes: no result of a tool has them
        return b""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")
