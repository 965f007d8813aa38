"""A tool manager that is killed in a call at an MCP server, and a server that changes meanwhile."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from aios.errors import AiosError, PermissionDenied
from aios.kernel import Kernel
from tests.fakes.mcp_servers import EVIL
from tests.fakes.waiting import until
from tests.system.cluster import Cluster, cluster

PYTHON = Path("/usr/bin/python3")
"""An interpreter that the sandbox shows wherever this process's own lies."""

pytestmark = [
    pytest.mark.torture_tools,
    pytest.mark.skipif(not PYTHON.exists(), reason=f"there is no {PYTHON} that the sandbox could show"),
]


@pytest.fixture
def programs() -> Iterator[Path]:
    """Make a folder that programs in the sandbox can read."""
    folder = Path(tempfile.mkdtemp(prefix="aios-mcp-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@asynccontextmanager
async def kernel_of(programs: Path) -> AsyncIterator[tuple[Cluster, Kernel, Kernel]]:
    """Run a kernel; yields it, its administrator and an agent."""
    async with cluster(extra={"AIOS_TOOL_MCP_PROGRAMS": str(programs)}) as kernel, kernel.admin() as admin:
        yield kernel, admin, await kernel.agent(admin, "caller")


async def add(admin: Kernel, programs: Path, kind: str) -> None:
    script = programs / f"{kind}.py"
    shutil.copy(EVIL, script)
    await admin.mcp.add_program(kind, [str(PYTHON), str(script), kind], effect="reversible")


def running(programs: Path) -> list[int]:
    """Return the processes of servers."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if any(part.startswith(str(programs)) for part in command) and "bwrap" not in command[0]:
            found.append(process.pid)
    return found


async def test_a_killed_tool_manager_leaves_no_server_and_does_not_know_what_became_of_the_call(
    programs: Path,
) -> None:
    async with kernel_of(programs) as (kernel, admin, agent):
        await add(admin, programs, "hangs")
        await add(admin, programs, "good")
        call = await agent.tools.start("hangs.hello", {"text": "x"}, request_id="once")
        await until(lambda: bool(running(programs)))

        kernel.kill("tool")
        await until(lambda: not running(programs))
        await kernel.restarted("tool")

        assert (await agent.tools.get_call(call)).state == "unknown"
        again = await agent.tools.call("good.hello", {"text": "back"})
        assert again.value == {"result": "back"}
        assert [server.state for server in await admin.mcp.list()] == ["ready", "ready"]


async def test_a_program_that_was_replaced_serves_nobody_until_a_person_accepts_it(programs: Path) -> None:
    async with kernel_of(programs) as (kernel, admin, agent):
        await add(admin, programs, "good")
        script = programs / "good.py"
        script.write_text(script.read_text() + "\n# another program\n")
        kernel.kill("tool")
        await kernel.restarted("tool")

        with pytest.raises(AiosError, match="not what was accepted") as refused:
            await agent.tools.call("good.hello", {"text": "x"})
        assert refused.value.reason == "TOOL_CHANGED"
        with pytest.raises(PermissionDenied):
            await agent.mcp.review("good")
        review = await admin.mcp.review("good")
        assert review.server_changed
        await admin.mcp.accept("good", review.offered_sha256)

        assert (await agent.tools.call("good.hello", {"text": "x"})).value == {"result": "x"}
