"""`aios doctor`: is everything in order, and what to do if not."""

import asyncio
import importlib.metadata
import platform
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import typer

from aios.cli import DISTRIBUTION, session

if TYPE_CHECKING:
    from aios.kernel import Kernel

MAX_SKEW = 30.0
"""Largest difference of the clocks that does no harm. Unit: seconds."""


LEVELS: Final[Mapping[str, str]] = {
    "namespaces": "namespaces (bubblewrap), the strongest level",
    "landlock": "landlock and a keeper, the second level",
    "single": "landlock in one process, the third level",
}
"""What keeps code in, by the kernel's word for it."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


def doctor() -> None:
    """Check the kernel, the versions, the clock and the credential."""
    checks = [_versions(), *asyncio.run(_kernel_checks())]
    session.emit(checks, lambda: _show(checks))
    raise typer.Exit(0 if all(check.ok for check in checks) else 1)


def _show(checks: list[Check]) -> None:
    for check in checks:
        session.say(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}")
        if check.hint and not check.ok:
            session.say(f"     {check.hint}")


def _versions() -> Check:
    names = (DISTRIBUTION, "grpcio", "protobuf")
    found = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return Check("versions", ok=True, detail=f"Python {platform.python_version()}, {found}")


async def _kernel_checks() -> list[Check]:
    from aios import _settings  # noqa: PLC0415  # keeps `aios --help` quick
    from aios._retry import RetryPolicy  # noqa: PLC0415  # same
    from aios.kernel import connect  # noqa: PLC0415  # same

    said = session.options.get()
    target = _settings.target(said.endpoint)
    async with connect(
        said.endpoint, said.token, agent_key=said.agent_key, retry=RetryPolicy(window=2.0)
    ) as kernel:
        checks = [await _check("kernel", lambda: _reach(kernel, target.address))]
        if not checks[0].ok:
            return checks
        checks.append(await _check("credential", lambda: _who(kernel)))
        checks.append(await _check("clock", lambda: _clock(kernel)))
        checks.append(await _check("models", lambda: _models(kernel)))
        checks.append(await _check("scheduler", lambda: _scheduler(kernel)))
        checks += [await _check(name, work) for name, work in _managers(kernel)]
        checks.append(await _sandbox(kernel, here=target.address.startswith(("127.", "localhost", "[::1]"))))
    return checks


async def _sandbox(kernel: "Kernel", *, here: bool) -> Check:
    """Tell what code the kernel runs, by its own tools. `here`: it is on this machine."""
    from aios.errors import AiosError  # noqa: PLC0415  # keeps `aios --help` quick

    try:
        tools = await kernel.tools.list()
        found = {tool.name: tool.available for tool in tools}
    except AiosError as error:
        return Check("sandbox", ok=False, detail=str(error), hint=error.hint)
    level = next((tool.isolation for tool in tools if tool.isolation), "")
    return sandbox_check(found, bubblewrap=not here or shutil.which("bwrap") is not None, level=level)


def sandbox_check(tools: Mapping[str, bool], *, bubblewrap: bool, level: str = "") -> Check:
    """Judge what code a kernel runs by which of its own tools are available.

    `bubblewrap`: it is installed, or whether it is cannot be known. `level`: what keeps code in, as the
    kernel says it; empty: it does not.
    """
    code = [tools[name] for name in ("tools/python", "tools/shell") if name in tools]
    kept = f", kept in by {LEVELS.get(level, level)}" if level else ""
    better = (
        ""
        if bubblewrap or level == "namespaces"
        else "; bubblewrap would keep programs in better: install it"
    )
    if not code:
        return Check("sandbox", ok=True, detail="the kernel has no tools of its own that run code")
    if all(code):
        return Check("sandbox", ok=True, detail=f"Python and commands are run{kept}{better}")
    if any(code):
        return Check("sandbox", ok=True, detail=f"Python is run, no other programs{kept}{better}")
    return Check(
        "sandbox",
        ok=False,
        detail="no code is run: nothing keeps it in",
        hint="Install bubblewrap and allow user namespaces (on Ubuntu by its AppArmor profile too), or use"
        " Linux 6.12 with Landlock (lsm=landlock). The tool manager's log says what its self-test found.",
    )


def _managers(kernel: "Kernel") -> list[tuple[str, Callable[[], Awaitable[str]]]]:
    async def memory() -> str:
        return f"{(await kernel.memory.usage()).note_count} notes of yours"

    async def storage() -> str:
        return f"{(await kernel.files.usage()).file_count} files of yours"

    async def tools() -> str:
        found = await kernel.tools.list()
        return f"{sum(tool.available for tool in found)} of {len(found)} tools available"

    async def contexts() -> str:
        return f"{len(await kernel.contexts.list())} conversations of yours"

    return [("memory", memory), ("storage", storage), ("tools", tools), ("context", contexts)]


async def _check(name: str, work: Callable[[], Awaitable[str]]) -> Check:
    from aios.errors import AiosError  # noqa: PLC0415  # keeps `aios --help` quick

    try:
        return Check(name, ok=True, detail=await work())
    except AiosError as error:
        return Check(name, ok=False, detail=str(error), hint=error.hint)


async def _reach(kernel: "Kernel", address: str) -> str:
    took = await kernel.ping(timeout=5.0)
    return f"{address} answers in {took * 1000:.0f} ms"


async def _who(kernel: "Kernel") -> str:
    listed = await kernel.agents.list(limit=1, timeout=5.0)
    return f"accepted; {'sees agents' if listed else 'sees no agents yet'}"


async def _clock(kernel: "Kernel") -> str:
    from aios.errors import AiosError  # noqa: PLC0415  # keeps `aios --help` quick

    before = time.time()
    theirs = await kernel.server_time(timeout=5.0)
    skew = theirs - (before + time.time()) / 2
    if abs(skew) > MAX_SKEW:
        raise AiosError(
            f"the kernel's clock is {skew:+.0f} s off: tokens will be refused", reason="CLOCK_SKEW"
        )
    return f"{skew:+.1f} s apart"


async def _models(kernel: "Kernel") -> str:
    from aios.errors import NoBackend  # noqa: PLC0415  # keeps `aios --help` quick

    models = await kernel.llm.models(timeout=5.0)
    if not models:
        raise NoBackend("no backend serves a model")
    return ", ".join(f"{model.name} ({model.replica_count} x {model.slots} slots)" for model in models)


async def _scheduler(kernel: "Kernel") -> str:
    state = await kernel.queue.state(timeout=5.0)
    waiting = sum(one.waiting_count for one in state.classes)
    return f"{waiting} waiting, {sum(one.running_count for one in state.classes)} running"
