"""What a dialect brings to the door: its routes and its way to tell an error."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from gateway.http.core.refusals import Refusal, anthropic, openai
from gateway.http.visit import Visit
from services.chassis.rpc.errors import KernelError

Work = Callable[[Visit], Awaitable[web.StreamResponse]]
"""Answers one request. Raises KernelError; the door tells it in the dialect's words."""


class Tell(Protocol):
    """Puts an error into a dialect's words."""

    def __call__(self, error: KernelError, request_id: str, /) -> Refusal:
        """Return status, body and headers."""
        ...


def tell_openai(error: KernelError, _request_id: str, /) -> Refusal:
    """Tell an error as OpenAI's endpoints do."""
    return openai(error)


def tell_anthropic(error: KernelError, request_id: str, /) -> Refusal:
    """Tell an error as Anthropic's endpoints do."""
    return anthropic(error, request_id)


def tell_by_headers(request: web.Request) -> Tell:
    """Choose the words for a path that several dialects share: Anthropic's clients name a version."""
    return tell_anthropic if "anthropic-version" in request.headers else tell_openai


@dataclass(frozen=True, slots=True)
class Route:
    """One path of a dialect."""

    method: str
    path: str
    """As aiohttp writes it, such as `/v1/responses/{response}`. Served without `/v1` too."""
    work: Work
    tell: Tell | None = None
    """None: by the request's headers."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """A group of routes under one name, the `dialect` label of the metrics."""

    name: str
    routes: Sequence[Route] = ()
    start: Callable[[], Awaitable[None]] | None = None
    """Called once the door's address is bound."""
    drain: Callable[[], Awaitable[None]] | None = None
    """Called when the process takes no new requests any more: streams without an end of their own end."""
    stop: Callable[[], Awaitable[None]] | None = None
    """Called when the process ends, after the last request."""
    mounts: Sequence[tuple[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]] = field(default=())
    """Whole paths, any method, that the dialect answers by itself, credentials and errors included."""
