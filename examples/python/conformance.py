"""Runs the cases of a list against a live kernel, by generated stubs alone, without the SDK.

    python examples/python/conformance.py tests/polyglot/conformance.json

It prints one line of JSON for each case and exits with 1 when one fails. AIOS_ENDPOINT, AIOS_DATA_DIR and
AIOS_TOKEN are as for the SDK.
"""

import json
import os
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from aios.api.inference.v1 import inference_pb2, inference_pb2_grpc
from aios.api.memory.v1 import memory_pb2, memory_pb2_grpc
from aios.api.storage.v1 import storage_pb2, storage_pb2_grpc
from aios.api.tool.v1 import resources_pb2, tool_pb2, tool_pb2_grpc

SECONDS = 60.0
LOUD = '{"text": "HELLO"}'


@dataclass(frozen=True)
class World:
    """What every case works with."""

    channel: grpc.Channel
    admin: str
    name: str
    token: str


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a call in the name of a token."""
    return (("authorization", f"Bearer {token}"),)


def reason(error: grpc.RpcError) -> str:
    """Return why a call failed, by the one ErrorInfo that every error of the kernel has; else nothing."""
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        if detail.Unpack(info) and info.domain == "aios":
            return str(info.reason)
    return ""


def violations(error: grpc.RpcError) -> list[str]:
    """Return the wrong fields of a request that was refused."""
    request = error_details_pb2.BadRequest()
    status = rpc_status.from_call(error)
    details = status.details if status is not None else ()
    return [each.field for detail in details if detail.Unpack(request) for each in request.field_violations]


def failure(work: Callable[[], object]) -> grpc.RpcError:
    """Return the error that a piece of work ends with."""
    try:
        work()
    except grpc.RpcError as error:
        return error
    raise AssertionError("it did not fail")


def put(world: World, key: str, content: str) -> None:
    """Write a note."""
    note = memory_pb2.Note(name=f"agents/me/notes/{key}", content=content)
    memory_pb2_grpc.MemoryServiceStub(world.channel).PutNote(
        memory_pb2.PutNoteRequest(note=note), metadata=bearer(world.token), timeout=SECONDS
    )


def unary(world: World) -> None:
    """Ask who the token is."""
    told = agent_pb2_grpc.AgentServiceStub(world.channel).GetAgent(
        agent_pb2.GetAgentRequest(name="agents/me"), metadata=bearer(world.token), timeout=SECONDS
    )
    assert (told.agent.name, told.agent.kind) == (world.name, "conformance"), told


def stream(world: World) -> None:
    """Read an answer as it comes."""
    request = inference_pb2.GenerateRequest(
        messages=[{"role": "ROLE_USER", "content": "Say hello to Mira."}], max_tokens=64
    )
    events = inference_pb2_grpc.InferenceServiceStub(world.channel).StreamGenerate(
        inference_pb2.StreamGenerateRequest(generation=request), metadata=bearer(world.token), timeout=SECONDS
    )
    seen = [response.event for response in events]
    said = "".join(event.delta.text for event in seen)
    assert any(event.HasField("admitted") for event in seen), seen
    assert said, seen
    assert said == seen[-1].finished.message.content, seen


def cancel(world: World) -> None:
    """Cancel a stream once it has begun."""
    call = agent_pb2_grpc.AgentServiceStub(world.channel).WatchAgents(
        agent_pb2.WatchAgentsRequest(parent=world.name), metadata=bearer(world.token), timeout=SECONDS
    )
    next(call)  # it shows what is there, and would then wait for ever
    call.cancel()
    assert failure(lambda: list(call)).code() is grpc.StatusCode.CANCELLED


def deadline(world: World) -> None:
    """Let a stream outlive its deadline."""
    call = agent_pb2_grpc.AgentServiceStub(world.channel).WatchAgents(
        agent_pb2.WatchAgentsRequest(parent=world.name), metadata=bearer(world.token), timeout=0.3
    )
    assert failure(lambda: list(call)).code() is grpc.StatusCode.DEADLINE_EXCEEDED


def error_details(world: World) -> None:
    """Read the reason of an error, and the wrong fields of a request."""
    notes = memory_pb2_grpc.MemoryServiceStub(world.channel)
    nowhere = memory_pb2.GetNoteRequest(name="agents/me/notes/nowhere")
    missing = failure(lambda: notes.GetNote(nowhere, metadata=bearer(world.token), timeout=SECONDS))
    assert (missing.code(), reason(missing)) == (grpc.StatusCode.NOT_FOUND, "NOTE_NOT_FOUND"), missing
    backwards = memory_pb2.ListNotesRequest(parent="agents/me", page_size=-1)
    wrong = failure(lambda: notes.ListNotes(backwards, metadata=bearer(world.token), timeout=SECONDS))
    assert wrong.code() is grpc.StatusCode.INVALID_ARGUMENT, wrong
    assert "page_size" in violations(wrong), wrong


def paging(world: World) -> None:
    """List five notes by two."""
    for number in range(5):
        put(world, f"page/{number}", "text")
    pages = list(listed(world))
    assert pages == [["page/0", "page/1"], ["page/2", "page/3"], ["page/4"]], pages


def listed(world: World) -> Iterator[list[str]]:
    """Yield the keys on each page."""
    request = memory_pb2.ListNotesRequest(parent="agents/me", key_prefix="page/", page_size=2)
    while True:
        page = memory_pb2_grpc.MemoryServiceStub(world.channel).ListNotes(
            request, metadata=bearer(world.token), timeout=SECONDS
        )
        yield [note.key for note in page.notes]
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def idempotent_retry(world: World) -> None:
    """Send a request twice, and another one under its id."""
    agents = agent_pb2_grpc.AgentServiceStub(world.channel)
    request = agent_pb2.RegisterAgentRequest(kind="twice", request_id=str(uuid.uuid4()))

    def register() -> agent_pb2.RegisterAgentResponse:
        return agents.RegisterAgent(request, metadata=bearer(world.admin), timeout=SECONDS)

    first, second = register(), register()
    assert first.agent.name == second.agent.name, (first, second)
    request.kind = "another"
    refused = failure(register)
    assert reason(refused) == "IDEMPOTENCY_MISMATCH", refused


def big_message(world: World) -> None:
    """Write a mebibyte at once, and read it back."""
    content = b"0123456789abcdef" * (1 << 16)
    files, name = storage_pb2_grpc.StorageServiceStub(world.channel), "agents/me/files/big.bin"
    written = storage_pb2.WriteFileRequest(name=name, content=content)
    files.WriteFile(written, metadata=bearer(world.token), timeout=SECONDS)
    read = files.ReadFile(
        storage_pb2.ReadFileRequest(name=name), metadata=bearer(world.token), timeout=SECONDS
    )
    back = b"".join(event.data for event in read)
    assert back == content, len(back)


def unicode(world: World) -> None:
    """Keep names and texts of all scripts."""
    key = "ключ/鍵/🗝"
    text = "naïve | 日本語 | עברית | 👩‍👩‍👧 | e\u0301 | \u202eabc | 𝄞"
    put(world, key, text)
    told = memory_pb2_grpc.MemoryServiceStub(world.channel).GetNote(
        memory_pb2.GetNoteRequest(name=f"agents/me/notes/{key}"),
        metadata=bearer(world.token),
        timeout=SECONDS,
    )
    assert (told.note.key, told.note.content) == (key, text), told


def tool_provider(world: World) -> None:
    """Register a tool, run its calls in this process, and call it as an agent would."""
    tools = tool_pb2_grpc.ToolServiceStub(world.channel)
    tool = resources_pb2.Tool(
        name=f"tools/shout-{uuid.uuid4().hex[:8]}",
        description="Says a text louder.",
        effect=resources_pb2.TOOL_EFFECT_PURE,
        provider=resources_pb2.ProviderDriver(),
        parameters_schema_json='{"type": "object", "properties": {"text": {"type": "string"}}}',
    )
    tools.RegisterTool(tool_pb2.RegisterToolRequest(tool=tool), metadata=bearer(world.admin), timeout=SECONDS)
    taking = tools.TakeCalls(
        tool_pb2.TakeCallsRequest(tools=[tool.name], capacity=1, process_id=str(uuid.uuid4())),
        metadata=bearer(world.admin),
        timeout=SECONDS,
    )
    next(taking)  # a heartbeat says that the tool is taken
    served: list[str] = []
    serving = threading.Thread(target=lambda: served.append(serve(taking, tools, world.admin)))
    serving.start()
    events = tools.CallTool(
        tool_pb2.CallToolRequest(tool=tool.name, arguments_json='{"text": "hello"}'),
        metadata=bearer(world.token),
        timeout=SECONDS,
    )
    [result] = [event.result for event in events if event.HasField("result")]
    serving.join(SECONDS)
    taking.cancel()
    assert [json.loads(arguments) for arguments in served] == [{"text": "hello"}], served
    assert result.result.value_json == LOUD, result


def serve(
    taking: Iterator[tool_pb2.TakeCallsResponse], tools: tool_pb2_grpc.ToolServiceStub, admin: str
) -> str:
    """Run one call; return its arguments."""
    call = next(event.call for event in taking if event.HasField("call"))
    tools.CompleteCall(
        tool_pb2.CompleteCallRequest(
            call=call.call, lease_id=call.lease_id, result=resources_pb2.CallResult(value_json=LOUD)
        ),
        metadata=bearer(admin),
        timeout=SECONDS,
    )
    return call.arguments_json


CASES: dict[str, Callable[[World], None]] = {
    case.__name__: case
    for case in (
        unary,
        stream,
        cancel,
        deadline,
        error_details,
        paging,
        idempotent_retry,
        big_message,
        unicode,
        tool_provider,
    )
}


def tried(case: str, channel: grpc.Channel, admin: str) -> str:
    """Run a case with an agent of its own; return what is wrong."""
    if case not in CASES:
        return "this program has no such case"
    try:
        told = agent_pb2_grpc.AgentServiceStub(channel).RegisterAgent(
            agent_pb2.RegisterAgentRequest(kind="conformance"), metadata=bearer(admin), timeout=SECONDS
        )
        CASES[case](World(channel, admin, told.agent.name, told.credential.token))
    except (AssertionError, grpc.RpcError, StopIteration, ValueError) as error:
        return repr(error)
    return ""


def main(path: str) -> int:
    """Run all cases of the list; return the exit status."""
    data = Path(os.environ.get("AIOS_DATA_DIR", "~/.aios")).expanduser()
    admin = os.environ.get("AIOS_TOKEN") or (data / "admin.token").read_text().strip()
    status = 0
    with grpc.insecure_channel(os.environ.get("AIOS_ENDPOINT", "127.0.0.1:7070")) as channel:
        for each in json.loads(Path(path).read_text(encoding="utf-8"))["cases"]:
            detail = tried(each["id"], channel, admin)
            print(json.dumps({"case": each["id"], "ok": not detail, "detail": detail}), flush=True)
            status = status or int(bool(detail))
    return status


if __name__ == "__main__":
    match sys.argv[1:]:
        case [path]:
            sys.exit(main(path))
        case _:
            sys.exit("usage: conformance.py CONFORMANCE.json")
