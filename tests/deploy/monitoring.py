"""Reads what is measured from the code, from METRICS.md, and from PromQL."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics import MetricWrapperBase

from gateway.http.console.metrics import ConsoleMetrics
from gateway.http.mcp.metrics import PrometheusMcpMetrics
from gateway.http.metrics import DoorMetrics
from gateway.metrics import GateMetrics, PrometheusInferenceMetrics, PrometheusPoolMetrics, StateMetrics
from services.access.metrics import AccessMetrics
from services.chassis.dispatch.scheduling import SchedulingClass
from services.chassis.gate import FairGate, GateConfig
from services.chassis.rpc.methods import Lane
from services.chassis.runtime.metrics import DatabaseMetrics, DispatchMetrics, ProcessMetrics, RpcMetrics
from services.chassis.sandbox.metrics import show
from services.chassis.sandbox.nowhere import Nowhere
from services.context.metrics import ContextMetrics
from services.memory.metrics import MemoryMetrics
from services.sandbox.metrics import SandboxMetrics, show_places
from services.scheduler.core.stats import ClassStats, ReplicaStats, Stats
from services.scheduler.metrics import PrometheusScheduleMetrics, QueueCollector
from services.scheduler.model import ReplicaId
from services.scheduler.model import ResourceKind as SchedulerLane
from services.storage.metrics import StorageMetrics
from services.tgi_local.metrics import PrometheusMetrics as TgiLocalMetrics
from services.tool.metrics import ToolMetrics
from tests.deploy.manifests import ROOT

DOCUMENT = ROOT / "deploy/grafana/METRICS.md"
DASHBOARD = ROOT / "deploy/grafana/aios-wait-times.json"
RULES = ROOT / "deploy/prometheus/rules.yml"
TARGET_LABELS = frozenset({"process", "instance", "job"})
"""Labels that Prometheus adds, by the scrape configuration."""

_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|([^|]*)\|", re.MULTILINE)
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_SERIES = re.compile(r"\b((?:aios|tgi|process|python_gc)_\w+|up)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"(\w+)\s*[=!]")
_GROUPING = re.compile(r"\bby \(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: what it is and which labels its series have."""

    type: str
    labels: frozenset[str]


def _stats() -> Stats:
    one_class = ClassStats(
        lane=SchedulerLane.INFERENCE,
        resource="model",
        scheduling_class=SchedulingClass.NORMAL,
        policy="fifo",
        waiting=0,
        running=0,
        oldest_wait=0.0,
        mean_wait=0.0,
        p99_wait=0.0,
        prediction_error=0.0,
        in_starvation_lane=0,
        boosted=False,
        dispatched=0,
        policy_gauges={},
    )
    replica = ReplicaStats(
        replica=ReplicaId("replica"),
        lane=SchedulerLane.INFERENCE,
        resource="model",
        up=True,
        running=0,
        slots=1,
        slot_limit=1,
        tokens_reserved=0,
        token_limit=1.0,
        limit_factor=1.0,
        prefix_trust=1.0,
        reserved_for="",
    )
    return Stats(
        waiting=0, running=0, tokens_in_flight=0, oldest_wait=0.0, classes=(one_class,), replicas=(replica,)
    )


def _gateway(registry: CollectorRegistry) -> None:
    gates = {Lane.DATA: FairGate(GateConfig(running=1, running_per_agent=1, waiting_per_agent=1))}
    GateMetrics(registry, gates)
    PrometheusInferenceMetrics(registry)
    PrometheusPoolMetrics(registry)
    DoorMetrics(registry, connections=lambda: 0, body_bytes=lambda: 0)
    PrometheusMcpMetrics(registry).show_sessions(lambda: 0)
    ConsoleMetrics(registry).show_streams(lambda: 0)
    StateMetrics(registry, generations=lambda: 0, replicas_up=lambda: 0)
    DispatchMetrics(registry, held=lambda: 0, connected=lambda: True)


def _tool(registry: CollectorRegistry) -> None:
    ToolMetrics(registry)
    show(registry, Nowhere("a test"))
    DispatchMetrics(registry, held=lambda: 0, connected=lambda: True)


def _sandbox(registry: CollectorRegistry) -> None:
    SandboxMetrics(registry)
    show(registry, Nowhere("a test"))
    show_places(registry, running=lambda: 0, waiting=lambda: 0)


def _scheduler(registry: CollectorRegistry) -> None:
    PrometheusScheduleMetrics(registry, lambda _kind, _lane: "adaptive")
    QueueCollector(registry, _stats)


def _everybody(registry: CollectorRegistry) -> None:
    ProcessMetrics(registry, "test")
    RpcMetrics(registry)


SECTIONS: Mapping[str, Callable[[CollectorRegistry], Any]] = {
    "Every process but tgi-local": _everybody,
    "Every process with a database": DatabaseMetrics,
    "gateway": _gateway,
    "scheduler": _scheduler,
    "context": ContextMetrics,
    "memory": MemoryMetrics,
    "storage": StorageMetrics,
    "tool": _tool,
    "sandbox": _sandbox,
    "access": AccessMetrics,
}
"""Who registers what, by the section of the document."""


def measured() -> dict[str, dict[str, Family]]:
    """Return the metrics in the code, by section of the document and exposed name."""
    found = {}
    for section, register in SECTIONS.items():
        registry = CollectorRegistry()
        register(registry)
        found[section] = dict(_families(registry))
    return {**found, "tgi-local": dict(_families(TgiLocalMetrics().registry))}


def documented() -> dict[str, dict[str, Family]]:
    """Return the metrics in the document, by section and exposed name."""
    sections = re.split(r"^## ", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]
    return {
        title: {name: Family(kind, _words(labels)) for name, kind, labels, _ in rows}
        for title, rows in ((text.partition("\n")[0], _ROW.findall(text)) for text in sections)
        if rows
    }


def units() -> dict[str, str]:
    """Return the documented unit of each metric."""
    return {name: unit.strip() for name, _, _, unit in _ROW.findall(DOCUMENT.read_text())}


def label_values() -> dict[str, set[str]]:
    """Return the documented values of labels."""
    rows = re.findall(r"^\| (`\w+`[^|]*) \| (`[^|]*) \|$", DOCUMENT.read_text(), flags=re.MULTILINE)
    return {label.replace("`", ""): set(re.findall(r"`(\w+)`", values)) for label, values in rows}


def panel_queries() -> dict[str, str]:
    """Return the PromQL of the dashboard by title and reference, Grafana's variables filled in."""
    dashboard = json.loads(DASHBOARD.read_text())
    return {
        f"{panel['title']}/{target['refId']}": _filled(target["expr"])
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    }


def alert_queries() -> dict[str, str]:
    """Return the PromQL of the alerts by name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}


def unknown_names(query: str, families: Mapping[str, Family]) -> list[str]:
    """Return the metrics and labels in a query that no process has."""
    wrong: list[str] = []
    labels: set[str] = set(TARGET_LABELS)
    for name, matchers in _SERIES.findall(query):
        if name == "up":
            continue
        family = _family(name, families)
        if family is None:
            wrong.append(name)
            continue
        has = {*family.labels, *TARGET_LABELS, *({"le"} if name.endswith("_bucket") else ())}
        labels |= has
        wrong += [f"{name}{{{label}}}" for label in _MATCHER.findall(matchers) if label not in has]
    for grouping in _GROUPING.findall(query):
        wrong += [f"by ({label})" for label in _words(grouping) if label not in labels]
    return wrong


def _family(name: str, families: Mapping[str, Family]) -> Family | None:
    base = re.sub(r"_(bucket|sum|count)$", "", name)
    if base in families and families[base].type == "histogram" and base != name:
        return families[base]
    family = families.get(name)
    return family if family is not None and family.type != "histogram" else None


def _families(registry: CollectorRegistry) -> Iterator[tuple[str, Family]]:
    for collector in list(registry._collector_to_names):
        if isinstance(collector, MetricWrapperBase):
            suffix = "_total" if isinstance(collector, Counter) else ""
            labels = frozenset(collector._labelnames)
            yield collector._name + suffix, Family(str(collector._type), labels)
            continue
        for metric in collector.collect():
            sample = metric.samples[0]
            yield sample.name, Family(metric.type, frozenset(sample.labels))


def _filled(query: str) -> str:
    values = {"__rate_interval": "1m"}
    return _VARIABLE.sub(lambda match: values.get(match[1], ".*"), query)


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.split(",") if word.strip())
