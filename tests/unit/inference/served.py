"""Servers that drivers are tried on, and how a test follows a generation."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Protocol

from gateway.inference.backends.openai.backend import OpenAiBackend, OpenAiConfig
from gateway.inference.backends.tgi.backend import TgiBackend, TgiConfig
from gateway.inference.backends.tgi.wire import TokenEvent
from gateway.inference.model import (
    BackendRequest,
    Prompt,
    Sampling,
    StreamItem,
    Token,
)
from gateway.inference.ports import Backend
from services.chassis.chat import ChatMessage, Role
from tests.fakes import fake_openai, fake_tgi
from tests.fakes.odd import OddAnswer

HELLO = [ChatMessage(Role.SYSTEM, "Be kind."), ChatMessage(Role.USER, "hello there")]
TOKENS = 12
TOKEN_SECONDS = 0.75
"""Longest wait for a token: what a stall costs its test."""


class Served(Protocol):
    """A server for the driver under test."""

    backend: Backend
    model: str

    def fault(self, name: str, after: int) -> None:
        """Let streams go wrong after some tokens: die, end, stall or malformed."""

    def refuse(self, status: int) -> None:
        """Refuse every generation."""

    def answer_oddly(self, answer: OddAnswer) -> None:
        """Answer generations with these bytes."""

    def events(self, *pieces: str, end: str | None) -> list[bytes]:
        """Return the events of an answer in pieces, the last with this finish reason unless None."""

    def sicken(self) -> None:
        """Answer health questions badly."""

    def slow(self) -> None:
        """Give out a token every 50 ms."""

    @property
    def running(self) -> int:
        """Generations under way."""

    @property
    def last_body(self) -> dict[str, Any]:
        """The last request for a generation."""


class TgiServed:
    def __init__(self, server: fake_tgi.FakeTgi) -> None:
        self.server = server
        self.backend: Backend = TgiBackend(server.url, TgiConfig(token_timeout=TOKEN_SECONDS))
        self.model = "fake"

    def fault(self, name: str, after: int) -> None:
        self.server.behaviour.keep_alive = 0.05
        setattr(self.server.behaviour, f"{name}_after", after)

    def refuse(self, status: int) -> None:
        kind = {400: "validation", 429: "overloaded", 500: "generation"}[status]
        self.server.behaviour.error = (status, "no", kind)

    def answer_oddly(self, answer: OddAnswer) -> None:
        self.server.behaviour.odd = answer

    def events(self, *pieces: str, end: str | None) -> list[bytes]:
        found: list[dict[str, Any]] = [
            {"index": n + 1, "token": {"id": n, "text": piece, "logprob": -0.1, "special": False}}
            for n, piece in enumerate(pieces)
        ]
        if end is not None:
            found[-1] |= {"generated_text": "".join(pieces), "details": {"finish_reason": end}}
        return [json.dumps(each).encode() for each in found]

    def sicken(self) -> None:
        self.server.behaviour.healthy = False

    def slow(self) -> None:
        self.server.behaviour.token_delay = 0.05

    @property
    def running(self) -> int:
        return self.server.seen.running

    @property
    def last_body(self) -> dict[str, Any]:
        return self.server.seen.bodies[-1]


class OpenAiServed:
    def __init__(self, server: fake_openai.FakeOpenAi) -> None:
        self.server = server
        self.backend: Backend = OpenAiBackend(server.url, OpenAiConfig(token_timeout=TOKEN_SECONDS))
        self.model = "fake-chat"

    def fault(self, name: str, after: int) -> None:
        setattr(self.server.behaviour, f"{name}_after", after)

    def refuse(self, status: int) -> None:
        self.server.behaviour.error = (status, {"error": {"message": "no", "code": status}})

    def answer_oddly(self, answer: OddAnswer) -> None:
        self.server.behaviour.odd = answer

    def events(self, *pieces: str, end: str | None) -> list[bytes]:
        found: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces
        ]
        if end is not None:
            found[-1]["choices"][0]["finish_reason"] = end
        return [json.dumps(each).encode() for each in found]

    def sicken(self) -> None:
        self.server.behaviour.healthy = False

    def slow(self) -> None:
        self.server.behaviour.token_delay = 0.05

    @property
    def running(self) -> int:
        return self.server.seen.running

    @property
    def last_body(self) -> dict[str, Any]:
        return self.server.seen.bodies[-1]


def job(prompt: Prompt, **fields: Any) -> BackendRequest:
    return BackendRequest(
        **{
            "run_id": "t/a/c",
            "prompt": prompt,
            "max_new_tokens": TOKENS + 1,
            "sampling": Sampling(),
            **fields,
        }
    )


async def follow(backend: Backend, what: BackendRequest, into: list[StreamItem]) -> list[StreamItem]:
    async with aclosing(backend.stream(what)) as items:
        async for item in items:
            into.append(item)  # noqa: PERF401 - what came before a failure must stay
    return into


def text_of(items: list[StreamItem]) -> str:
    return "".join(item.text for item in items if isinstance(item, Token))


class FakeTgiClient:
    """A client of a TGI that tells these events."""

    events: tuple[TokenEvent, ...] = ()

    async def generate_stream(self, prompt: str, **options: Any) -> AsyncIterator[TokenEvent]:
        del prompt, options
        for event in self.events:
            yield event
