"""Dashboard, alerts and scrape configuration speak of what exists."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import KERNEL, ROOT, TGI_LOCAL_PORT, kernel_ports, of_kind, workloads
from tests.deploy.monitoring import (
    DASHBOARD,
    RULES,
    Family,
    alert_queries,
    documented,
    panel_queries,
    unknown_names,
)

PROMETHEUS = ROOT / "deploy/prometheus"
RULE_TESTS = Path(__file__).parent / "alerts_test.yml"
FAMILIES: dict[str, Family] = {
    name: family for section in documented().values() for name, family in section.items()
}


def promtool() -> str:
    """Return the path of promtool, or skip."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed")
    return found


def checked(*arguments: str | Path) -> None:
    """Run promtool and fail with its output."""
    done = subprocess.run([promtool(), *map(str, arguments)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def panels() -> list[dict[str, Any]]:
    """Return the panels of the dashboard, rows left out."""
    return [each for each in json.loads(DASHBOARD.read_text())["panels"] if each["type"] != "row"]


@pytest.mark.parametrize("query", [*panel_queries().items(), *alert_queries().items()], ids=lambda q: q[0])
def test_a_query_names_metrics_and_labels_that_exist(query: tuple[str, str]) -> None:
    assert unknown_names(query[1], FAMILIES) == []


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("rate(aios_rpc_started[1m])", "aios_rpc_started"),
        ("aios_rpc_duration_seconds", "aios_rpc_duration_seconds"),
        ('aios_rpc_started_total{code="OK"}', "aios_rpc_started_total{code}"),
        ("sum by (replica) (aios_rpc_in_flight)", "by (replica)"),
    ],
)
def test_the_check_of_names_finds_mistakes(query: str, wrong: str) -> None:
    assert unknown_names(query, FAMILIES) == [wrong]


def test_the_dashboard_shows_what_was_promised() -> None:
    text = " ".join(panel_queries().values())
    promised = (
        "aios_scheduler_wait_seconds_bucket",
        "aios_scheduler_oldest_wait_seconds",
        "aios_scheduler_waiting",
        "aios_scheduler_running",
        "aios_scheduler_preemptions_total",
        "aios_inference_first_token_seconds_bucket",
        "aios_inference_tokens_total",
        "aios_gate_wait_seconds_bucket",
        "tgi_queue_size",
        'aios_rpc_duration_seconds_count{code!="OK"',
    )

    assert [name for name in promised if name not in text] == []


def test_panels_have_places_of_their_own_and_explain_themselves() -> None:
    cells = [
        (x, y)
        for panel in panels()
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(cells) == len(set(cells))
    assert all(0 <= x < 24 for x, _ in cells)
    assert all(panel["description"] for panel in panels())
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_every_panel_asks_the_chosen_data_source() -> None:
    sources = [each["datasource"] for panel in panels() for each in (panel, *panel["targets"])]

    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


def test_every_variable_of_a_panel_is_declared() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    declared = {each["name"] for each in dashboard["templating"]["list"]} | {"__rate_interval", "__all"}

    assert set(re.findall(r"\$\{?(\w+)", DASHBOARD.read_text())) <= declared


def test_every_alert_says_what_happened_and_how_bad_it_is() -> None:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in {"critical", "warning"}, rule["alert"]
            assert rule["annotations"]["summary"], rule["alert"]


def test_every_process_on_this_machine_is_scraped() -> None:
    jobs = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    targets = {
        static["labels"]["process"]: int(target.rpartition(":")[2])
        for job in jobs
        for static in job["static_configs"]
        for target in static["targets"]
    }

    assert targets == {**{name: kernel_ports(name)["http"] for name in KERNEL}, "tgi-local": TGI_LOCAL_PORT}
    assert ["authorization" in job for job in jobs] == [False, True]  # the engine wants its key


def test_every_pod_is_scraped_once() -> None:
    most, engine = yaml.safe_load((PROMETHEUS / "kubernetes.yml").read_text())["scrape_configs"]
    (namespace,) = of_kind("overlays/laptop", "Namespace")
    dropped = [rule["regex"] for rule in most["relabel_configs"] if rule.get("action") == "drop"]
    for job, label in ((most, ""), (engine, ",app.kubernetes.io/name=tgi-local")):
        (discovery,) = job["kubernetes_sd_configs"]
        kept = [rule["regex"] for rule in job["relabel_configs"] if rule.get("action") == "keep"]
        assert discovery["namespaces"]["names"] == [namespace["metadata"]["name"]]
        assert discovery["selectors"][0]["label"] == f"app.kubernetes.io/part-of=aios{label}"
        assert kept == ["http"]

    assert "tgi-local" in dropped
    assert "credentials_file" in engine["authorization"]
    for overlay in ("laptop", "gpu"):
        for each in workloads(f"overlays/{overlay}"):
            assert each.labels["app.kubernetes.io/part-of"] == "aios"
            assert "http" in each.ports


def test_prometheus_accepts_its_configuration_and_the_alerts() -> None:
    checked("check", "config", "--syntax-only", PROMETHEUS / "prometheus.yml")  # the key is elsewhere


def test_alerts_fire_when_they_should() -> None:
    checked("test", "rules", RULE_TESTS)


def test_prometheus_parses_every_panel(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{n}", "expr": expr} for n, expr in enumerate(panel_queries().values())]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    checked("check", "rules", path)


LANES = re.compile(
    r"aios_scheduler_(?:waiting|running|oldest_wait_seconds|replica_(?:up|slots|running|tokens))\b"
    r'(?!\{lane="inference")'
)


@pytest.mark.parametrize("query", [*panel_queries().items(), *alert_queries().items()], ids=lambda q: q[0])
def test_what_is_said_of_the_model_leaves_tools_out(query: tuple[str, str]) -> None:
    assert LANES.findall(query[1]) == []


def test_the_check_of_lanes_finds_a_sum_over_tools_and_models() -> None:
    assert LANES.findall("sum(aios_scheduler_replica_up)") != []


def test_every_alert_links_to_a_panel_of_its_metrics() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    texts = {str(each["id"]): json.dumps(each["targets"]) for each in panels()}
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            path, _, panel = rule["annotations"]["dashboard"].partition("?viewPanel=")
            assert path == f"/d/{dashboard['uid']}", rule["alert"]
            asked = set(re.findall(r"\b(?:(?:aios|tgi)_\w+|up\b)", rule["expr"]))
            assert any(re.search(rf"\b{name}\b", texts[panel]) for name in asked), rule["alert"]
