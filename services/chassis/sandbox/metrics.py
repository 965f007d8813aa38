"""Gauges of a sandbox, read when a scrape comes: the same in every process that has one."""

from functools import partial

from prometheus_client import CollectorRegistry, Gauge

from services.chassis.sandbox.port import Sandbox
from services.chassis.sandbox.terms import SandboxLevel


def show(registry: CollectorRegistry, sandbox: Sandbox) -> None:
    """Show what isolates, and whether it does."""
    level = Gauge("aios_sandbox_level", "1 for what keeps programs in.", ["level"], registry=registry)
    for each in SandboxLevel:
        level.labels(each.value).set_function(partial(_is, sandbox, each))
    Gauge(
        "aios_sandbox_available", "1 while programs can be run, 0 while none can.", registry=registry
    ).set_function(lambda: float(not sandbox.problem))


def _is(sandbox: Sandbox, level: SandboxLevel) -> float:
    return float(sandbox.level is level)
