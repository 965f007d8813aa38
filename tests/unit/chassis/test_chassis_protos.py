"""What every method of the API must say about itself; its comments are judged by `buf lint`."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from services.chassis.rpc import methods
from services.chassis.rpc.methods import Effect
from tests.unit.chassis.test_chassis_methods import api_files

ROOT: Final = Path(__file__).parents[3]

WITHOUT_REQUEST_ID: Final = {
    "AccessService.IssueToken": "a repeat issues another token of the same holder",
    "AgentService.UpdateAgent": "sets named fields: a repeat sets them again",
    "AgentService.SuspendAgent": "sets a state",
    "AgentService.ResumeAgent": "sets a state",
    "AgentService.ClearUntrusted": "sets a state",
    "AccessService.EraseAudit": "a repeat finds nothing left to blank",
    "AgentService.ConfirmPurge": "tells what was done: of two reports about one pass the first counts",
    "AgentService.KillAgent": "sets a state for good",
    "ContextService.SaveSnapshot": "the sequence tells repeats",
    "ContextService.ClaimSnapshot": "the epoch tells repeats",
    "InferenceService.CancelGeneration": "sets a state for good",
    "SchedulerService.Dispatch": "a session: its messages carry the ids of calls",
    "SchedulerService.SetPolicy": "sets a value: a repeat sets it again",
    "SchedulerService.CancelSyscall": "sets a state for good",
    "AccessService.MarkUntrusted": "sets a state: who is marked stays so",
    "AccessService.ConfirmRevision": "the highest revision counts",
    "StorageService.UploadChunk": "the offset tells repeats",
    "SandboxService.Run": "a session: it is a job of its own, and the ledger of calls knows repeats of calls",
    "ToolService.TestDraft": "a repeat tries the same examples again",
    "ToolService.ShareDraft": "an approval is used once: a repeat finds the version that it made",
    "ToolService.TakeCalls": "a session: leases tell who holds a call",
    "ToolService.ReportCallProgress": "tells how far a call is: a repeat tells it again",
}
"""Methods that change something, why a repeat of them does no harm."""

NO_REPEATS: Final = {"SandboxService.Run"}
"""Methods that do something else each time, for a caller that knows."""

METHODS: Final = [
    method for file in api_files() for service in file.services_by_name.values() for method in service.methods
]


def label(method: MethodDescriptor) -> str:
    """Return the method's name with that of its service."""
    return f"{method.containing_service.name}.{method.name}"


def fields(method: MethodDescriptor) -> set[str]:
    """Return the names of the request's fields."""
    return {field.name for field in method.input_type.fields}


def effect(method: MethodDescriptor) -> Effect:
    """Return what the syscall option says the method may change; an incomplete option raises BadMethod."""
    service = method.containing_service
    return methods.table(service)[f"/{service.full_name}/{method.name}"].effect


@pytest.mark.parametrize("method", METHODS, ids=label)
def test_a_method_has_a_complete_option_and_says_whether_it_may_be_repeated(method: MethodDescriptor) -> None:
    level = method.GetOptions().idempotency_level

    assert (level == MethodOptions.IDEMPOTENCY_UNKNOWN) == (label(method) in NO_REPEATS)
    assert label(method) in NO_REPEATS or effect(method) is Effect.READ or level == MethodOptions.IDEMPOTENT


@pytest.mark.parametrize("method", [m for m in METHODS if effect(m) is not Effect.READ], ids=label)
def test_a_method_that_changes_something_takes_a_request_id(method: MethodDescriptor) -> None:
    assert ("request_id" in fields(method)) != (label(method) in WITHOUT_REQUEST_ID)


def test_every_exception_is_a_method_that_changes_something() -> None:
    assert {label(m) for m in METHODS if effect(m) is not Effect.READ} >= WITHOUT_REQUEST_ID.keys()


@pytest.mark.parametrize(
    "method", [m for m in METHODS if m.name.startswith(("List", "Search", "Query"))], ids=label
)
def test_a_list_is_read_in_pages(method: MethodDescriptor) -> None:
    assert {"page_size", "page_token"} <= fields(method) or {"limit", "page_token"} <= fields(method)
    assert "next_page_token" in {field.name for field in method.output_type.fields}


def test_every_method_message_and_field_has_a_comment() -> None:
    lint = subprocess.run(
        [Path(sys.executable).parent / "buf", "lint"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert "COMMENTS" in (ROOT / "buf.yaml").read_text()
    assert (lint.returncode, lint.stdout) == (0, "")
