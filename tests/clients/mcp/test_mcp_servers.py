"""Stock MCP servers, from npm and PyPI, serve the tools of agents, in the sandbox of a real kernel."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from aios.errors import PermissionDenied, ToolFailed
from aios.kernel import Kernel
from aios.types.mcp import McpServerInfo
from aios.types.tools import CallProgress
from tests.clients.environments import BUILD, REQUIREMENTS, Node, node_environment, python_environment
from tests.system.cluster import Cluster, cluster

SYSTEM_PYTHON = "/usr/bin/python3"
"""An interpreter that the sandbox shows wherever this process's own lies."""
HAS_SYSTEM_PYTHON = Path(SYSTEM_PYTHON).exists()
OTHERS = 0o005


@dataclass
class Running:
    """A kernel, and what its servers are made of."""

    kernel: Cluster
    admin: Kernel
    node: Node

    def npm(self, package: str, *arguments: str) -> list[str]:
        """Return the command of a server from npm."""
        script = self.node.folder / "node_modules" / "@modelcontextprotocol" / package / "dist" / "index.js"
        return [str(self.node.node), str(script), *arguments]

    async def agent(self, name: str) -> Kernel:
        """Return what a new agent sees."""
        return self.admin.as_agent(await self.admin.agents.register(name))

    async def add(self, name: str, command: list[str], **fields: Any) -> McpServerInfo:
        """Add a server whose tools need no approval."""
        return await self.admin.mcp.add_program(name, command, effect="reversible", **fields)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running() -> AsyncIterator[Running]:
    """Run a kernel that may run the servers' programs."""
    node = await node_environment("mcp-servers", REQUIREMENTS / "npm-mcp-servers.txt")
    hidden = [str(path) for path in (BUILD, *BUILD.parents) if path.stat().st_mode & OTHERS != OTHERS]
    if hidden:
        pytest.skip(f"programs in the sandbox, which are nobody's, cannot read {hidden[-1]}")
    async with cluster(extra={"AIOS_TOOL_MCP_PROGRAMS": str(BUILD)}) as kernel, kernel.admin() as admin:
        yield Running(kernel, admin, node)


async def test_every_kind_of_result_of_the_reference_server_comes_through(running: Running) -> None:
    added = await running.add("everything", running.npm("server-everything", "stdio"))
    assert (added.state, added.problem) == ("ready", "")
    agent = await running.agent("guest")

    echoed = await agent.tools.call("everything.echo", {"message": "hi"})
    summed = await agent.tools.call("everything.get-sum", {"a": 2, "b": 3})
    picture = await agent.tools.call("everything.get-tiny-image")
    weather = await agent.tools.call("everything.get-structured-content", {"location": "New York"})
    seen = await agent.tools.call("everything.get-env")

    assert echoed.value == "Echo: hi"
    assert "5" in str(summed.value)
    assert [piece.media_type for piece in picture.content] == ["image/png"]
    assert {"temperature", "conditions", "humidity"} <= set(weather.value)
    assert not [name for name in json.loads(seen.value) if name.startswith("AIOS")]
    assert echoed.untrusted


async def test_progress_of_a_stock_server_is_told_and_a_call_that_is_left_is_over(
    running: Running,
) -> None:
    await running.add("long", running.npm("server-everything", "stdio"))
    agent = await running.agent("patient")
    told: list[CallProgress] = []

    arguments = {"duration": 2, "steps": 4}
    await agent.tools.call("long.trigger-long-running-operation", arguments, on_progress=told.append)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await agent.tools.call("long.trigger-long-running-operation", {"duration": 60, "steps": 4})
    again = await agent.tools.call("long.echo", {"message": "still here"})

    assert [one.total for one in told][:1] == [4]
    assert again.value == "Echo: still here"


async def test_a_server_of_files_has_its_scratch_and_nothing_of_the_machine(running: Running) -> None:
    await running.add("disk", running.npm("server-filesystem", "/job"))
    agent = await running.agent("writer")

    await agent.tools.call("disk.write_file", {"path": "/job/a.txt", "content": "kept"})
    read = await agent.tools.call("disk.read_text_file", {"path": "/job/a.txt"})
    with pytest.raises(ToolFailed):
        await agent.tools.call("disk.read_text_file", {"path": "/etc/passwd"})

    assert read.value == {"content": "kept"}


async def test_what_one_agent_tells_a_server_of_memories_another_can_ask_for(running: Running) -> None:
    await running.add("graph", running.npm("server-memory"), environment={"MEMORY_FILE_PATH": "/job/m.json"})
    one, other = await running.agent("teller"), await running.agent("asker")
    entity = {"name": "moon", "entityType": "body", "observations": ["round"]}

    await one.tools.call("graph.create_entities", {"entities": [entity]})
    graph = await other.tools.call("graph.read_graph")

    assert [node["name"] for node in graph.value["entities"]] == ["moon"]


async def test_a_server_from_pypi_in_an_environment_of_its_own_tells_the_time(running: Running) -> None:
    if not HAS_SYSTEM_PYTHON:
        pytest.skip(f"there is no {SYSTEM_PYTHON} that the sandbox could show")
    python = await python_environment(
        "mcp-server-time", REQUIREMENTS / "mcp-server-time.txt", base=SYSTEM_PYTHON
    )
    command = [str(python), "-m", "mcp_server_time", "--local-timezone", "UTC"]
    added = await running.add("time", command)
    agent = await running.agent("punctual")

    now = await agent.tools.call("time.get_current_time", {"timezone": "UTC"})

    assert added.state == "ready"
    assert "UTC" in json.dumps(now.value)


async def test_no_agent_has_a_program_run_and_none_outside_the_operators_folders_is(running: Running) -> None:
    agent = await running.agent("eager")

    with pytest.raises(PermissionDenied):
        await agent.mcp.add_program("mine", running.npm("server-memory"))
    with pytest.raises(PermissionDenied):
        await running.add("outside", ["/opt/elsewhere/server"])
