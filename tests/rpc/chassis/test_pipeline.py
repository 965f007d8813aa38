"""Every call passes the same steps, whatever its arity: over a real socket."""

import asyncio
import math
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from services.chassis.auth.identity import Caller, Kind, current_caller
from services.chassis.auth.rules import Listener, RulesChanged
from services.chassis.auth.tokens import Revocations
from services.chassis.rpc import client
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import (
    AccessUnavailable,
    FieldViolation,
    KernelError,
    PreconditionViolation,
    QuotaViolation,
    ServiceUnavailable,
)
from services.chassis.rpc.status import status_of
from tests.fakes import tokens
from tests.fakes.access import AllowAll, AllowOwner, Refuse
from tests.fakes.echo import DESCRIPTOR, MAX_BYTES, SERVICE, Echo, EchoServicer, EchoStub
from tests.fakes.rpc import connected, reason, running, serving
from tests.fakes.waiting import until

PLANNER = tokens.metadata("planner")
SERVICE_TOKEN = tokens.metadata("memory", kind="service")


async def failure_of(call: Any) -> grpc.aio.AioRpcError:
    """Await a call, or read a stream, that must fail."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as failure:
        return failure
    pytest.fail("the call succeeded")


async def many(*messages: Any) -> Any:
    """Stream some messages."""
    for message in messages:
        yield message


async def test_every_arity_answers() -> None:
    async with serving(EchoServicer().servicer()) as channel:
        stub = EchoStub(channel)
        one = await stub.unary(Echo(text="a"), metadata=PLANNER)
        out = [reply.text async for reply in stub.stream_out(Echo(text="b", count=3), metadata=PLANNER)]
        into = await stub.stream_in(many(Echo(), Echo()), metadata=PLANNER)
        chat = [
            reply.text async for reply in stub.chat(many(Echo(text="x"), Echo(text="y")), metadata=PLANNER)
        ]

    assert (one.text, out, into.count, chat) == ("a", ["b"] * 3, 2, ["x", "y"])


async def test_the_handler_sees_the_caller_and_the_resolved_resource() -> None:
    seen: list[Caller] = []

    async def look(request: Any, _context: Any) -> Any:
        seen.append(current_caller())
        return request

    metadata = (
        *tokens.metadata("planner", tenant="acme", parent="boss"),
        ("aios-syscall-id", "s-1"),
        ("traceparent", f"00-{'a' * 32}-{'b' * 16}-01"),
    )
    async with serving(EchoServicer(look).servicer()) as channel:
        await EchoStub(channel).unary(Echo(name="agents/me/notes/x"), metadata=metadata)

    caller = seen[0]
    assert (caller.agent, caller.tenant, caller.kind, caller.parent) == (
        "planner",
        "acme",
        Kind.AGENT,
        "boss",
    )
    assert (caller.owner, caller.resource) == ("planner", "agents/planner/notes/x")
    assert (caller.syscall_id, caller.trace_id) == ("s-1", "a" * 32)
    assert caller.token in metadata[0][1]
    assert 0 < caller.deadline < float("inf")


async def test_at_the_door_the_caller_does_not_choose_its_syscall_id() -> None:
    seen: list[str] = []

    async def look(request: Any, _context: Any) -> Any:
        seen.append(current_caller().syscall_id)
        return request

    async with serving(EchoServicer(look).servicer(), trust_ids=False) as channel:
        await EchoStub(channel).unary(Echo(), metadata=(*PLANNER, ("aios-syscall-id", "s-1")))

    assert seen != ["s-1"]
    assert len(seen[0]) == 24


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ((), "CREDENTIAL_MISSING"),
        ((("authorization", "Basic abc"),), "CREDENTIAL_MISSING"),
        ((("authorization", "Bearer abc"),), "CREDENTIAL_INVALID"),
    ],
)
async def test_a_call_without_a_good_credential_is_unauthenticated(metadata: Any, expected: str) -> None:
    async with serving(EchoServicer().servicer()) as channel:
        stub = EchoStub(channel)
        failures = [
            await failure_of(stub.unary(Echo(), metadata=metadata)),
            await failure_of(stub.stream_out(Echo(), metadata=metadata)),
            await failure_of(stub.chat(many(Echo()), metadata=metadata)),
            await failure_of(stub.stream_in(many(Echo()), metadata=metadata)),
            await failure_of(stub.raw_unary(b"\xff", metadata=metadata)),
        ]

    assert {failure.code() for failure in failures} == {grpc.StatusCode.UNAUTHENTICATED}
    assert {reason(failure) for failure in failures} == {expected}


async def test_a_method_of_the_kernel_takes_only_service_credentials() -> None:
    async with serving(EchoServicer().servicer(), authorizer=Refuse(AccessUnavailable("down"))) as channel:
        stub = EchoStub(channel)
        refused = [
            await failure_of(stub.kernel(Echo(), metadata=tokens.metadata("x", kind=kind)))
            for kind in ("agent", "admin")
        ]
        reply = await stub.kernel(Echo(text="ok"), metadata=SERVICE_TOKEN)

    assert [reason(failure) for failure in refused] == ["PERMISSION_DENIED"] * 2
    assert reply.text == "ok"


async def test_a_process_of_the_kernel_calls_only_what_names_it() -> None:
    """Its own credential opens neither what another process may do, nor what is for agents."""
    async with serving(EchoServicer().servicer()) as channel:
        stub = EchoStub(channel)
        other = tokens.metadata("storage", kind="service")
        refused = [
            await failure_of(stub.kernel(Echo(), metadata=other)),
            await failure_of(stub.unary(Echo(), metadata=SERVICE_TOKEN)),
        ]

    assert [reason(failure) for failure in refused] == ["PERMISSION_DENIED"] * 2


class Told(AllowAll):
    """Lets everybody in and tells of changes when a test says so."""

    live = True

    def __init__(self) -> None:
        super().__init__()
        self.listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Remember whom to tell."""
        self.listeners.append(listener)

    def revoke(self, family: str) -> None:
        """Tell that a family of tokens was revoked."""
        revocations = Revocations()
        revocations.revoke_token(family, forget_at=math.inf)
        for listener in self.listeners:
            listener(RulesChanged(revocations))


@pytest.mark.parametrize("family", ["f1", "f2"])
async def test_scheduled_work_that_answers_once_ends_with_its_family_of_tokens(family: str) -> None:
    """A generation that is waited for is a stream without messages: a revocation ends it at once."""
    begun, going_on, told = asyncio.Event(), asyncio.Event(), Told()

    async def work(request: Any, _context: Any) -> Any:
        begun.set()
        await going_on.wait()
        return request

    token = tokens.ISSUER_FOR_TESTS.token("planner", sid="f1")
    async with serving(EchoServicer(work).servicer(), authorizer=told) as channel:
        call = EchoStub(channel).scheduled(Echo(), metadata=(("authorization", f"Bearer {token}"),))
        ended = asyncio.ensure_future(failure_of(call)) if family == "f1" else call
        await begun.wait()
        told.revoke(family)
        if family == "f1":
            assert reason(await ended) == "CREDENTIAL_REVOKED"
        else:
            going_on.set()
            await ended


async def test_a_public_method_needs_no_credential() -> None:
    seen: list[Caller] = []

    async def look(request: Any, _context: Any) -> Any:
        seen.append(current_caller())
        return request

    async with serving(EchoServicer(look).servicer()) as channel:
        await EchoStub(channel).public(Echo(), metadata=(("authorization", "Bearer nonsense"),))

    assert (seen[0].kind, seen[0].agent, seen[0].token) == (Kind.ANONYMOUS, "", "")


async def test_another_agent_s_resource_is_denied_before_the_request_is_validated() -> None:
    request = Echo(name="agents/critic/notes/x", text="x" * 101)
    async with serving(EchoServicer().servicer()) as channel:
        denied = await failure_of(EchoStub(channel).unary(request, metadata=PLANNER))

    assert (denied.code(), reason(denied)) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED")


async def test_the_authorizer_is_asked_for_the_method_s_permission() -> None:
    authorizer = AllowOwner(("planner", "echo.read", "agents/critic/notes/x"))
    async with serving(EchoServicer().servicer(), authorizer=authorizer) as channel:
        stub = EchoStub(channel)
        await stub.unary(Echo(name="agents/critic/notes/x"), metadata=PLANNER)
        await stub.quick(Echo(), metadata=PLANNER)

    assert [(q.action, q.resource, q.read) for q in authorizer.asked] == [
        ("echo.read", "agents/critic/notes/x", True),
        ("echo.read", "agents/planner", False),
    ]


async def test_a_bad_resource_name_names_the_field() -> None:
    async with serving(EchoServicer().servicer()) as channel:
        refused = await failure_of(EchoStub(channel).unary(Echo(name="../x"), metadata=PLANNER))

    assert (refused.code(), fields(refused)) == (grpc.StatusCode.INVALID_ARGUMENT, ["name"])


def fields(failure: grpc.aio.AioRpcError) -> list[str]:
    """Return the fields that BadRequest names."""
    bad = error_details_pb2.BadRequest()
    status = status_of(failure)
    assert status is not None
    return [v.field for detail in status.details if detail.Unpack(bad) for v in bad.field_violations]


async def test_a_rule_of_the_proto_is_enforced_on_every_arity() -> None:
    long = Echo(text="x" * 101)
    async with serving(EchoServicer().servicer()) as channel:
        stub = EchoStub(channel)
        failures = [
            await failure_of(stub.unary(long, metadata=PLANNER)),
            await failure_of(stub.stream_out(long, metadata=PLANNER)),
            await failure_of(stub.stream_in(many(Echo(), long), metadata=PLANNER)),
            await failure_of(stub.chat(many(Echo(), long), metadata=PLANNER)),
        ]

    assert [reason(failure) for failure in failures] == ["INVALID_REQUEST"] * 4
    assert [fields(failure) for failure in failures] == [["text"]] * 4


async def test_bytes_that_are_no_request_are_an_invalid_argument() -> None:
    async with serving(EchoServicer().servicer()) as channel:
        stub = EchoStub(channel)
        failures = [
            await failure_of(stub.raw_unary(b"\xff\xff", metadata=PLANNER)),
            await failure_of(stub.raw_chat(many(b"\xff\xff"), metadata=PLANNER)),
        ]

    assert [failure.code() for failure in failures] == [grpc.StatusCode.INVALID_ARGUMENT] * 2
    assert [reason(failure) for failure in failures] == ["MALFORMED_REQUEST"] * 2


async def test_a_request_above_the_method_s_limit_is_refused() -> None:
    async with serving(EchoServicer().servicer()) as channel:
        stub = EchoStub(channel)
        failures = [
            await failure_of(stub.unary(Echo(text="x" * MAX_BYTES), metadata=PLANNER)),
            await failure_of(stub.chat(many(Echo(text="x" * MAX_BYTES)), metadata=PLANNER)),
        ]

    assert [failure.code() for failure in failures] == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2
    assert [reason(failure) for failure in failures] == ["REQUEST_TOO_LARGE"] * 2


async def test_an_unknown_method_is_unimplemented_with_a_reason() -> None:
    async with running(EchoServicer().servicer()) as server, connected(server) as channel:
        missing = await failure_of(EchoStub(channel).missing(Echo(), metadata=PLANNER))
        elsewhere: Any = channel.unary_unary("/a.B/C")
        other = await failure_of(elsewhere(b"", metadata=PLANNER))
        started = server.registry.get_sample_value("aios_rpc_started_total", {"method": "other"})

    assert (missing.code(), reason(missing)) == (grpc.StatusCode.UNIMPLEMENTED, "UNKNOWN_METHOD")
    assert reason(other) == "UNKNOWN_METHOD"
    assert started == 2


class EverythingWrong(KernelError):
    """An error with every detail."""

    reason = "QUOTA_EXCEEDED"
    code = Code.RESOURCE_EXHAUSTED


async def test_a_typed_error_reaches_the_caller_whole() -> None:
    async def fail(_request: Any, _context: Any) -> Any:
        raise EverythingWrong(
            "the quota is used up",
            metadata={"quota": "notes"},
            retry_after=1.5,
            violations=[FieldViolation("note", "too big")],
            quota=QuotaViolation("agents/planner", "100 notes"),
            precondition=PreconditionViolation("QUOTA", "agents/planner", "full"),
        )

    async with serving(EchoServicer(fail).servicer()) as channel:
        stub = EchoStub(channel)
        unary = await failure_of(stub.unary(Echo(), metadata=PLANNER))
        streamed = await failure_of(stub.stream_out(Echo(count=2), metadata=PLANNER))

    for failure in (unary, streamed):
        status = status_of(failure)
        assert status is not None
        assert failure.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert failure.details() == "the quota is used up"
        assert [detail.type_url.rsplit(".")[-1] for detail in status.details] == [
            "ErrorInfo", "BadRequest", "RetryInfo", "QuotaFailure", "PreconditionFailure",
        ]  # fmt: skip
        assert ("grpc-retry-pushback-ms", "1500") in tuple(failure.trailing_metadata() or ())


async def test_an_unknown_exception_leaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_request: Any, _context: Any) -> Any:
        raise ValueError("the password is swordfish")

    async with serving(EchoServicer(fail).servicer()) as channel:
        stub = EchoStub(channel)
        unary = await failure_of(stub.unary(Echo(), metadata=PLANNER))
        streamed = await failure_of(stub.stream_out(Echo(count=1), metadata=PLANNER))

    for failure in (unary, streamed):
        assert (failure.code(), reason(failure)) == (grpc.StatusCode.INTERNAL, "INTERNAL")
        assert "swordfish" not in str(failure.trailing_metadata()) + str(failure.details())
        assert str(failure.details()).removeprefix("internal error ") in str(
            [record.__dict__.get("aios_fields") for record in caplog.records]
        )


async def test_an_abort_of_the_handler_passes_through() -> None:
    async def fail(_request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.DATA_LOSS, "gone", (("x-key", "value"),))

    async with running(EchoServicer(fail).servicer()) as server, connected(server) as channel:
        failure = await failure_of(EchoStub(channel).unary(Echo(), metadata=PLANNER))
        labels = {"method": f"{SERVICE}/Unary", "code": "DATA_LOSS"}
        # The call is counted after its answer has left.
        await until(lambda: server.registry.get_sample_value("aios_rpc_duration_seconds_count", labels) == 1)

    assert (failure.code(), failure.details()) == (grpc.StatusCode.DATA_LOSS, "gone")
    assert ("x-key", "value") in tuple(failure.trailing_metadata() or ())


async def test_a_failure_of_another_process_is_passed_on_by_its_reason() -> None:
    async def fail(_request: Any, _context: Any) -> Any:
        raise EverythingWrong("inner", retry_after=2.0)

    async with serving(EchoServicer(fail).servicer()) as inner:

        async def forward(request: Any, _context: Any) -> Any:
            return await EchoStub(inner).unary(request, metadata=PLANNER)

        async with serving(EchoServicer(forward).servicer()) as outer:
            failure = await failure_of(EchoStub(outer).unary(Echo(), metadata=PLANNER))

    assert (failure.code(), reason(failure)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")


async def test_a_process_that_cannot_be_reached_is_unavailable() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as nowhere:

        async def forward(request: Any, _context: Any) -> Any:
            return await EchoStub(nowhere).unary(request, metadata=PLANNER, timeout=5)

        async with serving(EchoServicer(forward).servicer()) as channel:
            failure = await failure_of(EchoStub(channel).quick(Echo(), metadata=PLANNER, timeout=5))

    assert (failure.code(), reason(failure)) == (grpc.StatusCode.UNAVAILABLE, "SERVICE_UNAVAILABLE")


async def test_access_being_down_is_unavailable() -> None:
    down = Refuse(AccessUnavailable("down", retry_after=1))
    async with serving(EchoServicer().servicer(), authorizer=down) as channel:
        failure = await failure_of(EchoStub(channel).quick(Echo(), metadata=PLANNER))

    assert (failure.code(), reason(failure)) == (grpc.StatusCode.UNAVAILABLE, "ACCESS_UNAVAILABLE")


async def forever(_request: Any, _context: Any) -> Any:
    """Never answer."""
    await asyncio.Event().wait()


async def test_a_call_without_a_deadline_gets_the_method_s_default() -> None:
    async with serving(EchoServicer(forever).servicer()) as channel:
        failure = await failure_of(EchoStub(channel).quick(Echo(), metadata=PLANNER))

    assert (failure.code(), reason(failure)) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")


async def test_the_caller_s_own_deadline_cancels_the_handler() -> None:
    cancelled = asyncio.Event()

    async def wait(_request: Any, _context: Any) -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with running(EchoServicer(wait).servicer()) as server, connected(server) as channel:
        failure = await failure_of(EchoStub(channel).unary(Echo(), metadata=PLANNER, timeout=0.5))
        await until(cancelled.is_set)
    # Counted when it has ended, as the server has.
    counted = server.registry.get_sample_value(
        "aios_rpc_duration_seconds_count", {"method": f"{SERVICE}/Unary", "code": "DEADLINE_EXCEEDED"}
    )

    assert failure.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert counted == 1


async def test_a_caller_that_leaves_ends_the_stream_s_generator() -> None:
    servicer = EchoServicer(forever)
    async with running(servicer.servicer()) as server, connected(server) as channel:
        call = EchoStub(channel).stream_out(Echo(count=1), metadata=PLANNER)
        await call.read()
        call.cancel()
        await until(servicer.closed.is_set)
    # Counted when it has ended, as the server has.
    in_flight = server.registry.get_sample_value("aios_rpc_in_flight", {"method": f"{SERVICE}/StreamOut"})
    cancelled = server.registry.get_sample_value(
        "aios_rpc_duration_seconds_count", {"method": f"{SERVICE}/StreamOut", "code": "CANCELLED"}
    )

    assert (in_flight, cancelled) == (0, 1)


async def test_calls_are_counted_and_timed_by_method_and_code() -> None:
    async with running(EchoServicer().servicer()) as server, connected(server) as channel:
        stub = EchoStub(channel)
        label = {"method": f"{SERVICE}/Unary"}
        value = server.registry.get_sample_value
        await stub.unary(Echo(), metadata=PLANNER)
        await failure_of(stub.unary(Echo()))
        # A call is counted after its answer has left.
        await until(lambda: value("aios_rpc_in_flight", label) == 0)

    assert value("aios_rpc_started_total", label) == 2
    assert value("aios_rpc_duration_seconds_count", {**label, "code": "OK"}) == 1
    assert value("aios_rpc_duration_seconds_count", {**label, "code": "UNAUTHENTICATED"}) == 1


class Forwarder(grpc.GenericRpcHandler):
    """Hands every call of the echo service on as bytes, as the gateway does."""

    def __init__(self, upstream: grpc.aio.Channel) -> None:
        self._upstream: Any = upstream
        self.sizes: list[int] = []

    def service(self, handler_call_details: Any) -> Any:
        """Return one handler for unary and server-streaming methods alike."""
        path = handler_call_details.method

        async def forward(request: bytes, context: Any) -> Any:
            self.sizes.append(len(request))
            call = self._upstream.unary_stream(path)(request, metadata=PLANNER)
            async for message in call:
                yield message
            context.set_trailing_metadata((("x-forwarded", "1"),))

        return grpc.unary_stream_rpc_method_handler(forward)


async def test_a_forwarding_handler_passes_the_same_steps_as_bytes() -> None:
    async with serving(EchoServicer().servicer()) as upstream:
        forwarder = Forwarder(upstream)
        async with running(handlers=[forwarder], known=[DESCRIPTOR]) as server, connected(server) as channel:
            stub = EchoStub(channel)
            reply = await stub.unary(Echo(text="through"), metadata=PLANNER)
            stream = [r.text async for r in stub.stream_out(Echo(text="s", count=2), metadata=PLANNER)]
            reasons = [
                reason(await failure_of(stub.unary(Echo()))),
                reason(await failure_of(stub.unary(Echo(name="agents/critic"), metadata=PLANNER))),
                reason(await failure_of(stub.unary(Echo(text="x" * MAX_BYTES), metadata=PLANNER))),
                reason(await failure_of(stub.raw_unary(b"\xff", metadata=PLANNER))),
                reason(await failure_of(stub.missing(Echo(), metadata=PLANNER))),
            ]
            counted = server.registry.get_sample_value(
                "aios_rpc_started_total", {"method": f"{SERVICE}/StreamOut"}
            )

    assert (reply.text, stream) == ("through", ["s", "s"])
    assert reasons == [
        "CREDENTIAL_MISSING", "PERMISSION_DENIED", "REQUEST_TOO_LARGE", "MALFORMED_REQUEST", "UNKNOWN_METHOD",
    ]  # fmt: skip
    assert counted == 1
    assert len(forwarder.sizes) == 2


async def test_a_retry_of_a_read_reaches_the_server_again() -> None:
    attempts: list[int] = []

    async def flaky(request: Any, _context: Any) -> Any:
        attempts.append(1)
        if len(attempts) < 3:
            raise ServiceUnavailable("not yet", retry_after=0.01)
        return request

    async with (
        running(EchoServicer(flaky).servicer()) as server,
        client.channel(f"127.0.0.1:{server.port}", DESCRIPTOR) as channel,
    ):
        reply = await EchoStub(channel).unary(Echo(text="a"), metadata=PLANNER)
        attempts.clear()
        write = await failure_of(EchoStub(channel).quick(Echo(), metadata=PLANNER))

    assert reply.text == "a"
    assert (write.code(), len(attempts)) == (grpc.StatusCode.UNAVAILABLE, 1)
