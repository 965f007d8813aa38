"""Judges policy texts in a process of its own, so that no text can stop or slow the access manager.

One process does it, one text at a time; it is kept warm, and ended and replaced when it overruns its time,
dies or its caller leaves. It is started by exec, never by fork: a fork of a process that uses gRPC hangs.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Final

from services.access.errors import PolicyInvalid
from services.access.model import Finding, Severity
from services.chassis.auth.identity import caller_or_none
from services.chassis.gate import FairGate, GateConfig, Visitor
from services.chassis.rpc.errors import FieldViolation, ServiceUnavailable
from services.chassis.runtime.logs import logger

_log = logger(__name__)

COMMAND: Final = (sys.executable, "-m", "services.access.adapters.policy_checker")
_LONGEST_ANSWER: Final = 1 << 20


TEXTS: Final = GateConfig(
    running=1,
    running_per_tenant=1,
    running_per_tree=1,
    running_per_agent=1,
    waiting=64,
    waiting_per_tenant=8,
    waiting_per_tree=4,
    waiting_per_agent=2,
)
"""One text at a time, by turns; what waits is little, since each may take seconds."""


class PolicyProcess:
    """A warm process that judges policy texts. All methods belong to one event loop."""

    def __init__(
        self,
        *,
        command: Sequence[str] = COMMAND,
        time_limit: float = 5.0,
        start_limit: float = 20.0,
        gate: GateConfig = TEXTS,
    ) -> None:
        """Allow a text `time_limit` and the start `start_limit` seconds; as many wait as `gate` says."""
        self._command = tuple(command)
        self._time_limit = time_limit
        self._start_limit = start_limit
        self._gate = FairGate(gate)
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None

    async def findings(self, text: str) -> list[Finding]:
        """List what is wrong with a text.

        Raises PolicyInvalid when the text takes too long or ends the process, TooManyCalls or QueueFull when
        too many texts wait, DeadlineExceeded, ServiceUnavailable when the process does not start.
        """
        async with self._gate.admit(Visitor.of(caller_or_none())), self._turn:
            process = await self._ready()
            return await self._judged(process, text)

    async def warm(self) -> None:
        """Start the process, so that the first text need not wait for it. Raises ServiceUnavailable."""
        async with self._turn:
            await self._ready()

    async def close(self) -> None:
        """End the process."""
        await self._end()

    async def _ready(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self._end()
        try:
            async with asyncio.timeout(self._start_limit):
                self._process = await self._start()
                if await _answer(self._process) is not None:
                    return self._process
        except (OSError, TimeoutError) as error:
            _log.error("the policy checker does not start", exc=error)
        except BaseException:
            await self._end()
            raise
        await self._end()
        raise ServiceUnavailable("policies cannot be judged right now", retry_after=1.0)

    async def _start(self) -> asyncio.subprocess.Process:
        # Of this process's environment it gets where Python finds modules: no key, no address, no file.
        return await asyncio.create_subprocess_exec(
            *self._command,
            env={"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            limit=_LONGEST_ANSWER,
        )

    async def _judged(self, process: asyncio.subprocess.Process, text: str) -> list[Finding]:
        answer = None
        try:
            async with asyncio.timeout(self._time_limit):
                answer = await _ask(process, text)
        except TimeoutError as error:
            _log.warning("a policy text took too long", seconds=self._time_limit)
            raise _refused(f"checking the policy takes longer than {self._time_limit:g} s", "time") from error
        finally:
            # Also when the caller left: the process is busy with a text that nobody waits for.
            if answer is None:
                await self._end()
        if answer is None:
            _log.warning("a policy text ended the policy checker", code=process.returncode)
            raise _refused("the policy is more than its parser can take", "parser")
        return answer

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if process.stdin is not None:
            process.stdin.close()


async def _ask(process: asyncio.subprocess.Process, text: str) -> list[Finding] | None:
    """Send a text and return the answer, or None when the process ended instead."""
    if process.stdin is None:
        return None
    try:
        process.stdin.write(json.dumps({"text": text}).encode() + b"\n")
        await process.stdin.drain()
    except ConnectionError:
        return None
    return await _answer(process)


async def _answer(process: asyncio.subprocess.Process) -> list[Finding] | None:
    if process.stdout is None:
        return None
    try:
        return [
            Finding(Severity(one["severity"]), str(one["message"]), str(one["policy_id"]))
            for one in json.loads(await process.stdout.readline())
        ]
    except (ValueError, KeyError, TypeError, ConnectionError):  # half a line, none, or one too long
        return None


def _refused(message: str, bound: str) -> PolicyInvalid:
    return PolicyInvalid(
        message, metadata={"bound": bound}, violations=[FieldViolation("policy.text", message)]
    )
