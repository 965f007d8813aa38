"""Tools that agents make: sources that hurt whoever reads or runs them, and short cuts past the person."""

from aios.api.access.v1 import access_pb2
from aios.api.tool.v1 import making_pb2, resources_pb2, tool_pb2
from tests.redteam.fire import Fire, attack
from tests.redteam.ground import Ground

TOOL = "tool.v1.ToolService/"
SOURCES = (
    "def f():\n    return " + "(" * 50_000 + ")" * 50_000,
    "def f():\n    while True: pass",
    "def f():\n    return 'x' * 10**9",
    "import os\ndef f():\n    while True: os.fork()",
    "def f():\n    while True: print('x' * 10**6)",
    "def f():\n    return open('/proc/self/environ').read()",
    "import socket\ndef f():\n    return socket.create_connection(('127.0.0.1', 80))",
    "def f():\n    return 1",
)


def _draft(agent: str, number: int) -> making_pb2.DraftToolRequest:
    examples = [making_pb2.ToolExample(result_json="1")] * 2
    python = resources_pb2.PythonDriver(source=SOURCES[number % len(SOURCES)], function="f")
    draft = making_pb2.ToolDraft(
        name=f"agents/{agent}/drafts/d{number}", description="x", python=python, examples=examples
    )
    draft.timeout.FromSeconds(1)
    return making_pb2.DraftToolRequest(draft=draft)


@attack("drafts", "hostile sources, tests without end, tools of others, sharing without a person")
async def drafts(ground: Ground, fire: Fire) -> None:
    async with ground.channel() as channel:

        async def shoot(number: int) -> None:
            mine = _draft(ground.agent, number)
            name = mine.draft.name
            await fire.call(channel, TOOL + "DraftTool", mine)
            await fire.call(channel, TOOL + "TestDraft", making_pb2.TestDraftRequest(name=name, own=True))
            shared = await fire.call(channel, TOOL + "ShareDraft", making_pb2.ShareDraftRequest(name=name))
            if shared.code.name == "OK":
                state = shared.messages[0].draft.state
                fire.never(state == making_pb2.DRAFT_STATE_SHARED, "a tool was shared without a person")
                said = access_pb2.DecideApprovalRequest(
                    name=shared.messages[0].draft.approval, decision=access_pb2.APPROVAL_DECISION_APPROVE
                )
                decided = await fire.call(channel, "access.v1.AccessService/DecideApproval", said)
                fire.never(decided.code.name == "OK", "an agent approved its own tool")
            for method, request in (
                ("DraftTool", _draft(ground.victim, number)),
                ("RevokeTool", making_pb2.RevokeToolRequest(name=name)),
                ("RollBackTool", making_pb2.RollBackToolRequest(name=f"{name}/versions/1")),
                ("RegisterTool", _registered(number)),
            ):
                outcome = await fire.call(channel, TOOL + method, request)
                fire.never(outcome.code.name == "OK", f"an ordinary agent did {method}")

        await fire.together(shoot, workers=8)


def _registered(number: int) -> tool_pb2.RegisterToolRequest:
    python = resources_pb2.PythonDriver(source=SOURCES[-1], function="f")
    tool = resources_pb2.Tool(name=f"tools/py-{number}", description="x", python=python)
    return tool_pb2.RegisterToolRequest(tool=tool)
