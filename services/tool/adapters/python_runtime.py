"""The PythonRuntime port on the sandbox."""

import re
from typing import Final

from services.chassis.sandbox.terms import EndKind, Limits, SandboxJob, SandboxLevel
from services.tool.core.making import RuntimeFacts
from services.tool.errors import SandboxUnavailable
from services.tool.ports import Sandbox

_ASK: Final = "import sys\nprint('.'.join(map(str, sys.version_info[:3])))\n"
_VERSION: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){2}")


class SandboxedPython:
    """Asks the sandbox's own interpreter which it is, once for each level. None: there is no sandbox."""

    def __init__(self, sandbox: Sandbox | None) -> None:
        self._sandbox = sandbox
        self._known: dict[SandboxLevel, RuntimeFacts] = {}

    async def facts(self) -> RuntimeFacts:
        """Return interpreter and level. Raises SandboxUnavailable."""
        sandbox = self._sandbox
        if sandbox is None:
            raise SandboxUnavailable("there is no sandbox here")
        if sandbox.problem:
            raise SandboxUnavailable(sandbox.problem)
        level = sandbox.level
        if level not in self._known:
            job = SandboxJob(argv=(), python=_ASK, limits=Limits(cpu_seconds=5.0, wall_seconds=10.0))
            end = await sandbox.run(job)
            version = end.stdout.decode(errors="replace").strip()
            if end.how is not EndKind.EXITED or end.code or not _VERSION.fullmatch(version):
                raise SandboxUnavailable("the sandbox's interpreter does not say which it is")
            self._known[level] = RuntimeFacts(version, level.value)
        return self._known[level]
