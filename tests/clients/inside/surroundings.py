"""A pytest plugin for what runs inside a client's environment: where the door is, and what the model saw."""

import json
import os
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

WAIT_SECONDS = 20.0


@dataclass(frozen=True)
class Tour:
    """What the kernel's side told."""

    url: str
    """The door; an OpenAI client's address has `/v1` behind it."""
    key: str
    model: str
    """Base address of the scripted model."""
    told: dict[str, Any]
    """What else this tour needs."""

    @property
    def v1(self) -> str:
        """Address for OpenAI's clients."""
        return f"{self.url}/v1"

    def seen(self, mark: str) -> dict[str, int]:
        """Return how many requests with a mark reached the model, and what became of them."""
        address = f"{self.model}/seen?has={urllib.parse.quote(mark)}"
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - of the test
            counts: dict[str, int] = json.load(answer)
        return counts

    def waits_for(self, mark: str, **counts: int) -> None:
        """Wait until the model has seen this."""
        wanted = counts.items()
        wait(lambda: wanted <= self.seen(mark).items(), lambda: f"{mark}: {self.seen(mark)}, not {counts}")


def wait(done: Callable[[], bool], report: Callable[[], str]) -> None:
    """Wait until something holds. Raises AssertionError."""
    end = time.monotonic() + WAIT_SECONDS
    while not done():
        assert time.monotonic() < end, report()
        time.sleep(0.05)


@pytest.fixture
def tour() -> Tour:
    """Return what the kernel's side told."""
    told = json.loads(os.environ["AIOS_TOUR"])
    return Tour(told.pop("url"), told.pop("key"), told.pop("model"), told)
