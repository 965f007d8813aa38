"""A hook for traces: spans around calls when an OTLP endpoint is configured, nothing otherwise.

Trace ids travel in `traceparent` and stand in the logs in any case. OpenTelemetry, which comes with the extra
`otel`, is imported only when it is used.
"""

from typing import Any, Protocol

from services.chassis.runtime.config import ConfigError


class Span(Protocol):
    """One timed piece of work."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""

    def end(self, code: str) -> None:
        """End the span with a status code such as OK."""
        ...


class Tracer(Protocol):
    """Makes spans."""

    def begin(self, name: str, *, trace_id: str, parent: str) -> Span:
        """Begin a span. `parent` is the caller's span in the trace `trace_id`; empty begins a trace."""
        ...

    def close(self) -> None:
        """Send what is left. Blocks: call it in a thread."""
        ...


class OtelSpan:
    """A span of OpenTelemetry."""

    def __init__(self, span: Any) -> None:
        context = span.get_span_context()
        self._span = span
        self.trace_id = f"{context.trace_id:032x}"
        self.span_id = f"{context.span_id:016x}"

    def end(self, code: str) -> None:
        """End the span."""
        self._span.set_attribute("rpc.grpc.status_code", code)
        self._span.end()


class OtelTracer:
    """Sends spans to an OTLP collector over gRPC, in batches from a thread of its own."""

    def __init__(self, service: str, endpoint: str, *, exporter: Any = None) -> None:
        try:
            from opentelemetry import trace  # noqa: PLC0415 - an extra
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
                OTLPSpanExporter,
            )
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
        except ImportError as error:
            raise ConfigError(["AIOS_OTEL_ENDPOINT: needs `pip install aios-kernel[otel]`"]) from error
        self._trace = trace
        self._provider = TracerProvider(resource=Resource.create({"service.name": f"aios-{service}"}))
        exporter = exporter or OTLPSpanExporter(endpoint=endpoint, insecure=True)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("aios")

    def begin(self, name: str, *, trace_id: str, parent: str) -> Span:
        """Begin a server span."""
        trace = self._trace
        context = None
        if parent:
            remote = trace.SpanContext(
                int(trace_id, 16), int(parent, 16), is_remote=True, trace_flags=trace.TraceFlags(1)
            )
            context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
        service, _, method = name.rpartition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
        kind = trace.SpanKind.SERVER
        return OtelSpan(self._tracer.start_span(name, context=context, kind=kind, attributes=attributes))

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()
