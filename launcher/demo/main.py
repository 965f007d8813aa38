"""Starts a kernel, plays the demo on it, sums up, and stops the kernel."""

import asyncio
import io
import re
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

from rich.console import Console

import aios
from aios.kernel import Kernel
from launcher.data import prepare
from launcher.demo.board import Board, Lines
from launcher.demo.stage import Act, perform
from launcher.demo.summary import Summary, summarise
from launcher.demo.tasks import cast
from launcher.plan import KernelPlan
from launcher.ports import free_base_port
from launcher.supervisor import StartFailed, Supervisor

SEED = 12
SLOTS = 4
"""Fewer slots than agents, so that there is something to schedule."""
QUANTUM_TOKENS = 16
POLICY = "rr"
KEPT_LINES = 60
PICTURE_COLUMNS = 112


def run_demo(data_dir: Path | None, port: int, picture: Path | None = None, seed: int = SEED) -> int:
    """Play the demo; returns 0 when at least nine of ten answers are right, else 1.

    With `picture` the last state of the table and the summary are saved as SVG.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="aios-demo-") as scratch:
        directory = data_dir.expanduser().absolute() if data_dir is not None else Path(scratch) / "data"
        return asyncio.run(_demo(directory, port or free_base_port(), console, picture, seed))


async def _demo(data_dir: Path, port: int, console: Console, picture: Path | None, seed: int) -> int:
    extra = {
        "AIOS_TGI_LOCAL_SLOTS": str(SLOTS),
        "AIOS_SCHEDULER_POLICY": POLICY,
        "AIOS_SCHEDULER_QUANTUM_TOKENS": str(QUANTUM_TOKENS),
        "AIOS_LOG_LEVEL": "warning",
    }
    plan = KernelPlan(data_dir=data_dir, base_port=port, log_format="json", extra=extra)
    prepare(plan.data_dir, plan.service_key_file)
    logs: deque[str] = deque(maxlen=KEPT_LINES)
    supervisor = Supervisor(plan, lambda name, line: logs.append(f"{name}: {line}"))
    console.print("starting the kernel: a gateway, six managers and a small model of our own ...")
    try:
        await supervisor.start()
        return await _play(plan, console, picture, seed)
    except StartFailed as error:
        console.print("\n".join([*logs, f"the kernel did not start: {error}"]), markup=False)
        return 1
    finally:
        await supervisor.stop()


async def _play(plan: KernelPlan, console: Console, picture: Path | None, seed: int) -> int:
    acts = [Act(each) for each in cast(seed)]
    token = plan.admin_token_file.read_text().strip()
    policy = f"{POLICY} (quantum {QUANTUM_TOKENS} tokens), {SLOTS} slots"
    async with aios.connect(plan.gateway, token=token) as admin:
        screen = Board(acts, console, policy) if sys.stdout.isatty() else Lines(console)
        with screen:
            watching = asyncio.create_task(_follow(admin, screen.calls))
            try:
                seconds = await perform(admin, acts, screen.changed)
            finally:
                watching.cancel()
                await asyncio.wait({watching})
    summary = summarise(acts, seconds, policy)
    console.print()
    for act in acts:
        for done in act.done:
            if not done.right:
                console.print(
                    f"wrong: {act.cast.name} was asked {done.task.prompt!r} and said {done.answer!r}",
                    markup=False,
                    highlight=False,
                    soft_wrap=True,
                )
    console.print("\n".join(summary.lines()), markup=False, highlight=False, soft_wrap=True)
    if picture is not None:
        await asyncio.to_thread(_paint, acts, summary, seconds, picture)
    return 0 if summary.passed else 1


def _paint(acts: list[Act], summary: Summary, seconds: float, picture: Path) -> None:
    """Save the table and the summary as SVG."""
    canvas = Console(record=True, width=PICTURE_COLUMNS, file=io.StringIO(), force_terminal=True)
    canvas.print(Board(acts, canvas, summary.policy, began=time.monotonic() - seconds).render())
    canvas.print("\n".join(summary.lines()), markup=False, highlight=False)
    # The stock fonts would be fetched from elsewhere by whoever looks at the picture.
    picture.write_text(
        re.sub(r"@font-face \{.*?\}|<!--.*?-->", "", canvas.export_svg(title="make demo"), flags=re.DOTALL)
    )


async def _follow(admin: Kernel, calls: dict[str, str]) -> None:
    """Keep what the scheduler says of each agent's call."""
    async for event in admin.queue.watch():
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
