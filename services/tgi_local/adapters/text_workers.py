"""The worker processes that a chat or a text goes through: what it does to them ends there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.chassis.runtime.poison import PoisonList
from services.chassis.runtime.worker_process import MIB, Blame
from services.chassis.runtime.workers import (
    Poisoned,
    WorkerError,
    WorkerPool,
    WorkersBusy,
    WorkerSpec,
    WorkersUnavailable,
)
from services.tgi_local.adapters.compiler import engine_library
from services.tgi_local.core.engine import EngineBusy, EngineError, PoisonedText

WALL_SECONDS = 60.0
"""From the sending of a text to its answer."""

SPLITTERS = 2
"""Workers that split texts at once."""
SPLIT_SECONDS = 20.0
"""Time of a processor for the texts of one call; a million bytes take a second."""
SPLIT_BYTES = 512 * MIB

RENDERERS = 2
"""Workers that apply the chat template at once."""
RENDER_SECONDS = 10.0
"""Time of a processor for one chat; 40,000 messages take 8 s."""
RENDER_BYTES = 512 * MIB
RENDERED_BYTES = 16 * MIB
"""Longest text that a template may make of a chat."""


def splitting_pool(model: Path, told: Blame) -> WorkerPool:
    """Make the pool that splits texts: what a text does to the tokenizer does not reach the engine."""
    library = engine_library()
    if library is None:
        raise EngineError("the engine's library is not there")
    spec = WorkerSpec(
        name="tokenizer",
        target="services.tgi_local.adapters.tokenizer_worker:splitting",
        args=(str(library), str(model.resolve())),
        memory=SPLIT_BYTES,
        cpu=SPLIT_SECONDS,
        wall=WALL_SECONDS,
        longest_answer=64 * MIB,
        site=False,
        niceness=1,
    )
    return WorkerPool(
        spec, poison=PoisonList(), size=SPLITTERS, most_waiting=1024, most_of_one=1024, told=told
    )


def rendering_pool(model: Path, sockets: Path, told: Blame) -> WorkerPool:
    """Make the pool that applies the chat template: what a chat does to it does not reach the engine."""
    spec = WorkerSpec(
        name="template",
        target="services.tgi_local.adapters.template_worker:rendering",
        args=(str(model.resolve()), str(sockets)),
        memory=RENDER_BYTES,
        cpu=RENDER_SECONDS,
        wall=WALL_SECONDS,
        start=WALL_SECONDS,
        longest_answer=RENDERED_BYTES,
        site=False,
        niceness=1,
    )
    return WorkerPool(
        spec, poison=PoisonList(), size=RENDERERS, most_waiting=1024, most_of_one=1024, told=told
    )


@contextmanager
def worked(by: str, failure: str) -> Iterator[None]:
    """Raise what a worker's failure means. Raises PoisonedText, EngineBusy, EngineError."""
    try:
        yield
    except Poisoned as error:
        raise PoisonedText(f"it has ended {by} twice") from error
    except (WorkersBusy, WorkersUnavailable) as error:
        raise EngineBusy(str(error)) from error
    except WorkerError as error:
        raise EngineError(failure) from error
