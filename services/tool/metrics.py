"""The Meter port on Prometheus metrics."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.tool.model import CallState, Tool

_SECONDS: Final = tuple(0.0005 * 2**k for k in range(18))
_OTHER: Final = "registered"


class ToolMetrics:
    """Counts what the tool manager does. Agents choose tool names, so only the kernel's own are labels."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._waits = Histogram(
            "aios_tool_wait_seconds",
            "Time a call waited for its turn, by tool; tools that agents registered are one.",
            ["tool"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._given_up = Counter(
            "aios_tool_waits_given_up",
            "Calls that never got their turn, by tool.",
            ["tool"],
            registry=registry,
        )
        self._calls = Histogram(
            "aios_tool_call_seconds",
            "Time from request to end of a call, by tool and final state.",
            ["tool", "state"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._joined = Counter(
            "aios_tool_calls_joined",
            "Requests answered with the call of an earlier one with the same id.",
            registry=registry,
        )
        self._revoked = Counter(
            "aios_tool_leases_revoked",
            "Calls taken back from providers, by reason.",
            ["reason"],
            registry=registry,
        )
        self._sent = Counter(
            "aios_tool_egress_requests",
            "Requests that the kernel sent for tools, or refused to, by outcome.",
            ["outcome"],
            registry=registry,
        )

    def waited(self, tool: Tool, seconds: float, *, admitted: bool) -> None:
        """Record a wait for a tool's turn."""
        if admitted:
            self._waits.labels(_label(tool)).observe(seconds)
        else:
            self._given_up.labels(_label(tool)).inc()

    def ended(self, tool: Tool, state: CallState, seconds: float) -> None:
        """Record a call that ended `seconds` after it was made."""
        self._calls.labels(_label(tool), state.value).observe(seconds)

    def revoked(self, reason: str) -> None:
        """Record a call taken back from a provider."""
        self._revoked.labels(reason).inc()

    def joined(self) -> None:
        """Record a repeated request that got the first one's call."""
        self._joined.inc()

    def sent(self, outcome: str) -> None:
        """Record a request of a tool to the outside."""
        self._sent.labels(outcome).inc()


def _label(tool: Tool) -> str:
    return _OTHER if tool.owner else tool.id
