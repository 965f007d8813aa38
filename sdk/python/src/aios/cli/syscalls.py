"""`aios trace AGENT`: every syscall of an agent as it happens, as strace shows those of a process."""

from typing import TYPE_CHECKING, Final

from aios.cli import session

if TYPE_CHECKING:
    from aios.kernel import Kernel
    from aios.types.agents import SyscallEvent

_OK: Final = "OK"


def follow(agent: str, *, tree: bool, duration: float | None, failed: bool) -> None:
    """Print the syscalls of an agent, with `tree` of all below it too, until Ctrl-C or for a time."""

    async def work(kernel: "Kernel") -> None:
        import asyncio  # noqa: PLC0415  # keeps `aios --help` quick

        try:
            async with asyncio.timeout(duration):
                async for event in kernel.agents.trace(agent, descendants=tree):
                    show(event, named=tree, failed=failed)
        except TimeoutError:
            return

    session.call(work)


def show(event: "SyscallEvent", *, named: bool, failed: bool) -> None:
    """Print one event; `failed`: only if it tells of a failure."""
    if event.lost_count:
        session.warn(f"aios: {event.lost_count} events were lost: they came faster than they were shown")
    if event.phase == "watching":
        session.warn("aios: watching; Ctrl-C ends it")
        return
    if failed and (event.phase != "ended" or event.code == _OK):
        return
    session.emit(event, lambda: session.say(line(event, named=named)))


def line(event: "SyscallEvent", *, named: bool) -> str:
    """Return an event as one line: when, who if `named`, what, how it ended and how long it took."""
    clock = event.time.astimezone().strftime("%H:%M:%S.%f")[:-3] if event.time else "-"
    who = f"{event.agent.removeprefix('agents/')} " if named else ""
    about = event.resource.removeprefix(f"{event.agent}/") if event.resource != event.agent else ""
    call = f"{clock} {who}{event.method}({about})"
    if event.phase == "begun":
        return f"{call} ..."
    end = event.code if event.code == _OK else event.reason or event.code
    return f"{call} = {end} <{session.seconds(event.duration)}>"
