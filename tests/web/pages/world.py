"""A kernel with all that the pages show, much of it written by somebody hostile."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import aios
from aios.kernel import Kernel
from tests.fakes.fake_openai import Behaviour, fake_openai, words
from tests.system.cluster import Cluster, cluster

MARKUP = "<img src=x onerror=window.pwned=1>"
TRICK = "invoice\u202egnp.exe"
SHOWN_TRICK = "RLO"
NOTE = f"""# Plan

- **first** step, then [the site](http://example.com/x) and [this](javascript:window.pwned=1)
- ![a picture](http://example.com/track.png)

<script>window.pwned=1</script> {MARKUP} {TRICK}
"""
SLOTS = 4
_PIECES = [*words(30), f" {MARKUP}", f" {TRICK}", " <scr", "ipt>window.pwned=1</scr", "ipt>", *words(60)]
_TOKEN_SECONDS = 0.03
_CALLERS = 10


@dataclass(frozen=True, slots=True)
class World:
    """The kernel and who signs in."""

    kernel: Cluster
    admin: Kernel
    coder: Kernel

    @property
    def url(self) -> str:
        """The console's first page."""
        return f"{self.kernel.plan.door}/console/"


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Run a kernel on a slow server with few slots, with agents at work."""
    async with AsyncExitStack() as stack:
        behaviour = Behaviour(
            slots=SLOTS, token_delay=_TOKEN_SECONDS, pieces=_PIECES, model="qwen3-32b", window=32_768
        )
        server = await stack.enter_async_context(fake_openai(behaviour))
        kernel = await stack.enter_async_context(
            cluster(openai=(server.url,), extra={"AIOS_OPENAI_SLOTS": str(SLOTS)})
        )
        admin = await stack.enter_async_context(kernel.admin())
        agents = await _agents(admin)
        coder = agents[0]
        await _keeps(coder)
        tasks = await stack.enter_async_context(_working())
        for place in range(_CALLERS):
            tasks.create_task(_talk(agents[place % len(agents)], place))
        await stack.enter_async_context(_tools(admin))
        await _calls(coder)
        for number in (1, 2, 3):
            tasks.create_task(_asks(coder, number))
        yield World(kernel, admin, coder)


async def _agents(admin: Kernel) -> list[Kernel]:
    await admin.agents.register(
        "planner", display_name="Release planner", kind="planner", labels={"team": MARKUP}
    )
    made = [
        await admin.agents.register(name, parent="planner", display_name=name.title(), kind=name)
        for name in ("coder", "tester", "reviewer", "writer")
    ]
    await admin.agents.register("linter", parent="coder", display_name="Linter", kind="coder")
    await admin.agents.register("odd", parent="tester", display_name=MARKUP, kind="<b>bold</b>")
    await admin.agents.register("sleeper", display_name="\u202a" + "sleeper", kind="coder")
    await admin.agents.suspend("sleeper", reason="night")
    await admin.agents.register("spare", kind="coder")
    await admin.agents.register("spare-child", parent="spare", kind="coder")
    return [admin.as_agent(each) for each in made]


async def _keeps(coder: Kernel) -> None:
    await coder.memory.put("plan", NOTE, tags=["plan", MARKUP])
    for number in range(6):
        await coder.memory.put(f"facts/{number}", f"Fact {number}: the build takes {number} minutes.")
    await coder.files.write("src/main.py", "import sys\n\n\ndef main():\n    print('hello')\n\n\nmain()\n")
    await coder.files.write(
        "src/main.py", f"import sys\n\n\ndef main():\n    print('{MARKUP}{TRICK}')\n\n\nsys.exit(main())\n"
    )
    await coder.files.write(f"{MARKUP.replace('/', '')}.txt", NOTE)
    await coder.files.write("old.txt", "old\n")
    await coder.files.delete("old.txt")
    said = [
        {"role": "system", "content": "You are a careful engineer."},
        {"role": "user", "content": f"Mend the test. {MARKUP} {TRICK}"},
        {
            "role": "assistant",
            "content": "I looked at it:\n\n```\nAssertionError\n```\n\nThe **return code** is missing.",
        },
    ]
    turns = [
        {
            "role": "user" if turn % 2 else "assistant",
            "content": f"Turn {turn}: {'words and more words. ' * 30}",
        }
        for turn in range(12)
    ]
    await coder.contexts.create("main", [*said, *turns], title=MARKUP, token_budget=1024, reserve_tokens=128)


@asynccontextmanager
async def _tools(admin: Kernel) -> AsyncIterator[None]:
    async def deploy(target: str, count: int = 1) -> str:
        """Deploy to a target."""
        return f"deployed {count} to {target}"

    async def add(left: int, right: int) -> str:
        """Add two numbers, <b>boldly</b>."""
        return f"{left + right} {MARKUP}"

    async with (
        admin.tools.provide(aios.tool(deploy), effect="irreversible"),
        admin.tools.provide(aios.tool(add), effect="pure"),
    ):
        yield


async def _calls(coder: Kernel) -> None:
    for number in range(3):
        await coder.tools.call("add", {"left": number, "right": 2})


@asynccontextmanager
async def _working() -> AsyncIterator[asyncio.TaskGroup]:
    """Work beside the tests, which ends with them."""

    class _Over(Exception):
        pass

    with contextlib.suppress(BaseExceptionGroup):
        async with asyncio.TaskGroup() as tasks:
            yield tasks
            raise _Over


async def _talk(agent: Kernel, place: int) -> None:
    classes: tuple[Literal["interactive", "normal", "batch"], ...] = ("interactive", "normal", "batch")
    turn = 0
    while True:
        turn += 1
        with contextlib.suppress(aios.AiosError):
            await agent.llm.chat(
                f"Say something, for the {turn}th time.",
                max_tokens=40 + 15 * ((place * 7 + turn * 3) % 6),
                hints=aios.Hints(scheduling_class=classes[place % 3]),
            )


async def _asks(coder: Kernel, number: int) -> None:
    """Ask for what a person has to approve."""
    with contextlib.suppress(aios.AiosError):
        await coder.tools.call(
            "deploy",
            {"target": f"production-{number} {MARKUP} {TRICK}", "count": number},
            wait_for_approval=True,
            timeout=600,
        )
