"""Starts a kernel, plays the demo on it, sums up, and stops the kernel."""

import asyncio
import socket
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aios
from aios import errors
from aios.cli import terminal
from launcher import welcome
from launcher.backends import Backends
from launcher.data import prepare
from launcher.demo import devices
from launcher.demo.acts import Stage
from launcher.demo.neighbours import bound_socket, neighbours
from launcher.demo.pictures import Outputs
from launcher.demo.tasks import draw_seeds
from launcher.plan import KernelPlan
from launcher.ports import free_base_port
from launcher.probe import look
from launcher.supervisor import StartFailed, Supervisor
from services.chassis.runtime.private_files import NotPrivate

if TYPE_CHECKING:
    from rich.console import Console

SLOTS: Final = 4
"""Fewer slots than agents, so that there is something to schedule."""
KEPT_LINES: Final = 60
DEMO_SECONDS: Final = 300.0
"""The longest that all of it may take, once the kernel is up; every part has a shorter bound of its own."""
_SLOW: Final = (
    "a part of it did not end within its time. A machine that is busy with other things is too slow for it: "
    "run it again when there is less to do, with the same --seed for the same tasks"
)
EXIT_WRONG: Final = 1
EXIT_CONFIGURATION: Final = 2
EXIT_INTERRUPTED: Final = 130


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoOptions:
    """What was asked for."""

    data_dir: Path | None = None
    """Directory to use; None: a fresh one."""
    port: int = 0
    """gRPC port of the gateway; 0: a free one."""
    outputs: Outputs = field(default_factory=Outputs)
    seeds: Sequence[int] = ()
    """Deal the tasks; none: drawn."""
    backends: Backends = field(default_factory=Backends)
    yes: bool = False
    """Whether the administrator approves what waits for a person."""


def run_demo(options: DemoOptions) -> int:
    """Play the demo; returns 0 when all went well and at least 95 of 100 answers are right, else why not."""
    console = terminal.console()
    seeds = list(options.seeds) or draw_seeds()
    with tempfile.TemporaryDirectory(prefix="aios-demo-") as scratch, bound_socket() as beside:
        given = options.data_dir
        directory = given.expanduser().absolute() if given is not None else Path(scratch) / "data"
        origin = f"http://127.0.0.1:{beside.getsockname()[1]}"
        plan = _plan(directory, options.port or free_base_port(), options.backends, origin)
        try:
            return asyncio.run(_demo(plan, console, options, seeds, beside))
        except KeyboardInterrupt:
            console.print("demo stopped by Ctrl-C; its kernel is down")
            return EXIT_INTERRUPTED


def _plan(data_dir: Path, port: int, backends: Backends, origin: str) -> KernelPlan:
    extra = {
        "AIOS_TOOL_EGRESS_INTERNAL": f"{origin} 127.0.0.1/32",
        **{f"AIOS_{server}_SLOTS": str(SLOTS) for server in ("TGI_LOCAL", "TGI", "OPENAI")},
        "AIOS_LOG_LEVEL": "warning",
    }
    return KernelPlan(data_dir=data_dir, base_port=port, backends=backends, log_format="json", extra=extra)


async def _demo(
    plan: KernelPlan, console: "Console", options: DemoOptions, seeds: list[int], beside: socket.socket
) -> int:
    began = time.monotonic()
    model = "a small model of our own"
    if plan.backends.attached:
        found = await look(plan.backends)
        console.print("\n".join(welcome.models(plan, found, then="")), soft_wrap=True)
        if not welcome.serves(found):
            return EXIT_WRONG
        model = "the attached model"
    try:
        prepare(plan)
    except NotPrivate as refused:
        console.print(f"the kernel did not start: {refused}")
        return EXIT_CONFIGURATION
    logs: deque[str] = deque(maxlen=KEPT_LINES)
    supervisor = Supervisor(plan, lambda name, line: logs.append(f"{name}: {line}"))
    console.print(f"starting the kernel: a gateway, six managers and {model} ...")
    try:
        await supervisor.start()
        stage = Stage(plan, console, supervisor, options.outputs, seeds, approves=options.yes)
        async with asyncio.timeout(DEMO_SECONDS):
            await stage.play()
            await _devices(plan, stage, beside)
        return _verdict(console, stage.failures, time.monotonic() - began)
    except StartFailed as error:
        console.print("\n".join([*logs, f"the kernel did not start: {error}"]))
        return EXIT_WRONG
    except errors.AlreadyExists as error:
        console.print(f"demo failed: {error}: {plan.data_dir} holds an earlier demo, give another --data-dir")
        return EXIT_CONFIGURATION
    except (TimeoutError, errors.AiosError) as error:
        why = _SLOW if isinstance(error, TimeoutError) else str(error)
        console.print("\n".join([*logs, f"demo failed: {why}"]), soft_wrap=True)
        return EXIT_WRONG
    finally:
        await supervisor.stop()


async def _devices(plan: KernelPlan, stage: Stage, beside: socket.socket) -> None:
    """Show tools of every kind; what cannot be shown on this machine is skipped with the reason."""
    token = plan.admin_token_file.read_text().strip()
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(aios.connect(plan.gateway, token=token))
        around, why = None, ""
        try:
            around = await stack.enter_async_context(neighbours(beside))
        except ImportError as missing:
            why = f"{missing.name} is not installed"
        stage.tell(await devices.show(admin, around, why))


def _verdict(console: "Console", failures: Sequence[str], seconds: float) -> int:
    """Say plainly how it ended; returns the exit status."""
    console.print()
    if failures:
        console.print("\n".join(f"demo failed: {each}" for each in failures), soft_wrap=True)
        return EXIT_WRONG
    console.print(f"demo passed, in {seconds:.0f} s: every part did what it should")
    return 0
