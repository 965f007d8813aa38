"""Starts a kernel, plays the demo on it, sums up, and stops the kernel."""

import asyncio
import io
import json
import re
import socket
import sys
import tempfile
import time
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import aios
from aios.cli import terminal
from aios.cli.recording import Recording
from aios.cli.timeline import Timeline, chrome_trace
from aios.kernel import Kernel
from aios.types.queue import ScheduleEvent
from launcher import welcome
from launcher.backends import Backends
from launcher.data import prepare
from launcher.demo import devices
from launcher.demo.board import Board, Lines
from launcher.demo.neighbours import bound_socket, neighbours
from launcher.demo.stage import Act, perform
from launcher.demo.summary import Summary, summarise
from launcher.demo.tasks import cast
from launcher.plan import KernelPlan
from launcher.ports import free_base_port
from launcher.probe import look
from launcher.supervisor import StartFailed, Supervisor
from services.chassis.runtime.private_files import NotPrivate

if TYPE_CHECKING:
    from rich.console import Console

SEED = 12
SLOTS = 4
"""Fewer slots than agents, so that there is something to schedule."""
QUANTUM_TOKENS = 16
POLICY = "rr"
KEPT_LINES = 60
PICTURE_COLUMNS = 112


@dataclass(frozen=True, kw_only=True, slots=True)
class Outputs:
    """Files that the demo leaves behind; None: not wanted."""

    table: Path | None = None
    """The last table and the summary, as SVG."""

    chart: Path | None = None
    """Who waited, ran and was switched, by agent, as PNG or SVG."""

    trace: Path | None = None
    """The same for ui.perfetto.dev, as JSON."""


def run_demo(
    data_dir: Path | None, port: int, outputs: Outputs, seed: int = SEED, backends: Backends | None = None
) -> int:
    """Play the demo; returns 0 when at least nine of ten answers are right, else 1."""
    console = terminal.console()
    with tempfile.TemporaryDirectory(prefix="aios-demo-") as scratch, bound_socket() as beside:
        directory = data_dir.expanduser().absolute() if data_dir is not None else Path(scratch) / "data"
        origin = f"http://127.0.0.1:{beside.getsockname()[1]}"
        plan = _plan(directory, port or free_base_port(), backends or Backends(), origin)
        return asyncio.run(_demo(plan, console, outputs, seed, beside))


def _plan(data_dir: Path, port: int, backends: Backends, origin: str) -> KernelPlan:
    extra = {
        "AIOS_TOOL_EGRESS_INTERNAL": f"{origin} 127.0.0.1/32",
        **{f"AIOS_{server}_SLOTS": str(SLOTS) for server in ("TGI_LOCAL", "TGI", "OPENAI")},
        "AIOS_SCHEDULER_POLICY": POLICY,
        "AIOS_SCHEDULER_QUANTUM_TOKENS": str(QUANTUM_TOKENS),
        "AIOS_LOG_LEVEL": "warning",
    }
    return KernelPlan(data_dir=data_dir, base_port=port, backends=backends, log_format="json", extra=extra)


async def _demo(
    plan: KernelPlan, console: "Console", outputs: Outputs, seed: int, beside: socket.socket
) -> int:
    model = "a small model of our own"
    if plan.backends.attached:
        found = await look(plan.backends)
        console.print("\n".join(welcome.models(plan, found, then="")), soft_wrap=True)
        if not welcome.serves(found):
            return 1
        model = "the attached model"
    try:
        prepare(plan)
    except NotPrivate as refused:
        console.print(f"the kernel did not start: {refused}")
        return 2
    logs: deque[str] = deque(maxlen=KEPT_LINES)
    supervisor = Supervisor(plan, lambda name, line: logs.append(f"{name}: {line}"))
    console.print(f"starting the kernel: a gateway, six managers and {model} ...")
    try:
        await supervisor.start()
        passed = await _play(plan, console, outputs, seed)
        return 0 if await _devices(plan, console, beside) and passed else 1
    except StartFailed as error:
        console.print("\n".join([*logs, f"the kernel did not start: {error}"]))
        return 1
    finally:
        await supervisor.stop()


async def _devices(plan: KernelPlan, console: "Console", beside: socket.socket) -> bool:
    """Show tools of every kind; what cannot be shown on this machine is skipped with the reason."""
    token = plan.admin_token_file.read_text().strip()
    async with AsyncExitStack() as stack:
        admin = await stack.enter_async_context(aios.connect(plan.gateway, token=token))
        around, why = None, ""
        try:
            around = await stack.enter_async_context(neighbours(beside))
        except ImportError as missing:
            why = f"{missing.name} is not installed"
        shown = await devices.show(admin, around, why)
    console.print("\n".join(["", *(each.line() for each in shown)]), soft_wrap=True)
    return all(each.right for each in shown)


async def _play(plan: KernelPlan, console: "Console", outputs: Outputs, seed: int) -> bool:
    acts = [Act(each) for each in cast(seed)]
    token = plan.admin_token_file.read_text().strip()
    recording = Recording()
    async with aios.connect(plan.gateway, token=token) as admin:
        policy = await _policy(admin)
        screen = Board(acts, console, policy) if sys.stdout.isatty() else Lines(console)
        with screen:
            following = recording.follow(admin, on_event=lambda event: _note(event, screen.calls))
            watching = asyncio.create_task(following)
            try:
                seconds = await perform(admin, acts, screen.changed)
            finally:
                watching.cancel()
                await asyncio.wait({watching})
    timeline = recording.timeline()
    summary = summarise(acts, seconds, policy)
    console.print()
    _tell_wrong(acts, console)
    console.print("\n".join(summary.lines()), soft_wrap=True)
    if outputs.table is not None:
        await asyncio.to_thread(_paint, acts, summary, seconds, outputs.table)
    await asyncio.to_thread(_draw, timeline, summary, outputs, console)
    return summary.passed


async def _policy(admin: Kernel) -> str:
    """Say which policy the kernel is under, as it tells itself."""
    classes = (await admin.queue.policies()).classes
    policy = next(each.policy for each in classes if each.scheduling_class == "normal")
    told = ", ".join(f"{name} {value}" for name, value in policy.parameters.items())
    slots = sum(replica.slots for replica in (await admin.queue.state()).replicas)
    return f"{policy.name}{f' ({told})' if told else ''}, {slots} slots"


def _tell_wrong(acts: list[Act], console: "Console") -> None:
    for act in acts:
        for done in act.done:
            if not done.right:
                console.print(
                    f"wrong: {act.cast.name} was asked {done.task.prompt!r} and said {done.answer!r}",
                    soft_wrap=True,
                )


def _draw(timeline: Timeline, summary: Summary, outputs: Outputs, console: "Console") -> None:
    """Leave the chart and the trace behind."""
    if outputs.trace is not None:
        outputs.trace.parent.mkdir(parents=True, exist_ok=True)
        outputs.trace.write_text(json.dumps(chrome_trace(timeline)), encoding="utf-8")
        console.print(f"trace      {outputs.trace} (open it at https://ui.perfetto.dev)")
    if outputs.chart is not None:
        from aios.cli import trace_chart  # noqa: PLC0415 - drawing is heavy, and optional

        outputs.chart.parent.mkdir(parents=True, exist_ok=True)
        title = (
            f"who waited, ran and was switched: policy {summary.policy}, {summary.preemptions} preemptions"
        )
        trace_chart.draw(timeline, outputs.chart, title=title)
        console.print(f"chart      {outputs.chart}")


def _paint(acts: list[Act], summary: Summary, seconds: float, picture: Path) -> None:
    """Save the table and the summary as SVG."""
    canvas = terminal.console(record=True, width=PICTURE_COLUMNS, file=io.StringIO(), force_terminal=True)
    canvas.print(Board(acts, canvas, summary.policy, began=time.monotonic() - seconds).render())
    canvas.print("\n".join(summary.lines()))
    # The stock fonts would be fetched from elsewhere by whoever looks at the picture.
    picture.write_text(
        re.sub(r"@font-face \{.*?\}|<!--.*?-->", "", canvas.export_svg(title="make demo"), flags=re.DOTALL)
    )


def _note(event: ScheduleEvent, calls: dict[str, str]) -> None:
    """Keep what the scheduler says of each agent's call."""
    if event.syscall is not None:
        agent = event.syscall.name.split("/")[1]
        calls[agent] = _STATES.get(event.kind, calls.get(agent, ""))


_STATES = {
    "submitted": "waiting",
    "granted": "running",
    "preempted": "preempting",
    "yielded": "waiting",
    "finished": "tools",
    "rejected": "refused",
}
