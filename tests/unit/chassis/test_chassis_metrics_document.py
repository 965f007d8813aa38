"""The README lists exactly the metrics that the chassis registers, each with its labels."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.chassis.runtime import metrics

README = Path(__file__).parents[3] / "services/chassis/README.md"


def registered() -> dict[str, set[str]]:
    """Return the labels of every metric by its exposed name."""
    registry = CollectorRegistry()
    groups = (
        metrics.RpcMetrics(registry),
        metrics.DatabaseMetrics(registry),
        metrics.WorkerMetrics(registry),
        metrics.ProcessMetrics(registry, "test"),
    )
    found: dict[str, set[str]] = {}
    for group in groups:
        for metric in vars(group).values():
            suffix = "_total" if metric._type == "counter" else ""
            found[metric._name + suffix] = set(metric._labelnames)
    return {**found, "aios_build_info": {"service", "version", "python", "grpc"}}


def test_the_document_and_the_registry_agree() -> None:
    rows = re.findall(r"^\| `(aios_\w+)` \| \w+ \|([^|]*)\|", README.read_text(), re.MULTILINE)
    documented = {
        name: {label.strip() for label in labels.split(",") if label.strip()} for name, labels in rows
    }

    assert documented == registered()


def test_durations_use_the_bounds_of_the_inference_server() -> None:
    assert len(metrics.DURATION_BUCKETS) == 35
    assert metrics.DURATION_BUCKETS[0] == 0.00015000000000000001


def test_a_page_names_the_build_and_the_process() -> None:
    registry = CollectorRegistry()
    metrics.ProcessMetrics(registry, "memory")
    text = metrics.page(registry).decode()

    assert 'aios_build_info{grpc="' in text
    assert 'service="memory"' in text
    assert "process_resident_memory_bytes" in text
