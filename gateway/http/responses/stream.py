"""Tells a generation as the events of a streamed response. Pure.

Events are numbered from 0, one by one. With `by_text` the number of a piece of text grows by its length
instead, so that any process, and a stored answer too, numbers the same text the same way: whoever reads on
after a number misses nothing and gets nothing twice.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common.text import ShownText
from gateway.http.responses import ids
from gateway.http.responses.answer import (
    Composed,
    Head,
    Json,
    bare,
    composed,
    failure,
    logprob,
    message_item,
    text_part,
)
from gateway.http.responses.offered import Offered
from services.chassis.rpc.errors import KernelError

_ENDS: Final = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
    "failed": "response.failed",
    "cancelled": "response.failed",
}


class Composer:
    """Takes a generation's events in order; returns the bytes of what they are to the client.

    `created` comes first; after what `feed` makes of the last event, `end` tells the whole.
    """

    def __init__(
        self, head: Head, offered: Offered, shown: ShownText, *, by_text: bool = False, after: int = -1
    ) -> None:
        self.head = head
        self._offered = offered
        self._shown = shown
        self._by_text = by_text
        self._after = after
        """Number of the last event that the client has."""
        self._number = -1
        self._admitted = False
        self.pieces: list[str] = []
        """The text that was told, as it came."""
        self._places: list[Json] = []
        self._waiting_places: list[Json] = []
        self._open = False
        self.composed: Composed | None = None
        """The whole answer, once it is there."""

    def created(self) -> bytes:
        """Begin."""
        begun = self.head.response("queued" if self._by_text else "in_progress")
        return self._event("response.created", {"response": begun})

    def alive(self) -> bytes:
        """Tell that it still waits or runs, in events that clients know."""
        status = "in_progress" if self._admitted else "queued"
        told = {"response": self.head.response(status)}
        if self._by_text:  # a sign of life has no number of its own, which another process would not give
            return _bytes(f"response.{status}", {"sequence_number": max(self._number, 0), **told})
        return self._event(f"response.{status}", told)

    def feed(self, event: pb.GenerationEvent) -> bytes:
        """Tell an event of the generation."""
        match event.WhichOneof("event"):
            case "delta":
                return b"".join([self._begin(), *self._delta(event.delta)])
            case "finished":
                return b"".join([self._begin(), *self._finish(event.finished)])
            case _:
                return self._begin()

    def end(self, response: Json) -> bytes:
        """Tell the response as it ended, with all of it that was not told yet."""
        told = b""
        if self.composed is None and response["output"]:
            told = self._replayed(response)
        return told + self._event(_ENDS[str(response["status"])], {"response": response})

    def failed(self, error: KernelError) -> bytes:
        """Tell that it failed."""
        return self.end(self.head.response("failed", error=failure(error)))

    def _replayed(self, response: Json) -> bytes:
        """Tell the items of a response that was kept; what the client has by its number is not told again."""
        pieces = [self._begin()]
        for index, item in enumerate(response["output"]):
            pieces += self._stored_item(index, item)
        return b"".join(pieces)

    def _stored_item(self, index: int, item: Json) -> Iterator[bytes]:
        if item["type"] != "message":
            yield from self._call(index, item)
            return
        [part] = item["content"]
        told = sum(map(len, self.pieces))
        rest = str(part["text"])[told:]
        if rest:
            yield from self._say(rest, () if told else part["logprobs"])
        yield from self._close(item)

    def _begin(self) -> bytes:
        """Tell once that the generation runs."""
        if self._admitted:
            return b""
        self._admitted = True
        return self._event("response.in_progress", {"response": self.head.response("in_progress")})

    def _delta(self, delta: pb.Delta) -> Iterator[bytes]:
        told = [place for each in delta.top_alternatives if (place := logprob(each)) is not None]
        self._waiting_places += told
        text = self._shown.more(delta.text)
        if text:
            places, self._waiting_places = self._waiting_places, []
            self._places += places
            yield from self._say(text, places)

    def _finish(self, finished: pb.Finished) -> Iterator[bytes]:
        rest = self._shown.rest(finished.message.content)
        if rest:
            places, self._waiting_places = self._waiting_places, []
            self._places += places
            yield from self._say(rest, places)
        made = composed(
            finished,
            "".join(self.pieces),
            digits=self.head.digits,
            offered=self._offered,
            logprobs=self._places,
        )
        self.composed = made
        for index, item in enumerate(made.output):
            if item["type"] == "message":
                yield from self._close(item)
            else:
                yield from self._call(index, item)

    def _say(self, text: str, places: Sequence[Json]) -> Iterator[bytes]:
        yield from self._open_message()
        self.pieces.append(text)
        shown = text
        if self._by_text and self._number < self._after < self._number + len(text):
            shown = text[self._after - self._number :]  # the client has the beginning of this piece
            places = ()
        told = {"delta": shown, "logprobs": [bare(each) for each in places]}
        yield self._event(
            "response.output_text.delta", {**self._at(), **told}, len(text) if self._by_text else 1
        )

    def _open_message(self) -> Iterator[bytes]:
        if self._open:
            return
        self._open = True
        item = {**message_item(self._message_id, "in_progress", ""), "content": []}
        yield self._event("response.output_item.added", {"output_index": 0, "item": item})
        yield self._event("response.content_part.added", {**self._at(), "part": text_part("")})

    def _close(self, item: Json) -> Iterator[bytes]:
        yield from self._open_message()
        [part] = item["content"]
        told = {"text": part["text"], "logprobs": [bare(each) for each in part["logprobs"]]}
        yield self._event("response.output_text.done", {**self._at(), **told})
        yield self._event("response.content_part.done", {**self._at(), "part": part})
        yield self._event("response.output_item.done", {"output_index": 0, "item": item})

    def _call(self, index: int, item: Json) -> Iterator[bytes]:
        custom = item["type"] == "custom_tool_call"
        key = "input" if custom else "arguments"
        name = "custom_tool_call_input" if custom else "function_call_arguments"
        at = {"item_id": item["id"], "output_index": index}
        begun = {**item, key: "", "status": "in_progress"}
        done = {} if custom else {"name": item["name"]}
        yield self._event("response.output_item.added", {"output_index": index, "item": begun})
        if item[key]:
            yield self._event(f"response.{name}.delta", {**at, "delta": item[key]})
        yield self._event(f"response.{name}.done", {**at, key: item[key], **done})
        yield self._event("response.output_item.done", {"output_index": index, "item": item})

    @property
    def _message_id(self) -> str:
        return ids.output_id("message", self.head.digits, 0)

    def _at(self) -> Json:
        return {"item_id": self._message_id, "output_index": 0, "content_index": 0}

    def _event(self, kind: str, fields: Json, step: int = 1) -> bytes:
        self._number += step
        if self._number <= self._after:
            return b""
        return _bytes(kind, {"sequence_number": self._number, **fields})


def _bytes(kind: str, fields: Json) -> bytes:
    data = msgspec.json.encode({"type": kind, **fields})
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
