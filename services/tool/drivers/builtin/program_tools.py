"""Built-in tools that run code in the sandbox, Python or commands of a shell, on the caller's files."""

from collections.abc import Mapping
from typing import Final

from services.tool.core.sandboxing import MIB, Limits, SandboxEnd, SandboxJob, SandboxLevel
from services.tool.core.workspaces import Workspace
from services.tool.drivers.builtin.answers import Answer, Function, request_id
from services.tool.drivers.programs import SPARE_SECONDS, Telling, check
from services.tool.drivers.workspace import check_out, commit
from services.tool.errors import ToolFailed
from services.tool.ports import Files, Job, Sandbox

MEMORY_BYTES: Final = 512 * MIB
SCRATCH_BYTES: Final = 32 * MIB
_LAST: Final = 4_000


class ProgramTools:
    """Functions that run code, by their names."""

    def __init__(self, sandbox: Sandbox, files: Files) -> None:
        self._sandbox, self._files = sandbox, files
        self.functions: Mapping[str, Function] = {"python": self._python, "shell": self._shell}

    def lacks(self, function: str) -> bool:
        """Whether it is a function that nothing can run just now."""
        if function not in self.functions:
            return False
        only_python = function != "python" and self._sandbox.level is SandboxLevel.SINGLE
        return bool(self._sandbox.problem) or only_python

    async def _python(self, job: Job) -> Answer:
        """Run a piece of Python; a failure of it is the tool's, and changes no files."""
        space = await self._space(job)
        end = await self._run(job, space, SandboxJob(argv=(), python=job.arguments["code"]))
        if end.code:
            raise ToolFailed(
                end.stderr.decode(errors="replace")[-_LAST:].strip() or f"exit status {end.code}"
            )
        return await self._answer(job, space, end)

    async def _shell(self, job: Job) -> Answer:
        """Run a command; its exit status is part of the answer."""
        space = await self._space(job)
        argv = ("/bin/sh", "-c", job.arguments["command"])
        end = await self._run(job, space, SandboxJob(argv=argv))
        return await self._answer(job, space, end, exit_status=end.code)

    async def _space(self, job: Job) -> Workspace:
        patterns = job.arguments.get("files")
        return Workspace() if patterns is None else await check_out(self._files, patterns)

    async def _run(self, job: Job, space: Workspace, what: SandboxJob) -> SandboxEnd:
        limits = Limits(
            memory_bytes=MEMORY_BYTES,
            scratch_bytes=SCRATCH_BYTES,
            cpu_seconds=job.seconds,
            wall_seconds=job.seconds + SPARE_SECONDS,
        )
        work = SandboxJob(
            argv=what.argv,
            python=what.python,
            files=space.files,
            want_files="files" in job.arguments,
            limits=limits,
        )
        end = await self._sandbox.run(work, Telling(job.tell).heard)
        check(end, limits)
        return end

    async def _answer(self, job: Job, space: Workspace, end: SandboxEnd, **more: int) -> Answer:
        """Keep what it changed, and tell what it said."""
        written = await commit(self._files, space, end.files, end.removed, request_id=request_id(job))
        told: dict[str, object] = dict(more)
        if end.stderr:
            told["errors"] = end.stderr.decode(errors="replace")
        if end.truncated:
            told["truncated"] = True
        if written or end.removed:
            told["changed"] = sorted({*(file.path for file in written), *end.removed})
        return Answer(end.stdout.decode(errors="replace"), told, untrusted=space.untrusted)
