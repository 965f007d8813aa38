"""Which programs are run as MCP servers, what they see, and what of them is pinned."""

from pathlib import Path
from typing import Any

import pytest

from services.chassis.rpc.errors import KernelError
from services.tool.core.mcp_servers import McpServer, StdioServer
from services.tool.drivers.mcp.dialling import Dialler, StdioRules, Ways
from services.tool.errors import SandboxUnavailable
from tests.fakes.clock import FakeClock
from tests.fakes.plain_sandbox import PlainProcess, PlainSandbox


class Unwilling(PlainSandbox):
    """A sandbox that notes what it is to run, and runs nothing."""

    async def open(self, job: Any) -> PlainProcess:
        """Note it."""
        self.jobs.append(job)
        raise SandboxUnavailable("bwrap: /home/operator/.secret: no")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "servers"
    made.mkdir()
    (made / "server.py").write_text("1")
    return made.resolve()


def dialler(sandbox: PlainSandbox, *folders: Path, **rules: Any) -> Dialler:
    chosen = StdioRules(directories=tuple(map(str, folders)), **rules)
    ways = Ways(sandbox=sandbox, egress=None, secrets=None, web=None, rules=chosen)
    return Dialler(ways, FakeClock(), open_seconds=1.0)


def server(*command: str, **fields: Any) -> McpServer:
    return McpServer(id="x", stdio=StdioServer(command=command, **fields))


async def refused(made: Dialler, asked: McpServer) -> KernelError:
    with pytest.raises(KernelError) as error:
        await made.dial("acme", asked)
    return error.value


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("python3", "EGRESS_DENIED"),
        ("/etc/passwd", "EGRESS_DENIED"),
        ("/usr/../etc/passwd", "EGRESS_DENIED"),
        ("/usr/bin", "MCP_SERVER_FAILED"),
        ("/usr/bin/nothing-of-the-kind", "MCP_SERVER_FAILED"),
    ],
)
async def test_only_programs_of_the_system_and_the_operators_folders_are_run(
    command: str, reason: str
) -> None:
    sandbox = Unwilling()

    assert (await refused(dialler(sandbox), server(command))).reason == reason
    assert not sandbox.jobs


async def test_a_link_out_of_the_operators_folders_leads_nowhere(folder: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")

    error = await refused(dialler(Unwilling(), folder), server(str(folder / "link")))

    assert error.reason == "EGRESS_DENIED"


async def test_a_program_sees_the_folders_that_it_names_and_no_others(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    sandbox = Unwilling()
    made = dialler(sandbox, folder, other)

    error = await refused(made, server("/usr/bin/env", str(folder / "server.py"), environment={"A": "b"}))

    (job,) = sandbox.jobs
    assert job.mounts == {str(folder): str(folder)}
    assert (job.environment["A"], job.limits.network) == ("b", False)
    assert "operator" not in error.message


async def test_a_program_gets_the_network_only_where_the_operator_lets_it() -> None:
    sandbox = Unwilling()
    asked = server("/usr/bin/env", allow_network=True)

    assert (await refused(dialler(sandbox), asked)).reason == "EGRESS_DENIED"
    assert (await refused(dialler(sandbox, network=True), asked)).reason == "SANDBOX_UNAVAILABLE"
    assert [job.limits.network for job in sandbox.jobs] == [True]


async def test_the_files_that_a_command_names_are_pinned(folder: Path) -> None:
    made, asked = dialler(Unwilling(), folder), server("/usr/bin/env", str(folder / "server.py"))
    before = await made.pin(asked)
    (folder / "server.py").write_text("2")

    assert await made.pin(asked) != before
