"""From the kernel's events to those of a Messages stream. Pure."""

from typing import Final

import msgspec

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common.hints import Tier
from gateway.http.common.text import ShownText
from gateway.http.core.refusals import anthropic_error
from gateway.http.messages import answer
from services.chassis.rpc.errors import KernelError

_PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'


class MessageStream:
    """Encodes one answer. Blocks come one after the other: the text as it grows, then each call whole."""

    def __init__(self, request: pb.GenerateRequest, model: str, tier: Tier, request_id: str) -> None:
        self._model = model
        self._tier = tier
        self._request_id = request_id
        self._name = request_id
        self._text = ShownText.of(request)
        self._index = 0
        self._open = False

    def start(self, first: pb.StreamGenerateResponse | None) -> bytes:
        """Begin the message; its prompt's tokens are known if the call was admitted by now."""
        tokens = 0
        if first is not None:
            self._name = first.name or self._name
            tokens = first.event.admitted.prompt_tokens
        message = {
            **answer.head(self._name, self._model),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": answer.usage(pb.Usage(prompt_tokens=tokens), self._tier.applied),
        }
        begun = _event("message_start", {"message": message}) + _PING
        return begun if first is None else begun + self.event(first)

    def event(self, event: pb.StreamGenerateResponse) -> bytes:
        """Encode what came."""
        match event.event.WhichOneof("event"):
            case "delta":
                return self._more(self._text.more(event.event.delta.text))
            case "finished":
                return self._end(event.event.finished)
            case "suspended" | "resumed":
                return _PING
            case _:
                return b""

    def alive(self) -> bytes:
        """Encode a sign of life."""
        return _PING

    def failed(self, error: KernelError) -> bytes:
        """Tell the error, which ends the stream."""
        return _event("error", anthropic_error(error, self._request_id))

    def _more(self, text: str) -> bytes:
        if not text:
            return b""
        opened = b""
        if not self._open:
            self._open = True
            opened = self._begin({"type": "text", "text": "", "citations": None})
        return opened + self._delta({"type": "text_delta", "text": text})

    def _end(self, finished: pb.Finished) -> bytes:
        parts = [self._more(self._text.rest(finished.message.content))]
        if self._open:
            parts.append(self._stop())
        for index, call in enumerate(finished.message.tool_calls):
            block = answer.tool_use(self._name, index, call)
            parts += [
                self._begin({**block, "input": {}}),
                self._delta({"type": "input_json_delta", "partial_json": ""}),
                self._delta({"type": "input_json_delta", "partial_json": call.arguments_json or "{}"}),
                self._stop(),
            ]
        delta = {"stop_reason": answer.stop_reason(finished), "stop_sequence": finished.stop_string or None}
        told = answer.usage(finished.usage, self._tier.applied)
        del told["service_tier"]  # told at the start; the delta's usage has no place for it
        parts += [_event("message_delta", {"delta": delta, "usage": told}), _event("message_stop", {})]
        return b"".join(parts)

    def _begin(self, block: dict[str, object]) -> bytes:
        return _event("content_block_start", {"index": self._index, "content_block": block})

    def _delta(self, delta: dict[str, str]) -> bytes:
        return _event("content_block_delta", {"index": self._index, "delta": delta})

    def _stop(self) -> bytes:
        stopped = _event("content_block_stop", {"index": self._index})
        self._index += 1
        return stopped


def _event(kind: str, data: dict[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **data}))
