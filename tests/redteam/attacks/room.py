"""Room that multiplies: children, and everything that each of them may keep."""

import grpc

from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2
from aios.api.context.v1 import context_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import resources_pb2, tool_pb2
from tests.redteam.fire import Fire, attack
from tests.redteam.ground import Ground
from tests.system.world import Metadata, bearer

REGISTER = "agent.v1.AgentService/RegisterAgent"
MEMORY = "memory.v1.MemoryService/"
STORAGE = "storage.v1.StorageService/"


async def brood(
    ground: Ground, fire: Fire, channel: grpc.aio.Channel, count: int, prefix: str
) -> dict[str, Metadata]:
    """Register children of the attacker's agent, as many as are let in, and return how they call."""
    made: dict[str, Metadata] = {}
    for n in range(count):
        request = agent_pb2.RegisterAgentRequest(agent_id=f"{prefix}{n}", parent=f"agents/{ground.agent}")
        outcome = await fire.call(channel, REGISTER, request)
        if outcome.messages:
            made[f"{prefix}{n}"] = bearer(outcome.messages[0].credential.token)
    return made


@attack("children", "a tree that grows without end, each agent with room of its own")
async def children(ground: Ground, fire: Fire) -> None:
    async with ground.channel() as channel:
        first = await brood(ground, fire, channel, 8, "brood")
        parents = list(first.items())

        async def shoot(number: int) -> None:
            parent, how = parents[number % len(parents)]
            request = agent_pb2.RegisterAgentRequest(parent=f"agents/{parent}")
            outcome = await fire.call(channel, REGISTER, request, how)
            if not outcome.messages:
                return
            child = outcome.messages[0].agent.name.removeprefix("agents/")
            token = bearer(outcome.messages[0].credential.token)
            note = memory_pb2.PutNoteRequest()
            note.note.name, note.note.content = f"agents/{child}/notes/n", "x" * 500_000
            await fire.call(channel, MEMORY + "PutNote", note, token)

        if parents:
            await fire.together(shoot, workers=8)


@attack("things", "countable things of every kind, more than anybody needs")
async def things(ground: Ground, fire: Fire) -> None:
    me = f"agents/{ground.agent}"
    async with ground.channel() as channel:

        async def shoot(number: int) -> None:
            upload = storage_pb2.BeginUploadRequest(file=f"{me}/files/u{number}", total_bytes=1 << 20)
            await fire.call(channel, STORAGE + "BeginUpload", upload)
            records = storage_pb2.PutRecordsRequest(collection=f"{me}/collections/c{number}")
            records.records.add().key = "k"
            await fire.call(channel, STORAGE + "PutRecords", records)
            grant = access_pb2.CreateGrantRequest()
            grant.grant.grantee = f"agents/{ground.victim}"
            grant.grant.resource = f"{me}/files/f{number}"
            grant.grant.actions.append("storage.read")
            await fire.call(channel, "access.v1.AccessService/CreateGrant", grant)
            context = context_pb2.CreateContextRequest()
            context.context.name = f"{me}/contexts/c{number}"
            await fire.call(channel, "context.v1.ContextService/CreateContext", context)
            note = memory_pb2.PutNoteRequest(request_id=f"r{number}")
            note.note.name, note.note.content = f"{me}/notes/n{number}", "x" * 100
            await fire.call(channel, MEMORY + "PutNote", note)
            await fire.call(channel, "tool.v1.ToolService/RegisterTool", _tool(number))

        await fire.together(shoot, workers=8)


def _tool(number: int) -> tool_pb2.RegisterToolRequest:
    tool = resources_pb2.Tool(
        name=f"tools/mal-{number}",
        description="x" * 4_000,
        effect=resources_pb2.TOOL_EFFECT_REVERSIBLE,
        provider=resources_pb2.ProviderDriver(),
    )
    return tool_pb2.RegisterToolRequest(tool=tool)


@attack("data-flood", "turns at the gate: a tree of agents calls without pause")
async def data_flood(ground: Ground, fire: Fire) -> None:
    async with ground.channel() as channel:
        many = list((await brood(ground, fire, channel, 12, "flood")).items())
        if not many:
            return

        async def shoot(number: int) -> None:
            agent, how = many[number % len(many)]
            note = memory_pb2.PutNoteRequest()
            note.note.name, note.note.content = f"agents/{agent}/notes/n{number % 50}", "x" * 2_000
            await fire.call(channel, MEMORY + "PutNote", note, how)

        await fire.together(shoot, workers=96)


@attack("control-flood", "turns of the lane that must always answer")
async def control_flood(ground: Ground, fire: Fire) -> None:
    async with ground.channel() as channel:
        many = list((await brood(ground, fire, channel, 8, "ctl")).items())
        if not many:
            return

        async def shoot(number: int) -> None:
            agent, how = many[number % len(many)]
            request = agent_pb2.GetAgentRequest(name=f"agents/{agent}")
            await fire.call(channel, "agent.v1.AgentService/GetAgent", request, how)
            denied = agent_pb2.KillAgentRequest(name=f"agents/{ground.victim}")
            outcome = await fire.call(channel, "agent.v1.AgentService/KillAgent", denied, how)
            fire.never(outcome.code.name == "OK", "an agent killed one of another tree")

        await fire.together(shoot, workers=64)
