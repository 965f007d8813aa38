"""How an attack shoots: it counts what it tried, and notes each answer that no hostile call may have."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import grpc
from google.protobuf.message import Message

from tests.redteam.ground import Ground
from tests.system.world import METHODS, Metadata, Outcome, send

_PATIENCE: Final = 30.0
"""Longest wait for an answer. Unit: seconds."""
_MOST_BREACHES: Final = 5
_NEVER: Final = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS)
_INTERNALS: Final = (b"Traceback", b"site-packages", b"object at 0x", b'.py"')
_BROKEN: Final = 500


@dataclass
class Fire:
    """One attack under way."""

    ground: Ground
    seconds: float
    """How long it goes on."""
    tried: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """How many ended how."""
    breaches: list[str] = field(default_factory=list)
    """What must not have happened, in words."""
    _ends: float = 0.0

    def __post_init__(self) -> None:
        """Start the clock."""
        self._ends = time.monotonic() + self.seconds

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._ends

    @property
    def left(self) -> float:
        """Seconds until the time is up."""
        return max(0.0, self._ends - time.monotonic())

    def breach(self, text: str) -> None:
        """Note that a control failed."""
        if len(self.breaches) < _MOST_BREACHES:
            self.breaches.append(text)

    def never(self, happened: bool, text: str) -> None:  # noqa: FBT001 - reads as a sentence
        """Note a breach if it happened."""
        if happened:
            self.breach(text)

    async def call(
        self,
        channel: grpc.aio.Channel,
        label: str,
        request: Message | bytes,
        metadata: Metadata | None = None,
        **options: Any,
    ) -> Outcome:
        """Make a call, as the attacker's agent unless told otherwise, and judge how it ended."""
        self.tried += 1
        options.setdefault("timeout", _PATIENCE)
        if not METHODS[label].endless:
            options.setdefault("sample", options["timeout"])
        given = self.ground.metadata if metadata is None else metadata
        outcome = await send(channel, label, request, given, **options)
        self.answers[outcome.reason or outcome.code.name] += 1
        self._judge(outcome)
        return outcome

    def _judge(self, outcome: Outcome) -> None:
        """Look for what no answer may be. A call may well end by the attacker's own deadline."""
        if outcome.code in _NEVER and outcome.reason in ("", "INTERNAL"):
            self.breach(f"no typed answer: {outcome.text}")
        if any(word in outcome.seen for word in _INTERNALS):
            self.breach(f"internals in an answer: {outcome.text}")

    async def web(
        self, session: aiohttp.ClientSession, method: str, url: str, **options: Any
    ) -> tuple[int, bytes]:
        """Make an HTTP request and return status and body; 0 when the connection was ended instead."""
        self.tried += 1
        try:
            async with asyncio.timeout(_PATIENCE), session.request(method, url, **options) as answer:
                body = await answer.content.read(1 << 20)
                status = answer.status
        except TimeoutError:
            self.breach(f"no answer within {_PATIENCE:.0f} s: {method} {url}")
            return 0, b""
        except (aiohttp.ClientError, ConnectionError):
            self.answers["closed"] += 1
            return 0, b""
        self.answers[str(status)] += 1
        if status == _BROKEN or any(word in body for word in _INTERNALS):
            self.breach(f"{status} with {body[:200]!r} for {method} {url}")
        return status, body

    async def together(self, shoot: Callable[[int], Awaitable[object]], *, workers: int) -> None:
        """Shoot from several workers until the time is up; each is told the number of its shot."""

        async def work(worker: int) -> None:
            number = worker
            while not self.over:
                await shoot(number)
                number += workers

        await asyncio.gather(*(work(worker) for worker in range(workers)))

    async def each(self, items: Iterable[Any], shoot: Callable[[Any], Awaitable[object]]) -> None:
        """Shoot once with each item, one after the other, while there is time."""
        for item in items:
            if self.over:
                return
            await shoot(item)


Shooting = Callable[[Ground, Fire], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attack:
    """One kind of attack."""

    name: str
    """What it is, in a few words with hyphens."""
    threat: str
    """What it tries to reach."""
    run: Shooting


ATTACKS: Final[dict[str, Attack]] = {}
"""All attacks by name, in the order in which they are made."""


def attack(name: str, threat: str) -> Callable[[Shooting], Shooting]:
    """Add an attack to the table."""

    def add(run: Shooting) -> Shooting:
        ATTACKS[name] = Attack(name, threat, run)
        return run

    return add
