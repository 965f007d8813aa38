"""Writes completions, whole and in chunks. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common import openai, sse
from gateway.http.common.answers import Answer, Head
from gateway.http.completions.request import Completion
from services.chassis.rpc.errors import KernelError

Event = tuple[int, pb.StreamGenerateResponse]


def completion(head: Head, read: Completion, answers: Sequence[Answer]) -> dict[str, Any]:
    """Tell the whole completion, a choice for each answer."""
    choices = [
        _choice(
            index,
            each.finished.message.content,
            None if each.places is None else _logprobs(each.places, 0)[0],
            openai.finish_reason(each.finished),
        )
        for index, each in enumerate(answers)
    ]
    return {**_head(head), "choices": choices, "usage": _usage(read, dict(enumerate(answers)))}


class CompletionStream:
    """The StreamEncoder of completions: a chunk for each piece of text, and one with each choice's end."""

    def __init__(self, head: Head, read: Completion) -> None:
        self._head = head
        self._read = read
        self._ended: dict[int, Answer] = {}
        self._offsets = [0] * len(read.plans)

    def start(self, first: Event | None) -> bytes:
        """Tell the first event; there is no other beginning."""
        return self.event(first) if first is not None else b""

    def event(self, event: Event) -> bytes:
        """Tell text, or the end of a choice."""
        index, body = event[0], event[1].event
        match body.WhichOneof("event"):
            case "delta":
                return self._text(index, body.delta)
            case "finished":
                self._ended[index] = Answer(body.finished)
                last = self._chunk([_choice(index, "", None, openai.finish_reason(body.finished))])
                return last + (self._end() if len(self._ended) == len(self._read.plans) else b"")
            case _:
                return b""

    def alive(self) -> bytes:
        """Write a comment."""
        return sse.ALIVE

    def failed(self, error: KernelError) -> bytes:
        """Tell the error in place of all that was to come."""
        return sse.failure(error)

    def _text(self, index: int, delta: pb.Delta) -> bytes:
        logprobs = None
        if self._read.logprobs:
            logprobs, self._offsets[index] = _logprobs(delta.top_alternatives, self._offsets[index])
        if not delta.text and not delta.top_alternatives:
            return b""
        return self._chunk([_choice(index, delta.text, logprobs, None)])

    def _end(self) -> bytes:
        if not self._read.include_usage:
            return sse.DONE
        return (
            sse.data({**_head(self._head), "choices": [], "usage": _usage(self._read, self._ended)})
            + sse.DONE
        )

    def _chunk(self, choices: list[dict[str, Any]]) -> bytes:
        usage = {"usage": None} if self._read.include_usage else {}
        return sse.data({**_head(self._head), "choices": choices, **usage})


def _head(head: Head) -> dict[str, Any]:
    return {"id": head.id, "object": "text_completion", "created": head.created, "model": head.model}


def _choice(index: int, text: str, logprobs: Any, finish: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish}


def _usage(read: Completion, answers: dict[int, Answer]) -> dict[str, Any]:
    """Add up the prompts, each once however many answers it has, and all answers."""
    prompts: dict[int, list[pb.Usage]] = {}
    for index, each in answers.items():
        prompts.setdefault(id(read.plans[index]), []).append(each.finished.usage)
    return openai.sum_usage(openai.usage(each) for each in prompts.values())


def _logprobs(places: Iterable[pb.TopAlternatives], offset: int) -> tuple[dict[str, Any], int]:
    """Tell the chosen tokens and the likeliest ones; return where the next token begins too."""
    told: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
    for place in places:
        if not place.HasField("chosen"):
            continue
        told["tokens"].append(place.chosen.text)
        told["token_logprobs"].append(place.chosen.logprob)
        told["top_logprobs"].append({each.text: each.logprob for each in place.alternatives})
        told["text_offset"].append(offset)
        offset += len(place.chosen.text)
    return told, offset
