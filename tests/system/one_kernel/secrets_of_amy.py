"""What agent amy keeps in the kernel, every piece marked, and the requests strangers try to get it with."""

import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aios.api.access.v1 import access_pb2
from aios.api.context.v1 import context_pb2
from aios.api.inference.v1 import inference_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import making_pb2, resources_pb2, tool_pb2
from tests.fakes.requests import Filler, problems
from tests.system.world import METHODS, Metadata, Outcome, Stubs, send

AMY = "agents/amy"
MARK = f"zqx{secrets.token_hex(4)}"
"""In every secret of amy's and nowhere else."""
NUMBER = str(secrets.randbelow(9 * 10**11) + 10**11)
"""The secret result of a tool."""

Prepare = Callable[[Any], object]


@dataclass
class Secrets:
    """Names of what amy keeps; the names themselves are known to everybody, but for the marked ones."""

    upload: str = ""
    call: str = ""
    grant: str = ""
    etags: dict[str, str] = field(default_factory=dict)


async def keep_secrets(stubs: Stubs, amy: Metadata) -> Secrets:
    """Have amy fill every part of the kernel."""
    kept = Secrets()
    note = memory_pb2.Note(
        name=f"{AMY}/notes/secret", content=f"{MARK}-note", tags=[f"{MARK}-tag"], context=f"{MARK}-why"
    )
    await stubs.memory.PutNote(memory_pb2.PutNoteRequest(note=note, request_id="r1"), metadata=amy)
    hidden = memory_pb2.Note(name=f"{AMY}/notes/{MARK}-key", content="unmarked")
    await stubs.memory.PutNote(memory_pb2.PutNoteRequest(note=hidden), metadata=amy)
    await _files(stubs, amy, kept)
    await _contexts(stubs, amy)
    await _generation(stubs, amy)
    kept.call = await _tool_call(stubs, amy, "r1")
    await _tool_call(stubs, amy, f"{MARK}-call")
    draft = making_pb2.ToolDraft(name=f"{AMY}/drafts/secret", description=f"{MARK}-draft")
    _drafted(draft)
    await stubs.tools.DraftTool(making_pb2.DraftToolRequest(draft=draft), metadata=amy)
    grant = {
        "grantee": "agents/dora",
        "resource": f"{AMY}/notes/secret",
        "actions": ["memory.read"],
        "description": f"{MARK}-grant",
    }
    made = await stubs.access.CreateGrant(access_pb2.CreateGrantRequest(grant=grant), metadata=amy)
    kept.grant = made.grant.name
    return kept


async def _files(stubs: Stubs, amy: Metadata, kept: Secrets) -> None:
    for number, name in enumerate(["plan.txt", "plan.txt", f"{MARK}.txt", "gone.txt"]):
        write = storage_pb2.WriteFileRequest(
            name=f"{AMY}/files/{name}",
            content=f"{MARK}-file {number}\n".encode(),
            comment=f"{MARK}-comment",
            metadata={"k": f"{MARK}-metadata"},
        )
        await stubs.storage.WriteFile(write, metadata=amy)
    delete = storage_pb2.DeleteFileRequest(name=f"{AMY}/files/gone.txt")
    await stubs.storage.DeleteFile(delete, metadata=amy)
    begin = storage_pb2.BeginUploadRequest(file=f"{AMY}/files/{MARK}-big", total_bytes=64)
    kept.upload = (await stubs.storage.BeginUpload(begin, metadata=amy)).upload.name
    record: Any = {"key": "k1", "text": f"{MARK}-record", "fields": {"f": f"{MARK}-field"}}
    put = storage_pb2.PutRecordsRequest(collection=f"{AMY}/collections/facts", records=[record])
    await stubs.storage.PutRecords(put, metadata=amy)


async def _contexts(stubs: Stubs, amy: Metadata) -> None:
    create = context_pb2.CreateContextRequest(
        context={"name": f"{AMY}/contexts/talk", "title": f"{MARK}-title", "labels": {"l": f"{MARK}-label"}},
        messages=[{"message": {"role": "ROLE_USER", "content": f"{MARK}-message"}}],
    )
    await stubs.context.CreateContext(create, metadata=amy)
    snapshot = {
        "name": f"{AMY}/generations/saved",
        "model": "m",
        "prompt_text": f"{MARK}-prompt",
        "emitted_text": f"{MARK}-emitted",
    }
    await stubs.context.SaveSnapshot(context_pb2.SaveSnapshotRequest(snapshot=snapshot), metadata=amy)


async def _generation(stubs: Stubs, amy: Metadata) -> None:
    """Have the model itself say the mark: its output is constrained to it."""
    asked = inference_pb2.GenerateRequest(
        messages=[{"role": "ROLE_USER", "content": "hello"}],
        constraint={"regex": f"{MARK}-said"},
        max_tokens=64,
        request_id="said",
    )
    answer = await stubs.inference.Generate(asked, metadata=amy)
    assert answer.finished.message.content == f"{MARK}-said"


async def _tool_call(stubs: Stubs, amy: Metadata, request_id: str) -> str:
    arguments = f'{{"expression": "{NUMBER} + 0"}}'
    asked = tool_pb2.CallToolRequest(tool="tools/calculator", arguments_json=arguments, request_id=request_id)
    events = [event async for event in stubs.tools.CallTool(asked, metadata=amy)]
    return str(events[0].accepted.call)


def marked(outcome: Outcome) -> bool:
    """Whether anything of amy's came back."""
    return MARK.encode() in outcome.seen or NUMBER.encode() in outcome.seen


class Probes:
    """The requests of every method about everything of amy's."""

    def __init__(self, kept: Secrets) -> None:
        names = [
            f"{AMY}/notes/secret",
            f"{AMY}/files/plan.txt",
            f"{AMY}/contexts/talk",
            f"{AMY}/generations/saved",
            kept.call,
            kept.upload,
            f"{AMY}/collections/facts",
            f"{AMY}/drafts/secret",
            f"{AMY}/drafts/secret/versions/1",
            AMY,
        ]
        commons = [
            "tools/calculator",
            kept.grant,
            "groups/team",
            "policies/p1",
            "approvals/a1",
            "persons/amy",
            "approvalRules/r1",
            "mcpservers/m1",
            "secrets/github",
            "secrets/s1",
        ]
        plain = ["0" * 64, "r1", "x", "memory.read", "https://127.0.0.1:1/", "{}", ""]
        self._filler = Filler(
            [*names, *commons, *plain], {"name": [AMY], "parent": [AMY, f"{AMY}/files"], "model": [""]}
        )
        self._prepare = preparations(kept)

    def of(self, label: str) -> Iterator[Any]:
        """Yield the requests of one method; all are valid by the method's own rules."""
        prepare = self._prepare.get(label)
        for request in self._filler.requests(METHODS[label]):
            if prepare is not None:
                prepare(request)
            assert not problems(request), f"{label} needs a preparation: {problems(request)}"
            yield request

    def with_own(self, label: str, agent: str) -> Iterator[Any]:
        """Yield a request of one method about a resource of `agent` that names others of amy's beside it."""
        method = METHODS[label]
        *_, request = self.of(label)
        name = method.resource_of(request)
        if name.startswith(f"{AMY}/"):
            *parents, last = method.resource.split(".")
            inner = request
            for parent in parents:
                inner = getattr(inner, parent)
            setattr(inner, last, name.replace(AMY, f"agents/{agent}", 1))
            yield request


def preparations(kept: Secrets) -> Mapping[str, Prepare]:
    """Return what a few methods need beyond their rules."""
    generation = f"{AMY}/generations/said"
    return {
        "agent.v1.AgentService/UpdateAgent": lambda it: it.update_mask.paths.append("display_name"),
        "context.v1.ContextService/SaveSnapshot": lambda it: _set(it.snapshot, model="m"),
        "context.v1.ContextService/UpdateContext": lambda it: it.update_mask.paths.append("title"),
        "inference.v1.InferenceService/Generate": _ask,
        "inference.v1.InferenceService/StreamGenerate": lambda it: _ask(it.generation),
        "inference.v1.InferenceService/WatchGeneration": lambda it: _set(it, name=generation),
        "inference.v1.InferenceService/CancelGeneration": lambda it: _set(it, name=generation),
        "memory.v1.MemoryService/LinkNotes": lambda it: it.add.add(note=f"{AMY}/notes/secret"),
        "memory.v1.MemoryService/PutNote": lambda it: _set(it.note, content="overwritten"),
        "memory.v1.MemoryService/UpdateNote": _overwrite,
        "scheduler.v1.SchedulerService/CancelSyscall": lambda it: _set(it, name=kept.call),
        "scheduler.v1.SchedulerService/ExplainWait": lambda it: _set(it, name=kept.call),
        "storage.v1.StorageService/DeleteRecords": _delete_all,
        "storage.v1.StorageService/RollbackFile": _roll_back,
        "tool.v1.ToolService/CallTool": lambda it: it.ClearField("arguments_json"),
        "tool.v1.ToolService/CompleteCall": lambda it: it.result.ClearField("value_json"),
        "tool.v1.ToolService/DraftTool": lambda it: _drafted(it.draft, description="overwritten"),
        "tool.v1.ToolService/RegisterTool": lambda it: _set(it.tool, description="mine"),
    }


def _set(message: Any, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(message, name, value)


def _drafted(draft: making_pb2.ToolDraft, **fields: str) -> None:
    """Make of a draft one that is taken."""
    _set(draft, **fields)
    draft.python.CopyFrom(resources_pb2.PythonDriver(source="def f(): return 1", function="f"))
    del draft.examples[:]
    for _ in range(2):
        draft.examples.add(arguments_json="{}", result_json="1")


def _ask(request: Any) -> None:
    request.Clear()
    request.messages.add(role="ROLE_USER", content="what did amy say?")
    _set(request, max_tokens=2, request_id="said")


def _overwrite(request: Any) -> None:
    request.update_mask.paths.append("content")
    request.note.content = "overwritten"


def _delete_all(request: Any) -> None:
    del request.keys[:], request.filters[:]
    request.all = True


def _roll_back(request: Any) -> None:
    request.ClearField("before_time")
    _set(request, version=1, steps=0)


READS = (
    "agent.v1.AgentService/GetAgent",
    "access.v1.AccessService/ListGrants",
    "context.v1.ContextService/GetContext",
    "context.v1.ContextService/ListContexts",
    "context.v1.ContextService/ListMessages",
    "context.v1.ContextService/ListSnapshots",
    "context.v1.ContextService/LoadSnapshot",
    "inference.v1.InferenceService/WatchGeneration",
    "memory.v1.MemoryService/GetNote",
    "memory.v1.MemoryService/ListNotes",
    "storage.v1.StorageService/GetUpload",
    "storage.v1.StorageService/ListCollections",
    "storage.v1.StorageService/ListFiles",
    "storage.v1.StorageService/ListShares",
    "storage.v1.StorageService/ListTrash",
    "storage.v1.StorageService/ListVersions",
    "storage.v1.StorageService/QueryRecords",
    "storage.v1.StorageService/ReadFile",
    "storage.v1.StorageService/StatFile",
    "tool.v1.ToolService/GetCall",
    "tool.v1.ToolService/GetDraft",
    "tool.v1.ToolService/ListDrafts",
    "tool.v1.ToolService/ListCalls",
)
"""What amy reads to see that everything is as she left it."""
UNMARKED = {
    "context.v1.ContextService/ListSnapshots",
    "agent.v1.AgentService/GetAgent",
    "storage.v1.StorageService/ListCollections",
    "storage.v1.StorageService/ListShares",
}
"""Those of them whose answer holds no secret."""
_VOLATILE = ("access_time", "residence", "expire_time", "index_lag")


async def everything(stubs: Stubs, amy: Metadata, probes: Probes) -> dict[str, list[Any]]:
    """Read all that amy has, as amy, without what reading itself changes."""
    found: dict[str, list[Any]] = {}
    for label in READS:
        request = next(probes.of(label))
        outcome = await send(stubs.channel, label, request, amy)
        assert outcome.code.name == "OK", outcome.text
        assert marked(outcome) or label in UNMARKED, f"{label} shows amy no secret: the test proves nothing"
        for message in outcome.messages:
            _still(message)
        found[label] = list(outcome.messages)
    return found


def _still(message: Any) -> None:
    """Clear, everywhere in a message, the fields that reading changes."""
    for descriptor, value in list(message.ListFields()):
        if descriptor.name in _VOLATILE:
            message.ClearField(descriptor.name)
        elif descriptor.message_type is not None and not descriptor.message_type.GetOptions().map_entry:
            for each in value if descriptor.is_repeated else [value]:
                _still(each)
