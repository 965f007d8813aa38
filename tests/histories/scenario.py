"""A little of everything that a kernel keeps, and what reading it gives."""

from typing import Any

import aios
from aios.kernel import Kernel
from aios.types.files import Record

AMY = "amy"
DORA = "dora"


async def fill(admin: Kernel) -> str:
    """Keep something of every kind as agent amy, and return her key."""
    handle = await admin.agents.register(AMY, kind="writer")
    await admin.agents.register(DORA)
    amy = admin.as_agent(handle)
    await amy.agents.register("amys-child")
    await amy.memory.put("trip/budget", "1200 EUR", tags=["trip"])
    await amy.memory.put("trip/city", "Lisbon", tags=["trip", "city"])
    await amy.memory.put("trip/city", "Porto", tags=["trip", "city"])
    await amy.files.write("plan.md", "# Plan\nfirst")
    await amy.files.write("plan.md", "# Plan\nsecond")
    await amy.files.write("notes/day 1.txt", "museum")
    await amy.files.write("old.txt", "gone")
    await amy.files.delete("old.txt")
    await amy.files.share("plan.md", f"agents/{DORA}")
    await amy.records.put("cities", [Record(key="porto", fields={"country": "PT"}, text="by the river")])
    await amy.contexts.create("talk", messages=[aios.Message("user", "Where to?")])
    await amy.contexts.append("talk", [aios.Message("assistant", "Porto.")])
    await amy.contexts.fork("talk", "other-talk")
    await amy.access.grant(f"agents/{DORA}", "agents/me/notes/trip/city", ["memory.read"])
    await amy.tools.call("calculator", {"expression": "6 * 7"})
    rule = (
        '@id("no-clock") forbid(principal, action == Action::"tool.call", resource == Tool::"tools/clock");'
    )
    await admin.access.put_policy("policies/no-clock", rule)
    doomed = await admin.agents.register("doomed")
    await admin.as_agent(doomed).memory.put("last", "words")
    await admin.agents.kill("doomed")
    return handle.credential.agent_key


async def read(admin: Kernel, amy: Kernel) -> dict[str, Any]:
    """Read everything back, as plain values that do not change from run to run."""
    return {
        "agents": sorted((one.name, one.kind, one.state) for one in await admin.agents.list()),
        "notes": sorted((note.key, note.content, sorted(note.tags)) for note in await amy.memory.list()),
        "found": [hit.note.key for hit in await amy.memory.search("porto")][:1],
        "plan": await amy.files.read_text("plan.md"),
        "first plan": (await amy.files.read("plan.md", version=1)).decode(),
        "files": sorted(one.path for one in await amy.files.list(recursive=True)),
        "trash": [one.path for one in await amy.files.trash()],
        "shares": [one.grantee for one in await amy.files.shares("plan.md")],
        "collections": await amy.records.collections(),
        "talk": [(one.message.role, one.message.content) for one in await amy.contexts.messages("talk")],
        "other talk": [
            (one.message.role, one.message.content) for one in await amy.contexts.messages("other-talk")
        ],
        "grants": sorted(
            (one.grantee, one.resource, sorted(one.actions)) for one in await amy.access.grants()
        ),
        "policies": sorted(one.name for one in await admin.access.policies() if not one.builtin),
        "calls": [(one.tool, one.state) for one in await amy.tools.calls()],
        "audit": (await admin.access.verify_audit()).intact,
    }
