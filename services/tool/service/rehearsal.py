"""Runs a draft's own examples in the sandbox, in its owner's turn at the tools that are its own."""

import asyncio
import secrets
from functools import partial
from typing import Final

from services.chassis.aside import aside
from services.chassis.auth.identity import Scope
from services.chassis.dispatch.scheduling import Completion
from services.chassis.rpc.errors import Cancelled, KernelError
from services.tool.core import making
from services.tool.core.making import Content, Draft, Example, ExampleEnd, Trial
from services.tool.errors import SandboxLost, SandboxUnavailable, ToolTimeout
from services.tool.model import DriverKind, QueueRequest, Tool
from services.tool.ports import Job, PythonRuntime, Queue, Ticket, ToolDriver
from services.tool.service.dependencies import Dependencies

WAIT_SECONDS: Final = 120.0
"""Most time that a test waits for its turn."""
TEST_SECONDS: Final = 120.0
"""Most time that all examples take together."""


class Rehearsal:
    """Tests drafts."""

    def __init__(self, deps: Dependencies, queue: Queue, runtime: PythonRuntime) -> None:
        self._deps = deps
        self._queue = queue
        self._runtime = runtime

    async def run(self, scope: Scope, draft: Draft) -> Trial:
        """Run every example once and return how they went. A failure of the tool is no error.

        Raises SandboxUnavailable, CapabilityMissing, ToolBusy, Cancelled when the kernel takes the turn back,
        or what a peer refuses.
        """
        driver, tool = self._deps.driver(DriverKind.PYTHON), making.own_tool(draft)
        facts = await self._runtime.facts()
        if problem := driver.problem(scope, tool):
            raise SandboxUnavailable(f"no Python tool can be run now: {problem}")
        turn = await self._queue.join(
            QueueRequest(
                scope=scope,
                call_id=f"test-{secrets.token_hex(12)}",
                tool=tool,
                locks=(),
                max_wait=WAIT_SECONDS,
            )
        )
        completion = Completion.CANCELLED
        try:
            await turn.granted()
            completion = Completion.FAILED
            ends = await self._in_turn(turn, scope, draft.content, driver, tool)
            completion = Completion.COMPLETED
        except asyncio.CancelledError:
            completion = Completion.CANCELLED
            raise
        finally:
            turn.ended(completion)
        return Trial(
            sha256=draft.sha256,
            source_sha256=making.source_digest(draft.content),
            interpreter=facts.interpreter,
            sandbox=facts.sandbox,
            examples=tuple(ends),
            tested_at=self._deps.clock.now(),
        )

    async def _in_turn(
        self, turn: Ticket, scope: Scope, content: Content, driver: ToolDriver, tool: Tool
    ) -> list[ExampleEnd]:
        """Run the examples, unless the kernel takes the turn back."""
        work = asyncio.create_task(self._examples(scope, content, driver, tool))
        watch = asyncio.create_task(turn.revoked())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise Cancelled("the kernel stopped the test")
            return work.result()
        finally:
            work.cancel()
            watch.cancel()
            # The driver ends what it started before it ends itself, in bounded time.
            await asyncio.gather(work, watch, return_exceptions=True)

    async def _examples(
        self, scope: Scope, content: Content, driver: ToolDriver, tool: Tool
    ) -> list[ExampleEnd]:
        until = asyncio.get_running_loop().time() + TEST_SECONDS
        ends = []
        for example in content.examples:
            left = until - asyncio.get_running_loop().time()
            job = Job(
                scope=scope,
                call_id=f"test-{secrets.token_hex(12)}",
                tool=tool,
                arguments=making.arguments_of(example),
                seconds=min(tool.timeout_seconds, max(left, 0.0)),
                tell=lambda _progress: None,
            )
            ends.append(await _ended(job, content, example, driver))
        return ends


async def _ended(job: Job, content: Content, example: Example, driver: ToolDriver) -> ExampleEnd:
    """Run one example. Raises SandboxUnavailable and SandboxLost: they say nothing about the draft."""
    try:
        async with asyncio.timeout(job.seconds) as limit:
            outcome = await driver.run(job)
        if outcome.error is not None:
            return making.failed_example(outcome.error.reason, outcome.error.message)
        return await aside(partial(making.judge, content, example, outcome.value))
    except (SandboxUnavailable, SandboxLost):
        raise
    except TimeoutError:
        if not limit.expired():
            raise
        return making.failed_example(ToolTimeout.reason, f"it ran longer than {job.seconds:g} s")
    except KernelError as error:
        return making.failed_example(error.reason, error.message)
