"""Tools of a whole kernel as agents use them: through the gateway, with access, storage and a person."""

import asyncio

import pytest

import aios
from aios.errors import Unavailable
from aios.syscalls import STANDARD, KernelTool, run_as_text
from aios.types.access import Approval
from tests.system.cluster import Cluster

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="package")]


@aios.tool
async def shout(text: str) -> str:
    """Shout a text."""
    return text.upper()


@aios.tool
async def fire(at: str) -> str:
    """Fire at something."""
    return f"fired at {at}"


async def first_pending(admin: aios.Kernel, agent: str) -> Approval:
    """Wait for an agent to ask for an approval."""
    async with asyncio.timeout(30):
        while True:
            for approval in await admin.access.approvals():
                if approval.agent == agent:
                    return approval
            await asyncio.sleep(0.05)


async def test_agents_call_built_in_provided_and_approved_tools(kernel: Cluster) -> None:
    async with kernel.admin() as admin:
        planner, worker = await kernel.agent(admin, "crafter"), await kernel.agent(admin, "herald")
        for tool in ("shout", "fire"):
            await admin.access.grant("agents/herald", f"tools/{tool}", ["tool.register"])
        await planner.files.write("notes/todo.txt", "buy unusual parsnips")

        async def text(agent: aios.Kernel, tool: str, **arguments: object) -> str:
            return await run_as_text(KernelTool(agent, STANDARD[tool]), arguments)

        sums = await text(planner, "calculator", expression="2 + 17")
        wrong = await text(planner, "calculator", expression="1 / 0")
        length = await text(planner, "convert_units", **{"value": 3500, "from": "m", "to": "km"})
        mine = await text(planner, "search_files", query="parsnips")
        not_mine = await text(worker, "search_files", query="parsnips")
        async with worker.tools.provide(shout):
            provided = str(await planner.tools.call("shout", {"text": "hello"}))
        with pytest.raises(Unavailable):
            await planner.tools.call("shout", {"text": "hello"}, timeout=2)
        async with worker.tools.provide(fire, effect="irreversible"):
            firing = asyncio.create_task(
                planner.tools.call("fire", {"at": "moon"}, wait_for_approval=True, timeout=60)
            )
            approval = await first_pending(admin, "agents/crafter")
            before = firing.done()
            await admin.access.decide(approval.name, approve=True)
            fired = str(await firing)

    assert (sums, wrong, length) == ("19", "error: division by zero", "3.5 km")
    assert (mine, not_mine) == ("notes/todo.txt", "nothing found")
    assert provided == "HELLO"
    assert approval.arguments_preview == '{"at":"moon"}'
    assert not before
    assert fired == "fired at moon"


async def test_an_agent_works_on_its_files_by_built_in_tools(kernel: Cluster) -> None:
    async with kernel.admin() as admin:
        planner, other = await kernel.agent(admin, "clerk"), await kernel.agent(admin, "rival")
        made = await planner.tools.call("write_file", {"path": "sales.csv", "content": "town,sold\nOslo,3\n"})
        edit = {
            "path": "sales.csv",
            "old_text": "Oslo,3",
            "new_text": "Oslo,4\nRome,5",
            "etag": made.value["etag"],
        }
        await planner.tools.call("edit", edit)
        question = {"tables": {"t": "sales.csv"}, "sql": "SELECT town FROM t WHERE sold > 4"}
        asked = await planner.tools.call("csv_query", question)
        found = await planner.tools.call("grep", {"pattern": "^R"})
        refused = [
            await run_as_text(KernelTool(who, aios.ToolSpec("read_file", "", {})), {"path": path})
            for who, path in ((other, "sales.csv"), (other, "agents/clerk/files/sales.csv"))
        ]

    assert asked.value["result"] == [["Rome"]]
    assert found.value["result"] == "sales.csv:3: Rome,5"
    assert refused == ["error: file not found", "error: permission denied"]
