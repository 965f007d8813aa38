"""The model of a fake kernel: scripted answers, else an echo."""

import json
import re
import zlib
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.duration_pb2 import Duration

from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from aios.errors import InvalidRequest, NotFound
from aios.testing.caller import Caller

MODEL = "fake-model"


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted answer."""

    text: str
    tool_calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    finish_reason: pb.FinishReason | None = None


class FakeInference:
    """Answers generations from a script, one reply each; without a script it echoes the last user message."""

    def __init__(self) -> None:
        self.replies: deque[Reply] = deque()
        self._known: dict[str, tuple[pb.GenerateRequest, Reply]] = {}
        self._cancelled: set[str] = set()

    async def generate(self, request: pb.GenerateRequest, caller: Caller) -> pb.GenerateResponse:
        """Generate: the next reply, cut as the request asks."""
        _check(request)
        reply = self._reply(request)
        return pb.GenerateResponse(name=_name(request, caller), finished=_finished(request, reply))

    async def stream_generate(
        self, request: pb.StreamGenerateRequest, caller: Caller
    ) -> AsyncIterator[pb.StreamGenerateResponse]:
        """StreamGenerate: a word is a token, an event a token."""
        generation = request.generation
        _check(generation)
        reply = self._reply(generation)
        name = _name(generation, caller)
        async for event in self._events(generation, reply, generation.resume.after_sequence):
            yield pb.StreamGenerateResponse(name=name, event=event)
            name = ""

    async def watch_generation(
        self, request: pb.WatchGenerationRequest, caller: Caller
    ) -> AsyncIterator[pb.WatchGenerationResponse]:
        """WatchGeneration of a generation that was asked for before."""
        key = caller.resolve(request.name).rsplit("/", 1)[-1]
        if key not in self._known:
            raise NotFound(f"no {request.name}", reason="GENERATION_NOT_FOUND")
        async for event in self._events(*self._known[key], request.after_sequence):
            yield pb.WatchGenerationResponse(event=event)

    async def cancel_generation(
        self, request: pb.CancelGenerationRequest, caller: Caller
    ) -> pb.CancelGenerationResponse:
        """CancelGeneration: answers are instant here, so nothing is ever still running."""
        key = caller.resolve(request.name, write=True).rsplit("/", 1)[-1]
        if key not in self._known:
            raise NotFound(f"no {request.name}", reason="GENERATION_NOT_FOUND")
        return pb.CancelGenerationResponse(cancelled=False)

    async def count_tokens(self, request: pb.CountTokensRequest, caller: Caller) -> pb.CountTokensResponse:
        """CountTokens: a word is a token."""
        del caller
        counts = [len(pieces(text)) for text in request.texts]
        total = sum(len(pieces(message.content)) for message in request.messages)
        return pb.CountTokensResponse(token_count=total, text_token_counts=counts)

    async def embed(self, request: pb.EmbedRequest, caller: Caller) -> pb.EmbedResponse:
        """Embed: a unit vector of eight components that depends on the text alone."""
        del caller
        vectors = []
        for text in request.texts:
            raw = [(zlib.crc32(f"{text}{i}".encode()) % 1000) - 500 or 1 for i in range(8)]
            norm = sum(value * value for value in raw) ** 0.5
            vectors.append(pb.Embedding(values=[value / norm for value in raw]))
        return pb.EmbedResponse(embeddings=vectors, model=MODEL)

    async def list_models(self, request: pb.ListModelsRequest, caller: Caller) -> pb.ListModelsResponse:
        """ListModels: the one fake."""
        del request, caller
        model = pb.Model(
            name=MODEL, max_total_tokens=8192, replica_count=1, slots=8, constraints=True, is_default=True
        )
        return pb.ListModelsResponse(models=[model])

    def _reply(self, request: pb.GenerateRequest) -> Reply:
        key = request.request_id
        if key and key in self._known:
            return self._known[key][1]
        reply = self.replies.popleft() if self.replies else Reply(f"echo: {_last_user_text(request)}")
        if key:
            self._known[key] = (request, reply)
        return reply

    async def _events(
        self, request: pb.GenerateRequest, reply: Reply, after: int
    ) -> AsyncIterator[pb.GenerationEvent]:
        admitted = pb.Admitted(wait=Duration(), prompt_tokens=_prompt_tokens(request))
        yield pb.GenerationEvent(sequence=after, admitted=admitted)
        words = pieces(_cut(request, reply)[0])
        for number, word in enumerate(words[after:], after + 1):
            delta = pb.Delta(text=word, token_count=1, token_ids=[_id_of(word)])
            if request.top_alternatives or request.logprobs:
                place = delta.top_alternatives.add(sequence=number)
                place.chosen.MergeFrom(pb.Alternative(token_id=_id_of(word), text=word, logprob=0.0))
                place.alternatives.extend([place.chosen] if request.top_alternatives else [])
            yield pb.GenerationEvent(sequence=number, delta=delta)
        yield pb.GenerationEvent(sequence=len(words), finished=_finished(request, reply))


def _id_of(word: str) -> int:
    return zlib.crc32(word.encode()) % 32000


def pieces(text: str) -> list[str]:
    """Return a text as the fake's tokens: words with the blanks after them."""
    return re.findall(r"\S+\s*|\s+", text)


def _check(request: pb.GenerateRequest) -> None:
    """Refuse a tool by name that the kernel refuses. Raises InvalidRequest."""
    name = request.tool_choice_name
    if name and request.tool_choice != pb.TOOL_CHOICE_REQUIRED:
        raise InvalidRequest("tool_choice_name: a tool is named only with TOOL_CHOICE_REQUIRED")
    if name and name not in {tool.name for tool in request.tools}:
        raise InvalidRequest(f"tool_choice_name: {name!r} is none of the tools")


def _cut(request: pb.GenerateRequest, reply: Reply) -> tuple[str, str]:
    """Return a reply's text up to the stop string that is complete first, and that string."""
    met = [(at + len(stop), -len(stop), stop) for stop in request.stop if (at := reply.text.find(stop)) >= 0]
    if not met:
        return reply.text, ""
    end, length, stop = min(met)
    return reply.text[: end + length], stop


def _finished(request: pb.GenerateRequest, reply: Reply) -> pb.Finished:
    text, stop = _cut(request, reply)
    most = request.max_tool_calls or len(reply.tool_calls)
    calls = [
        chat_pb2.ToolCall(id=f"call-{number}", name=name, arguments_json=json.dumps(arguments))
        for number, (name, arguments) in enumerate(reply.tool_calls[:most], 1)
    ]
    default = pb.FINISH_REASON_TOOL_CALLS if calls else pb.FINISH_REASON_STOP
    usage = pb.Usage(prompt_tokens=_prompt_tokens(request), completion_tokens=len(pieces(text)))
    return pb.Finished(
        reason=reply.finish_reason or default,
        message=chat_pb2.ChatMessage(role=chat_pb2.ROLE_ASSISTANT, content=text, tool_calls=calls),
        usage=usage,
        timings=pb.Timings(replica="fake"),
        model=MODEL,
        stop_string=stop,
    )


def _prompt_tokens(request: pb.GenerateRequest) -> int:
    texts: Sequence[str] = [message.content for message in request.messages] or [request.prompt]
    return sum(len(pieces(text)) for text in texts)


def _last_user_text(request: pb.GenerateRequest) -> str:
    said = [message.content for message in request.messages if message.role == chat_pb2.ROLE_USER]
    return said[-1] if said else request.prompt


def _name(request: pb.GenerateRequest, caller: Caller) -> str:
    return f"agents/{caller.agent}/generations/{request.request_id or 'unnamed'}"
