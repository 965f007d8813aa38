"""A generation that is stepped token by token, and what there is to see of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.inference.model import Answer, Delta, Place
from services.chassis.auth.identity import Caller
from tests.fakes.backend import PLAIN, FakeBackend
from tests.fakes.inference import Desk, Follower, inference
from tests.fakes.waiting import until

PIECES = [f"w{number} " for number in range(20)]
WHOLE = "".join(PIECES)
PLANNER = Caller("planner", "acme")


def stepping(*, info: Any = PLAIN, pieces: list[str] | None = None, name: str = "r0") -> FakeBackend:
    """Build a backend that gives out tokens one by one, as the test permits."""
    backend = FakeBackend(name, pieces=pieces or PIECES, info=info)
    backend.permits = asyncio.Semaphore(0)
    return backend


def permit(backend: FakeBackend, tokens: int) -> None:
    """Let the backend give out so many more tokens."""
    for _ in range(tokens):
        assert backend.permits is not None
        backend.permits.release()


@asynccontextmanager
async def running(backend: FakeBackend, tokens: int, **spec: Any) -> AsyncIterator[tuple[Desk, Follower]]:
    """Start a generation and stop it short after so many tokens."""
    async with inference(backend) as desk:
        follower = desk.start(**spec)
        permit(backend, tokens)
        await until(lambda: bool(follower.events) and produced(desk) == tokens)
        try:
            yield desk, follower
        finally:
            await follower.leave()


def produced(desk: Desk) -> int:
    """Count the tokens of the one generation."""
    (generation,) = desk.generations
    return len(generation.transcript)


def delivered(follower: Follower) -> list[Place]:
    """Return the places that the caller was told."""
    return [
        place for event in follower.events if isinstance(event.body, Delta) for place in event.body.places
    ]


def count(desk: Desk) -> int:
    """Count the tokens of the first generation, if there is one."""
    generations = desk.generations
    return len(generations[0].transcript) if generations else 0


def saved_tokens(desk: Desk) -> int:
    """Count the tokens of the checkpoint of g1."""
    saved = desk.checkpoints.saved.get("g1")
    return len(saved.pieces) if saved is not None else 0


def answer_of(follower: Follower) -> Answer:
    """Return the answer that a follower ended with."""
    last = follower.events[-1].body
    assert isinstance(last, Answer)
    return last


async def finish(backend: FakeBackend, follower: Follower) -> None:
    """Let the backend give out the rest."""
    permit(backend, 100)
    await follower.task
