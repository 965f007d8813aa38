"""Settings, tokens, methods and the mapping of messages to records."""

import dataclasses
import importlib
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

import aios
from aios import _settings, errors
from aios._methods import method_of
from aios._tokens import RENEW_PAUSE, FileToken, KeyedToken, issued_at, lifetime
from aios._wire import agents as agents_wire
from aios._wire import records
from aios._wire.common import duration, number, seconds, word
from aios.api.access.v1 import access_pb2
from aios.api.access.v1 import resources_pb2 as access_res
from aios.api.agent.v1 import agent_pb2
from aios.api.context.v1 import context_pb2
from aios.api.context.v1 import resources_pb2 as context_res
from aios.api.inference.v1 import inference_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.scheduler.v1 import scheduler_pb2
from aios.api.storage.v1 import resources_pb2 as storage_res
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import resources_pb2 as tool_res
from aios.api.tool.v1 import tool_pb2
from aios.types import access, agents, contexts, files, llm, memory, queue, tools
from aios.types.agents import Credential

PAIRS = [
    (access.Grant, access_res.Grant),
    (access.Approval, access_res.Approval),
    (access.ApprovalRule, access_res.ApprovalRule),
    (access.ApprovalVote, access_res.ApprovalVote),
    (access.Person, access_res.Person),
    (access.AccessPolicy, access_res.Policy),
    (access.AuditEntry, access_res.AuditEntry),
    (access.AuditCheck, access_pb2.VerifyAuditResponse),
    (agents.AgentInfo, agent_pb2.Agent),
    (agents.Hints, agent_pb2.SchedulingHints),
    (contexts.ContextInfo, context_res.Context),
    (contexts.ContextMessage, context_res.Message),
    (contexts.Window, context_pb2.AssembleWindowResponse),
    (contexts.Dropped, context_pb2.DroppedMessages),
    (files.FileInfo, storage_res.File),
    (files.FileVersion, storage_res.FileVersion),
    (files.FileDiff, storage_pb2.DiffVersionsResponse),
    (files.FileHit, storage_pb2.FileHit),
    (files.Share, storage_res.Share),
    (files.FileEvent, storage_pb2.WatchFilesResponse),
    (files.StorageUsage, storage_pb2.GetUsageResponse),
    (files.Record, storage_res.Record),
    (files.RecordHit, storage_pb2.RecordHit),
    (llm.ModelInfo, inference_pb2.Model),
    (memory.Note, memory_pb2.Note),
    (memory.NoteLink, memory_pb2.NoteLink),
    (memory.NoteHit, memory_pb2.NoteHit),
    (memory.MemoryUsage, memory_pb2.GetUsageResponse),
    (queue.Syscall, scheduler_pb2.Syscall),
    (queue.QueueState, scheduler_pb2.GetQueueResponse),
    (queue.ClassQueue, scheduler_pb2.ClassQueue),
    (queue.Replica, scheduler_pb2.Replica),
    (queue.Explanation, scheduler_pb2.ExplainWaitResponse),
    (queue.Ahead, scheduler_pb2.Ahead),
    (queue.PastSyscall, scheduler_pb2.PastSyscall),
    (queue.SyscallSums, scheduler_pb2.SyscallSums),
    (queue.AgentUsage, scheduler_pb2.AgentUsage),
    (queue.AgentSyscalls, scheduler_pb2.AgentSyscalls),
    (queue.Waits, scheduler_pb2.ExplainWaitsResponse),
    (access.Identity, access_pb2.WhoAmIResponse),
    (access.AccessReview, access_pb2.AccessReview),
    (queue.Policies, scheduler_pb2.GetPolicyResponse),
    (queue.ScheduleEvent, scheduler_pb2.WatchScheduleResponse),
    (tools.CallInfo, tool_res.Call),
    (tools.CallProgress, tool_pb2.CallProgress),
    (tools.CallError, tool_res.CallError),
    (tools.Piece, tool_res.Content),
]


@pytest.mark.parametrize(("kind", "message"), PAIRS)
def test_a_record_has_only_fields_of_its_message(kind: Any, message: Any) -> None:
    names = {field.name for field in dataclasses.fields(kind)}

    assert names <= set(message.DESCRIPTOR.fields_by_name)


@pytest.mark.parametrize(
    ("kind", "message"), [p for p in PAIRS if p[0] not in (tools.CallInfo, agents.AgentInfo)]
)
def test_an_empty_message_becomes_a_record(kind: Any, message: Any) -> None:
    assert isinstance(records.record(kind, message()), kind)


def test_durations_and_enums_keep_their_value() -> None:
    half = duration(1.5)

    assert half is not None
    assert seconds(half) == 1.5
    assert duration(None) is None
    assert word(agent_pb2.AgentState, "AGENT_STATE_", 1) == "active"
    assert word(agent_pb2.AgentState, "AGENT_STATE_", 99) == "99"
    assert records.enum_word(agent_pb2.AgentState.DESCRIPTOR, 99) == "99"
    with pytest.raises(ValueError, match="active, suspended, killed"):
        number(agent_pb2.AgentState, "AGENT_STATE_", "asleep", "state")


def test_whole_numbers_of_a_struct_are_integers() -> None:
    assert records.plain({"a": 1.0, "b": [2.5, 3.0], "c": "x", "d": 2.0**60}) == {
        "a": 1,
        "b": [2.5, 3],
        "c": "x",
        "d": 2.0**60,
    }


def test_the_protos_say_what_may_be_repeated_and_how_long_it_takes() -> None:
    put = method_of(memory_pb2.PutNoteRequest())
    get = method_of(memory_pb2.GetNoteRequest())

    assert put.path == "/aios.api.memory.v1.MemoryService/PutNote"
    assert put.takes_request_id
    assert put.repeatable
    assert get.repeatable
    assert not get.takes_request_id
    assert get.default_timeout == 10.0
    with pytest.raises(LookupError):
        method_of(memory_pb2.Note())


def test_endpoints_come_from_the_argument_the_environment_or_the_default() -> None:
    assert _settings.target(None, {}).address == "127.0.0.1:7070"
    assert _settings.target(None, {"AIOS_ENDPOINT": "kernel:1"}).address == "kernel:1"
    assert _settings.target(None, {"AIOS_PORT": "17070"}).address == "127.0.0.1:17070"
    assert _settings.target(None, {"AIOS_PORT": "17070", "AIOS_ENDPOINT": "kernel:1"}).address == "kernel:1"
    assert _settings.target(None, {"AIOS_PORT": "tcp://10.0.0.1:80"}).address == "127.0.0.1:7070"
    assert _settings.target("dns:///a:1", {"AIOS_ENDPOINT": "b:2"}).address == "dns:///a:1"
    assert not _settings.target("http://a:1/", {}).tls
    secure = _settings.target("https://a:1", {"AIOS_CA_FILE": "ca.pem"})
    assert (secure.address, secure.tls, secure.ca_file) == ("a:1", True, "ca.pem")


def test_the_admin_token_lies_in_the_data_directory(tmp_path: Path) -> None:
    assert _settings.admin_token_file({"AIOS_DATA_DIR": str(tmp_path)}) == tmp_path / "admin.token"
    assert _settings.data_dir({}).name == ".aios"


def token(life: float, at: float) -> str:
    return jwt.encode({"iat": at, "exp": at + life}, "a secret that is long enough for HS256")


def test_a_tokens_times_are_read_without_a_key() -> None:
    assert lifetime(token(600, 1000), default=1) == 600
    assert issued_at(token(600, 1000)) == 1000
    for other in ("", "a.b.c", "opaque", "a.bnVsbA.c"):
        assert lifetime(other, default=7) == 7
        assert issued_at(other) is None


class Issuer:
    """Issues tokens that live ten minutes by a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.issued = 0
        self.down = False

    def credential(self) -> Credential:
        return Credential(
            token=f"t{self.issued}",
            expire_time=datetime.fromtimestamp(self.now, UTC) + timedelta(seconds=600),
            agent_key="key",
        )

    async def issue(self, key: str) -> Credential:
        assert key == "key"
        if self.down:
            raise errors.Unavailable("access is down")
        self.issued += 1
        return self.credential()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


async def test_a_token_is_renewed_at_two_thirds_of_its_life(issuer: Issuer) -> None:
    source = KeyedToken(issuer.credential(), issuer.issue, lambda: issuer.now)

    issuer.now += 399
    assert await source.get() == "t0"
    issuer.now += 2
    assert await source.get() == "t1"


async def test_the_old_token_serves_while_access_is_down(issuer: Issuer) -> None:
    source = KeyedToken(issuer.credential(), issuer.issue, lambda: issuer.now)
    issuer.down = True

    issuer.now += 450
    assert await source.get() == "t0"
    issuer.now += 200
    with pytest.raises(errors.Unavailable):
        await source.get()
    issuer.down = False
    assert await source.get() == "t1"


async def test_a_failed_early_renewal_is_not_tried_at_every_call(issuer: Issuer) -> None:
    source = KeyedToken(issuer.credential(), issuer.issue, lambda: issuer.now)
    issuer.now += 450
    issuer.down = True
    await source.get()
    issuer.down = False

    assert await source.get() == "t0"
    issuer.now += RENEW_PAUSE
    assert await source.get() == "t1"


async def test_calls_that_were_refused_together_renew_once(issuer: Issuer) -> None:
    source = KeyedToken(issuer.credential(), issuer.issue, lambda: issuer.now)

    assert await source.renew("t0")
    assert await source.renew("t0")
    assert issuer.issued == 1


async def test_a_clock_that_runs_behind_does_not_delay_the_renewal(issuer: Issuer) -> None:
    real = issuer.credential()
    ahead = Credential(
        token=token(600, issuer.now + 3000),
        expire_time=real.expire_time + timedelta(seconds=3000),
        agent_key="key",
    )
    source = KeyedToken(ahead, issuer.issue, lambda: issuer.now)

    issuer.now += 401
    assert await source.get() == "t1"


async def test_a_token_file_is_read_again_when_its_token_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    path.write_text("one\n")
    source = FileToken(path)

    assert await source.get() == "one"
    assert not await source.renew("one")
    path.write_text("two\n")
    assert await source.renew("one")
    assert await source.get() == "two"


def test_every_public_name_can_be_loaded() -> None:
    for name in aios.__all__:
        assert getattr(aios, name) is not None
    with pytest.raises(AttributeError, match="nothing_like_it"):
        aios.nothing_like_it  # noqa: B018  # looked up on purpose
    assert importlib.import_module("aios.errors").AiosError is aios.AiosError


def test_the_help_imports_no_grpc() -> None:
    program = "import sys, aios.cli.main; print([m for m in ('grpc', 'rich.console') if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_sdk_imports_nothing_of_the_kernel() -> None:
    root = Path(_settings.__file__).parent
    texts = [path.read_text() for path in root.rglob("*.py") if "api" not in path.parts]

    assert not [text for text in texts if "from services" in text or "from gateway" in text]


def test_hints_tell_a_zero_from_what_is_left_out() -> None:
    empty = agents_wire.hints_message(agents.Hints())
    zeros = agents_wire.hints_message(agents.Hints(priority=0, max_wait=0, deadline=0, policy=""))

    assert empty is not None
    assert zeros is not None
    assert not empty.ListFields()
    assert {field.name for field, _ in zeros.ListFields()} == {"priority", "max_wait", "deadline", "policy"}
    assert agents_wire.hints(zeros) == agents.Hints(priority=0, max_wait=0.0, deadline=0.0, policy="")
    assert agents_wire.hints(empty) == agents.Hints()
