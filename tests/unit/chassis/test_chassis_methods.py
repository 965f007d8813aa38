"""The table of methods: every method of the API says how the kernel treats it."""

import importlib
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor

import aios.api
from aios.api.common.v1 import options_pb2
from gateway.routing import MANAGERS
from services.chassis.auth.processes import EXCHANGES, GATEWAY
from services.chassis.rpc import methods
from services.chassis.rpc.methods import Audience, BadMethod, Effect, Lane
from tests.fakes import echo


def api_files() -> list[FileDescriptor]:
    """Return the descriptors of all generated files of the API."""
    root = Path(next(iter(aios.api.__path__)))
    files = sorted(path.relative_to(root).with_suffix("") for path in root.rglob("*_pb2.py"))
    return [importlib.import_module(".".join(("aios.api", *path.parts))).DESCRIPTOR for path in files]


def test_every_method_of_the_api_has_a_syscall_option() -> None:
    table = methods.table(*api_files())

    assert "/aios.api.access.v1.AccessService/Check" in table
    assert all(method.deadline_cap >= 60 for method in table.values())


EVERY_MANAGER = {"context", "gateway", "memory", "scheduler", "storage", "tool"}
SERVICES = {
    "access.v1.AccessService/AppendAudit": {"gateway", "tool"},
    "access.v1.AccessService/BatchCheck": EVERY_MANAGER,
    "access.v1.AccessService/Check": EVERY_MANAGER,
    "access.v1.AccessService/ConfirmRevision": EVERY_MANAGER,
    "access.v1.AccessService/ExchangeToken": set(EXCHANGES),
    "access.v1.AccessService/MarkUntrusted": EVERY_MANAGER,
    "access.v1.AccessService/RequestApproval": {"tool"},
    "access.v1.AccessService/UseApproval": {"tool"},
    "access.v1.AccessService/WatchRevision": EVERY_MANAGER,
    "agent.v1.AgentService/ConfirmPurge": {"context", "memory", "scheduler", "storage", "tool"},
    "agent.v1.AgentService/GetPurges": {"context", "memory", "scheduler", "storage", "tool"},
    "agent.v1.AgentService/WatchAgents": {"gateway", "tool"},
    "sandbox.v1.SandboxService/GetSandbox": {"tool"},
    "sandbox.v1.SandboxService/Run": {"tool"},
    "scheduler.v1.SchedulerService/Dispatch": {"gateway", "tool"},
}
"""What each process of the kernel may do in its own name: all of it, told once more than in the protos."""


def test_every_method_of_the_kernels_own_names_who_may_call_it() -> None:
    table = methods.table(*api_files()).values()
    named = {one.label.removeprefix("aios.api."): set(one.services) for one in table if one.services}

    assert named == SERVICES
    assert all(method.services for method in table if method.audience is Audience.KERNEL)


def test_who_may_call_on_behalf_of_an_agent_may_exchange_its_token_for_there() -> None:
    """Each process can have a token for just those others where some method names it."""
    named: dict[str, set[str]] = {}
    for method in methods.table(*api_files()).values():
        manager = MANAGERS.get(method.path.split("/")[1], GATEWAY)
        for name in method.delegates:
            # What another manager answers is called through the gateway, unless a token for it can be had.
            direct = manager in EXCHANGES[name]
            named.setdefault(name, set()).add(manager if direct else GATEWAY)

    assert named == {name: set(targets) for name, targets in EXCHANGES.items() if name != GATEWAY}


def test_a_method_is_described_by_its_option() -> None:
    method = methods.table(echo.DESCRIPTOR)[f"/{echo.SERVICE}/Unary"]

    assert (method.label, method.lane, method.permission) == (f"{echo.SERVICE}/Unary", Lane.DATA, "echo.read")
    assert (method.effect, method.audience, method.max_request_bytes) == (
        Effect.READ,
        Audience.AGENTS,
        10_000,
    )
    assert (method.default_deadline, method.deadline_cap, method.has_rules) == (5, 60, True)
    assert method.resource_of(echo.Echo(name="agents/x")) == "agents/x"
    assert isinstance(method.request(), echo.Echo)


def test_a_watch_is_a_stream_that_may_run_for_hours() -> None:
    table = methods.table(echo.DESCRIPTOR)

    assert [method.path for method in table.values() if method.endless] == [f"/{echo.SERVICE}/Watch"]


def test_a_service_descriptor_works_as_well_as_its_file() -> None:
    service = echo.DESCRIPTOR.services_by_name["EchoService"]

    assert methods.table(service) == methods.table(echo.DESCRIPTOR) or set(methods.table(service)) == set(
        methods.table(echo.DESCRIPTOR)
    )
    assert methods.service_names(service) == [echo.SERVICE]


GOOD: dict[str, Any] = {
    "lane": options_pb2.LANE_DATA,
    "permission": "x.read",
    "effect": options_pb2.EFFECT_READ,
    "max_request_bytes": 10,
    "default_deadline": {"seconds": 1},
    "resource": "name",
}


def built(
    number: int, syscall: options_pb2.Syscall | None, *, client_streaming: bool = False
) -> FileDescriptor:
    """Build a file with one method."""
    package = f"aios.testing.bad{number}.v1"
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto",
        package=package,
        syntax="proto3",
        dependency=["aios/api/common/v1/options.proto"],
    )
    message = file.message_type.add(name="M")
    message.field.add(name="name", number=1, type=9, label=1)
    message.field.add(name="count", number=2, type=5, label=1)
    message.field.add(name="names", number=3, type=9, label=3)
    message.field.add(name="m", number=4, type=11, label=1, type_name=f".{package}.M")
    kind = f".{package}.M"
    method = file.service.add(name="S").method.add(
        name="Do", input_type=kind, output_type=kind, client_streaming=client_streaming
    )
    if syscall is not None:
        extension: Any = options_pb2.syscall
        method.options.Extensions[extension].CopyFrom(syscall)
    descriptor_pool.Default().Add(file)
    return descriptor_pool.Default().FindFileByName(file.name)


@pytest.mark.parametrize(
    ("number", "change", "problem"),
    [
        (1, {"lane": 0}, "no lane"),
        (2, {"effect": 0}, "no effect"),
        (3, {"permission": ""}, "no permission"),
        (4, {"default_deadline": {}}, "no default_deadline"),
        (5, {"max_request_bytes": 0}, "max_request_bytes"),
        (6, {"max_request_bytes": 5_000_000}, "max_request_bytes"),
        (7, {"resource": "nothing"}, "no string field"),
        (8, {"resource": "count"}, "no string field"),
        (9, {"resource": "names"}, "no string field"),
        (10, {"resource": "m.count"}, "no string field"),
        (11, {"resource": "name.x"}, "no string field"),
        (12, {"audience": options_pb2.AUDIENCE_KERNEL}, "names no services"),
        (13, {"services": ["nobody"]}, "no such processes"),
        (14, {"audience": options_pb2.AUDIENCE_PUBLIC, "delegates": ["tool"]}, "has delegates"),
    ],
)
def test_an_option_that_contradicts_itself_is_refused(
    number: int, change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(BadMethod, match=problem):
        methods.table(built(number, options_pb2.Syscall(**{**GOOD, **change})))


def test_a_method_without_an_option_is_refused() -> None:
    with pytest.raises(BadMethod, match="no option"):
        methods.table(built(20, None))


def test_a_client_stream_names_no_resource() -> None:
    with pytest.raises(BadMethod, match="client stream"):
        methods.table(built(21, options_pb2.Syscall(**GOOD), client_streaming=True))


def test_a_nested_resource_is_read_and_rules_are_found_in_a_message_that_contains_itself() -> None:
    file = built(22, options_pb2.Syscall(**{**GOOD, "resource": "m.name"}))
    (method,) = methods.table(file).values()
    request: Any = method.request()
    request.m.name = "agents/me"

    assert (method.resource_of(request), method.has_rules) == ("agents/me", False)
