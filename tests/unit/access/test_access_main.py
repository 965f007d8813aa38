"""The access manager's edges: configuration, metrics and their document."""

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.access.config import AccessConfig
from services.access.metrics import AccessMetrics
from services.access.model.rules import Reason
from services.access.service.tokens import Bucket
from services.chassis.quotas import Cap
from services.chassis.runtime.config import ConfigError, load
from services.scheduler.core.policies import BUILT_IN

README = Path(__file__).parents[3] / "services" / "access" / "README.md"


def test_every_metric_is_in_the_document() -> None:
    registry = CollectorRegistry()
    AccessMetrics(registry)
    text = README.read_text()
    names = [family.name + ("_total" if family.type == "counter" else "") for family in registry.collect()]

    assert len(names) == 10
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_metrics_count() -> None:
    registry = CollectorRegistry()
    meter = AccessMetrics(registry)
    meter.decided(Reason.PERMITTED, 0.001)
    meter.issued("renewal")
    meter.refused("agent_key")
    meter.audited("ok", 2)
    meter.audit_lost(3)
    meter.revised(7)
    meter.watching("revision", 1)

    assert registry.get_sample_value("aios_access_decision_seconds_count", {"reason": "permitted"}) == 1
    assert registry.get_sample_value("aios_access_tokens_issued_total", {"credential": "renewal"}) == 1
    assert (
        registry.get_sample_value("aios_access_credentials_refused_total", {"credential": "agent_key"}) == 1
    )
    assert registry.get_sample_value("aios_access_audit_entries_total", {"outcome": "ok"}) == 2
    assert registry.get_sample_value("aios_access_audit_denials_lost_total") == 3
    assert registry.get_sample_value("aios_access_revision") == 7
    assert registry.get_sample_value("aios_access_watchers", {"stream": "revision"}) == 1


def test_the_defaults_are_a_usable_configuration() -> None:
    settings = load(AccessConfig, {}, "AIOS_ACCESS_").settings()

    assert settings.token_life == timedelta(minutes=10)
    assert settings.kernel_tenant == "default"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKEN_LIFE", "7200"),
        ("ADMIN_TOKEN_LIFE", "9999999"),
        ("MAX_DEPTH", "0"),
        ("POLL", "0"),
        ("APPROVAL_LIFE", "3600"),
        ("CONFIRM", "60"),
        ("SPEED", "1"),
    ],
)
def test_a_bad_configuration_stops_the_start(name: str, value: str) -> None:
    with pytest.raises(ConfigError):
        load(AccessConfig, {f"AIOS_ACCESS_{name}": value}, "AIOS_ACCESS_")


def test_every_setting_of_the_configuration_reaches_the_use_cases() -> None:
    config = AccessConfig(
        kernel_tenant="root",
        token_life=timedelta(seconds=61),
        admin_token_life=timedelta(seconds=62),
        session_life=timedelta(seconds=63),
        exchange_life=timedelta(seconds=64),
        max_depth=2,
        max_children=3,
        quota_open_approvals=Cap(4, 5, 6),
        persons=8,
        approval_life=timedelta(days=9),
        poll=timedelta(seconds=5),
        confirm=timedelta(seconds=1.5),
        wrong_keys_per_minute=6,
        tenant_weights=("acme=3", "beta=1"),
        scheduling_policies=("fifo",),
    )
    settings = dataclasses.asdict(config.settings())
    assert settings.pop("caps")["open_approvals"] == {"agent": 4, "tree": 5, "tenant": 6}

    assert settings == {
        "kernel_tenant": "root",
        "service_tenant": "kernel",
        "tree": {"max_depth": 2, "max_children": 3},
        "token_life": timedelta(seconds=61),
        "approval_life": timedelta(days=9),
        "admin_token_life": timedelta(seconds=62),
        "session_life": timedelta(seconds=63),
        "exchange_life": timedelta(seconds=64),
        "persons": 8,
        "confirm": 1.5,
        "poll": 5.0,
        "wrong_keys_per_minute": 6,
        "tenant_weights": {"acme": 3, "beta": 1},
        "scheduling_policies": ("fifo",),
    }


@pytest.mark.parametrize("entry", ["acme", "acme=0", "acme=1001", "acme=x", "=3"])
def test_a_senseless_weight_of_a_tenant_stops_the_start(entry: str) -> None:
    with pytest.raises(ValueError, match="tenant_weights"):
        AccessConfig(tenant_weights=(entry,))


def test_agents_may_name_every_policy_that_the_scheduler_has() -> None:
    assert set(AccessConfig().scheduling_policies) == {policy.name for policy in BUILT_IN}


def test_a_bucket_fills_again_with_time() -> None:
    bucket = Bucket(60)
    first = [bucket.take(0.0) for _ in range(61)]

    assert first[:60] == [0.0] * 60
    assert first[60] == pytest.approx(1.0)
    assert bucket.take(1.0) == 0.0
    assert bucket.take(1.0) > 0.0
