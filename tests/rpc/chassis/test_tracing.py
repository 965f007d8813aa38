"""Spans: one a call, in the caller's trace, ended with the call's code."""

from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from services.chassis.auth.identity import Caller, current_caller
from services.chassis.rpc.client import kernel_metadata
from services.chassis.runtime.config import ConfigError
from services.chassis.runtime.tracing import OtelTracer
from tests.fakes import tokens
from tests.fakes.echo import SERVICE, Echo, EchoServicer, EchoStub
from tests.fakes.rpc import serving

TRACE, PARENT, SPAN = "a" * 32, "b" * 16, "c" * 16


@dataclass
class FakeSpan:
    """A span that remembers how it ended."""

    name: str
    trace_id: str
    parent: str
    span_id: str = SPAN
    ended: list[str] = field(default_factory=list)

    def end(self, code: str) -> None:
        self.ended.append(code)


class FakeTracer:
    """Keeps its spans."""

    def __init__(self) -> None:
        self.spans: list[FakeSpan] = []

    def begin(self, name: str, *, trace_id: str, parent: str) -> FakeSpan:
        self.spans.append(FakeSpan(name, trace_id, parent))
        return self.spans[-1]

    def close(self) -> None:
        """Do nothing."""


async def test_a_call_is_a_span_in_the_caller_s_trace() -> None:
    tracer = FakeTracer()
    seen: list[Caller] = []

    async def look(request: Any, _context: Any) -> Any:
        seen.append(current_caller())
        return request

    metadata = (*tokens.metadata(), ("traceparent", f"00-{TRACE}-{PARENT}-01"))
    async with serving(EchoServicer(look).servicer(), tracer=tracer) as channel:
        stub = EchoStub(channel)
        await stub.unary(Echo(), metadata=metadata)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.unary(Echo())

    first, second = tracer.spans
    assert (first.name, first.trace_id, first.parent) == (f"{SERVICE}/Unary", TRACE, PARENT)
    assert (first.ended, second.ended, second.parent) == (["OK"], ["UNAUTHENTICATED"], "")
    assert dict(kernel_metadata(seen[0], "t"))["traceparent"] == f"00-{TRACE}-{SPAN}-01"


def test_an_endpoint_without_the_extra_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry", None)

    with pytest.raises(ConfigError, match="otel"):
        OtelTracer("memory", "http://127.0.0.1:4317")


def test_spans_reach_the_exporter() -> None:
    pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import (  # noqa: PLC0415 - the extra
        InMemorySpanExporter,
    )

    exporter = InMemorySpanExporter()
    tracer = OtelTracer("memory", "", exporter=exporter)
    outer = tracer.begin("a.B/C", trace_id="", parent="")
    inner = tracer.begin("a.B/D", trace_id=TRACE, parent=PARENT)
    inner.end("OK")
    outer.end("NOT_FOUND")
    tracer.close()
    spans = {span.name: span for span in exporter.get_finished_spans()}

    assert (inner.trace_id, len(inner.span_id), len(outer.trace_id)) == (TRACE, 16, 32)
    parent, attributes = spans["a.B/D"].parent, spans["a.B/C"].attributes
    assert parent is not None
    assert parent.span_id == int(PARENT, 16)
    assert attributes is not None
    assert attributes["rpc.grpc.status_code"] == "NOT_FOUND"
