"""Writes a chat completion's chunks as the kernel generates it. Pure."""

from typing import Any

import msgspec

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.chat.answer import calls
from gateway.http.chat.request import Chat
from gateway.http.common import openai, openai_logprobs, sse
from gateway.http.common.answers import Head
from gateway.http.common.text import ShownText
from services.chassis.rpc.errors import KernelError

Event = tuple[int, pb.StreamGenerateResponse]


class ChatStream:
    """The StreamEncoder of chat completions, for any number of choices.

    A chunk with the role for each choice; its text; its tool calls, each by a piece with the name and one
    with the arguments; its finish. After the last choice the usage, if it was asked for, and the end mark.
    """

    def __init__(self, head: Head, chat: Chat) -> None:
        self._head = head
        self._chat = chat
        self._texts = [ShownText.of(chat.plan.request) for _ in chat.seeds]
        self._usages: list[pb.Usage] = []
        self._prefix, self._suffix = self._frame()

    def start(self, first: Event | None) -> bytes:
        """Tell the role of every choice, and the first event."""
        roles = b"".join(
            self._chunk(index, {"role": "assistant", "content": "", "refusal": None})
            for index in range(len(self._texts))
        )
        return roles + (self.event(first) if first is not None else b"")

    def event(self, event: Event) -> bytes:
        """Tell text as far as it may be shown, or the end of a choice."""
        index, body = event[0], event[1].event
        match body.WhichOneof("event"):
            case "delta":
                return self._text(index, self._texts[index].more(body.delta.text), body.delta)
            case "finished":
                return self._finish(index, body.finished)
            case _:
                return b""

    def alive(self) -> bytes:
        """Write a comment: any event would reach the user as a chunk."""
        return sse.ALIVE

    def failed(self, error: KernelError) -> bytes:
        """Tell the error in place of all that was to come."""
        return sse.failure(error)

    def _text(self, index: int, text: str, delta: pb.Delta | None = None) -> bytes:
        logprobs = None
        if self._chat.logprobs and delta is not None and delta.top_alternatives:
            logprobs = {"content": openai_logprobs.content(delta.top_alternatives), "refusal": None}
        if not text and logprobs is None:
            return b""
        return self._chunk(index, {"content": text}, logprobs=logprobs)

    def _finish(self, index: int, finished: pb.Finished) -> bytes:
        told = [self._text(index, self._texts[index].rest(finished.message.content))]
        for number, call in enumerate(calls(self._head, index, finished.message)):
            told += [self._chunk(index, {"tool_calls": [piece]}) for piece in _pieces(number, call)]
        told.append(self._chunk(index, {}, finish=openai.finish_reason(finished)))
        self._usages.append(finished.usage)
        if len(self._usages) == len(self._texts):
            told.append(self._end())
        return b"".join(told)

    def _end(self) -> bytes:
        if not self._chat.include_usage:
            return sse.DONE
        usage = msgspec.json.encode(openai.usage(self._usages))
        return self._prefix + b'[],"usage":' + usage + self._tier() + b"}\n\n" + sse.DONE

    def _chunk(
        self, index: int, delta: dict[str, Any], *, finish: str | None = None, logprobs: Any = None
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return self._prefix + msgspec.json.encode([choice]) + self._suffix + self._tier() + b"}\n\n"

    def _frame(self) -> tuple[bytes, bytes]:
        """Write once what all chunks begin and end with."""
        head = self._head
        fields = {
            "id": head.id,
            "object": "chat.completion.chunk",
            "created": head.created,
            "model": head.model,
        }
        prefix = b"data: " + msgspec.json.encode(fields)[:-1] + b',"choices":'
        return prefix, b',"usage":null' if self._chat.include_usage else b""

    def _tier(self) -> bytes:
        """Tell the tier that is applied now: a refusal may have changed it since the first chunk."""
        if not self._chat.tier:
            return b""
        return b',"service_tier":' + msgspec.json.encode(self._chat.plan.tier.applied)


def _pieces(number: int, call: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a call into the piece that names it and the one with its arguments."""
    kind = call["type"]
    value = "input" if kind == "custom" else "arguments"
    inner = call[kind]
    first = {"index": number, **call, kind: {**inner, value: ""}}
    return first, {"index": number, kind: {value: inner[value]}}
