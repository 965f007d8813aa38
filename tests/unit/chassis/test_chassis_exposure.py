"""Who gets what nobody vouches for is marked first: what methods and answers tell, and who is concerned."""

from typing import Any

import pytest

from aios.api.memory.v1 import memory_pb2
from aios.api.storage.v1 import resources_pb2, storage_pb2
from aios.api.tool.v1 import resources_pb2 as tools
from aios.api.tool.v1 import tool_pb2
from services.chassis.auth.identity import Caller, Kind
from services.chassis.rpc import methods
from services.chassis.rpc.errors import AccessUnavailable
from services.chassis.rpc.steps.exposure import Exposure
from tests.fakes.access import AllowAll, Refuse

OWN = Caller("planner", "acme", owner="planner", resource="agents/planner/files/a")
FOREIGN = Caller("planner", "acme", owner="critic", resource="agents/critic/files/a")
ADMIN = Caller("admin", "acme", Kind.ADMIN, owner="critic", resource="agents/critic/files/a")
KNOWN = methods.table(memory_pb2.DESCRIPTOR, storage_pb2.DESCRIPTOR, tool_pb2.DESCRIPTOR)
WORST = resources_pb2.File(untrusted=True)


def exposure(label: str) -> Exposure:
    """Return what a method may expose to, by the end of its path."""
    return next(Exposure(method) for path, method in KNOWN.items() if path.endswith(f"/{label}"))


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("StatFile", storage_pb2.StatFileResponse(file=WORST)),
        ("ListFiles", storage_pb2.ListFilesResponse(files=[resources_pb2.File(), WORST])),
        ("SearchFiles", storage_pb2.SearchFilesResponse(hits=[storage_pb2.FileHit(file=WORST)])),
        ("ReadFile", storage_pb2.ReadFileResponse(file=WORST)),
        ("CopyFile", storage_pb2.CopyFileResponse(file=WORST)),
        ("DiffVersions", storage_pb2.DiffVersionsResponse(untrusted=True)),
        ("GetNote", memory_pb2.GetNoteResponse(note=memory_pb2.Note(untrusted=True))),
        (
            "CallTool",
            tool_pb2.CallToolResponse(result=tools.Call(result=tools.CallResult(untrusted=True))),
        ),
        ("CallTool", tool_pb2.CallToolResponse(progress=tool_pb2.CallProgress(untrusted=True))),
        ("GetCall", tool_pb2.GetCallResponse(call=tools.Call(error=tools.CallError(untrusted=True)))),
        ("GetTool", tool_pb2.GetToolResponse(tool=tools.Tool(untrusted=True))),
        ("TakeCalls", tool_pb2.TakeCallsResponse(call=tool_pb2.TakenCall(untrusted=True))),
    ],
)
async def test_an_answer_that_nobody_vouches_for_marks_its_reader(method: str, answer: Any) -> None:
    access = AllowAll()
    await exposure(method).before(access, OWN, type(answer)())
    assert not access.marked

    await exposure(method).before(access, OWN, answer)
    assert access.marked == {"planner": OWN.resource}


async def test_content_of_another_agent_marks_its_reader_whatever_the_answer_says() -> None:
    access = AllowAll()
    for method in ("ReadFile", "ListNotes", "QueryRecords", "UpdateNote", "GetCall"):
        access.marked.clear()
        await exposure(method).before(access, FOREIGN, object())
        assert access.marked == {"planner": FOREIGN.resource}


async def test_writing_to_another_agent_marks_nobody_and_neither_does_an_administrators_look() -> None:
    access = AllowAll()
    await exposure("WriteFile").before(access, FOREIGN, storage_pb2.WriteFileResponse())
    await exposure("StatFile").before(access, ADMIN, storage_pb2.StatFileResponse(file=WORST))

    assert not access.marked


async def test_what_cannot_be_noted_is_not_delivered() -> None:
    access = Refuse(AccessUnavailable("access is away"))
    with pytest.raises(AccessUnavailable):
        await exposure("StatFile").before(access, OWN, storage_pb2.StatFileResponse(file=WORST))


def test_methods_whose_answers_hold_no_marks_are_not_looked_at() -> None:
    assert exposure("ShareFile").none
    assert not exposure("ReadFile").none
