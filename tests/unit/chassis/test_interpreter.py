"""How a process's Python runs once it is up."""

import asyncio
import gc
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.chassis.runtime import interpreter
from services.chassis.runtime.process import App, Process, serve
from tests.fakes.access import AllowAll
from tests.fakes.tokens import ISSUER_FOR_TESTS


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    seconds = sys.getswitchinterval()
    yield
    sys.setswitchinterval(seconds)
    gc.unfreeze()


class Ring:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.me = self


def test_what_is_alive_is_passed_over_and_what_becomes_garbage_later_is_collected() -> None:
    interpreter.settle()
    passed_over = gc.get_freeze_count()
    later = weakref.ref(Ring())
    gc.collect()

    assert passed_over > 1_000
    assert later() is None


def test_garbage_of_the_start_is_not_kept() -> None:
    early = weakref.ref(Ring())
    interpreter.settle()

    assert early() is None


async def test_a_process_that_is_up_has_settled_and_its_threads_give_way(tmp_path: Path) -> None:
    stop = asyncio.Event()
    before = gc.get_freeze_count()

    async def assemble(_process: Process) -> App:
        async def ready(_server: object) -> None:
            stop.set()

        return App(authenticator=ISSUER_FOR_TESTS.verifier(), authorizer=AllowAll(), started=ready)

    environ = {"AIOS_DATA_DIR": str(tmp_path / "data"), "AIOS_MEMORY_PORT": "0"}
    await serve("memory", assemble, environ=environ, stop=stop)

    assert gc.get_freeze_count() > before
    assert sys.getswitchinterval() == pytest.approx(interpreter.SWITCH_SECONDS)
