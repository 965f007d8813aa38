"""Names that agents choose are no labels of metrics."""

from prometheus_client import CollectorRegistry, generate_latest

from services.tool.metrics import ToolMetrics
from services.tool.model import CallState, Tool


def test_tools_that_agents_registered_share_one_series_and_the_kernels_own_have_theirs() -> None:
    registry = CollectorRegistry()
    meter = ToolMetrics(registry)

    for number in range(100):
        theirs = Tool(id=f"chosen-{number}", owner="mal")
        meter.waited(theirs, 0.1, admitted=True)
        meter.waited(theirs, 0.1, admitted=False)
        meter.ended(theirs, CallState.SUCCEEDED, 0.1)
    meter.ended(Tool(id="clock"), CallState.SUCCEEDED, 0.1)

    page = generate_latest(registry).decode()
    assert "chosen-" not in page
    assert 'aios_tool_call_seconds_count{state="succeeded",tool="registered"} 100.0' in page
    assert 'aios_tool_call_seconds_count{state="succeeded",tool="clock"} 1.0' in page
