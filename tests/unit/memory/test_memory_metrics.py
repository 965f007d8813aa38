"""What the process measures is what its document says."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.context.metrics import ContextMetrics
from services.memory.metrics import MemoryMetrics

SERVICES = Path(__file__).parents[3] / "services"


@pytest.mark.parametrize(("service", "metrics"), [("memory", MemoryMetrics), ("context", ContextMetrics)])
def test_the_document_names_every_metric(service: str, metrics: type[MemoryMetrics | ContextMetrics]) -> None:
    registry = CollectorRegistry()
    metrics(registry)
    found = {family.name + ("_total" if family.type == "counter" else "") for family in registry.collect()}
    document = (SERVICES / service / "README.md").read_text()

    assert set(re.findall(rf"^\| `(aios_{service}_\w+)`", document, re.MULTILINE)) == found
