"""`aios top`: what runs and waits, again and again, until `q`."""

import asyncio
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from aios.cli import session, terminal

if TYPE_CHECKING:
    from aios.kernel import Kernel
    from aios.types.agents import AgentInfo
    from aios.types.queue import QueueState, Syscall

_QUIT: Final = frozenset("qQ\x03\x04")
_FRAME: Final = 6
"""Lines of a screen that are not rows of agents."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment."""

    time: datetime
    state: "QueueState"
    calls: "Sequence[Syscall]"
    agents: "Sequence[AgentInfo]"


@dataclass(slots=True)
class Row:
    """One agent and its calls."""

    agent: str
    kind: str = "-"
    state: str = "-"
    running: int = 0
    waiting: int = 0
    longest: float = 0.0
    tokens: int = 0
    preempted: int = 0


def top(
    *,
    interval: Annotated[
        float, typer.Option("--interval", "-n", help="Seconds between two looks.", min=0.2)
    ] = 2.0,
    count: Annotated[int, typer.Option("--count", "-c", help="Looks, then end; 0: until q.", min=0)] = 0,
) -> None:
    """Show live which agents run and wait, busiest first; q ends it."""
    live = terminal.is_terminal() and sys.stdin.isatty() and not session.options.get().as_json
    looks = count if count or live else 1

    async def work(kernel: "Kernel") -> None:
        if not live:
            await _printed(kernel, interval, looks)
            return
        with terminal.screen() as screen, _keys() as pressed:
            await _redrawn(kernel, interval, looks, screen, pressed)

    session.call(work)


async def look(kernel: "Kernel") -> Look:
    """Ask the kernel for all that is shown."""
    state, calls, agents = await asyncio.gather(
        kernel.queue.state(), kernel.queue.list(), kernel.agents.list()
    )
    return Look(datetime.now().astimezone(), state, calls, agents)


async def _printed(kernel: "Kernel", interval: float, looks: int) -> None:
    """Print one look after the other, for a file or a program."""
    for number in range(looks):
        if number:
            await asyncio.sleep(interval)
        seen = await look(kernel)
        told = {"time": seen.time, "state": seen.state, "calls": seen.calls}
        lines = page(seen, 100_000, 100_000)
        session.emit(told, partial(terminal.out, "\n".join(lines)))


async def _redrawn(
    kernel: "Kernel", interval: float, looks: int, screen: terminal.Screen, pressed: asyncio.Event
) -> None:
    """Redraw the screen at each look, and at once when the terminal changes its size."""
    number = 0
    seen = await look(kernel)
    while not pressed.is_set():
        size = screen.size
        screen.draw(page(seen, *size))
        until = asyncio.get_running_loop().time() + interval
        while not pressed.is_set() and screen.size == size and asyncio.get_running_loop().time() < until:
            try:
                async with asyncio.timeout(0.1):
                    await pressed.wait()
            except TimeoutError:
                continue
        if screen.size != size or pressed.is_set():
            continue
        number += 1
        if looks and number >= looks:
            return
        seen = await look(kernel)


@contextmanager
def _keys() -> Iterator[asyncio.Event]:
    """Read keys as they are pressed; the event is set by one that ends the program."""
    import termios  # noqa: PLC0415  # not everywhere, and only for a live screen
    import tty  # noqa: PLC0415  # same

    pressed, file = asyncio.Event(), sys.stdin.fileno()
    loop, before = asyncio.get_running_loop(), termios.tcgetattr(sys.stdin)

    def read() -> None:
        key = os.read(file, 1)
        if not key or key.decode(errors="replace") in _QUIT:
            pressed.set()

    tty.setcbreak(file)
    loop.add_reader(file, read)
    try:
        yield pressed
    finally:
        loop.remove_reader(file)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def page(seen: Look, width: int, height: int) -> list[str]:
    """Return what is shown of a look, at most `height` lines of at most `width` characters. Pure."""
    lines = [*_summary(seen), "", _HEAD]
    rows = agent_rows(seen)
    room = max(1, height - _FRAME)
    lines += [_told(row) for row in rows[:room]]
    if len(rows) > room:
        lines.append(f"... and {len(rows) - room} more")
    return [terminal.line(each)[:width] for each in lines[:height]]


def _summary(seen: Look) -> list[str]:
    classes, replicas = seen.state.classes, seen.state.replicas
    longest = session.seconds(max((one.oldest_wait for one in classes if one.oldest_wait), default=None))
    active = sum(agent.state == "active" for agent in seen.agents)
    busy = sum(one.running_count for one in replicas if one.lane != "tool")
    slots = sum(one.slots for one in replicas if one.up and one.lane != "tool")
    running = sum(one.running_count for one in classes)
    waiting = sum(one.waiting_count for one in classes)
    down = sum(not one.up for one in replicas)
    return [
        f"aios top - {seen.time:%H:%M:%S}   {active} agents active   oldest wait {longest}",
        f"calls: {running} running, {waiting} waiting   slots: {busy} of {slots} busy   down: {down}",
        "policies: " + ", ".join(sorted({f"{one.scheduling_class} {one.policy}" for one in classes})),
    ]


_HEAD: Final = (
    f"{'AGENT':<28} {'KIND':<12} {'STATE':<9} {'RUN':>4} {'WAIT':>4} {'LONGEST':>8} {'TOKENS':>7} {'PREE':>4}"
)


def _told(row: Row) -> str:
    longest = session.seconds(row.longest) if row.waiting else "-"
    return (
        f"{_cut(row.agent, 28):<28} {_cut(row.kind, 12):<12} {row.state:<9} {row.running:>4} {row.waiting:>4}"
        f" {longest:>8} {row.tokens:>7} {row.preempted:>4}"
    )


def _cut(text: str, width: int) -> str:
    shown = terminal.line(text)
    return shown if len(shown) <= width else f"{shown[: width - 1]}…"


def agent_rows(seen: Look) -> list[Row]:
    """Return the agents with calls, who waits longest first, then those that only live. Pure."""
    rows: dict[str, Row] = defaultdict(lambda: Row(""))
    for agent in seen.agents:
        if agent.state != "killed":
            rows[agent.name] = Row(agent.id, agent.kind or "-", agent.state)
    for call in seen.calls:
        name = call.name.partition("/calls/")[0]
        row = rows[name]
        row.agent = row.agent or name.removeprefix("agents/")
        if call.state == "waiting":
            row.waiting += 1
            row.longest = max(row.longest, call.wait or 0.0)
        else:
            row.running += 1
        row.tokens += call.tokens_done
        row.preempted += call.preemption_count
    busy = sorted(rows.values(), key=lambda row: row.agent)
    return sorted(busy, key=lambda row: (-row.longest, -row.running, -row.waiting))
