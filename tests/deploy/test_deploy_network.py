"""Nothing may talk but along the edges the code has, and those edges are open in both directions."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.routing import MANAGERS
from services.tool.core.addresses import PUBLIC_V6, SPECIAL_V4, SPECIAL_V6
from tests.deploy.kustomize import Object
from tests.deploy.manifests import (
    KERNEL,
    KUBERNETES,
    OVERLAYS,
    ROOT,
    SANDBOX,
    Workload,
    numbered,
    of_kind,
    selects,
    workloads,
)

Edge = tuple[str, str, int]

_CHANNEL = re.compile(r"""\.channel\(\s*["'](\w+)["']""")


def code_edges(backend: str) -> set[tuple[str, str]]:
    """Return who calls whom, read from the code."""
    edges = {(name, "access") for name in KERNEL if name != "access"}  # tokens, keys, decisions
    edges |= {("gateway", manager) for manager in MANAGERS.values()} | {("gateway", backend)}
    for name in KERNEL:
        folder = ROOT / ("gateway" if name == "gateway" else f"services/{name}")
        for path in folder.rglob("*.py"):
            edges |= {(name, peer) for peer in _CHANNEL.findall(path.read_text())}
    # The tool manager passes the agent's token on to storage, and finds the sandbox by a setting of its own.
    return edges | {("tool", "storage"), ("tool", SANDBOX)}


def allowed(directory: str, direction: str) -> set[Edge]:
    """Return the edges that the policies of one direction allow between pods of the namespace."""
    pods = workloads(directory)
    edges: set[Edge] = set()
    for policy in of_kind(directory, "NetworkPolicy"):
        spec = policy["spec"]
        subjects = [each for each in pods if selects(spec["podSelector"], each.labels)]
        for rule in spec.get(direction, []):
            for subject in subjects:
                for peer in _peers(rule, "from" if direction == "ingress" else "to", pods):
                    caller, called = (peer, subject) if direction == "ingress" else (subject, peer)
                    edges |= {(caller.name, called.name, port) for port in _ports(rule, called)}
    return edges


def _peers(rule: Object, side: str, pods: list[Workload]) -> list[Workload]:
    selectors = [
        each["podSelector"]
        for each in rule.get(side, [])
        if "podSelector" in each and "namespaceSelector" not in each
    ]
    return [pod for pod in pods if any(selects(selector, pod.labels) for selector in selectors)]


def _ports(rule: Object, called: Workload) -> list[int]:
    assert all(each["protocol"] == "TCP" for each in rule["ports"])
    return [numbered(called, each["port"]) for each in rule["ports"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_edges_are_those_of_the_code(overlay: str) -> None:
    backend = "tgi-local" if overlay == "laptop" else "tgi"
    edges = allowed(f"overlays/{overlay}", "egress")

    assert {(caller, called) for caller, called, _ in edges} == code_edges(backend)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_edge_is_open_at_both_ends_and_only_to_the_port_of_calls(overlay: str) -> None:
    directory = f"overlays/{overlay}"
    ports = {each.name: each.ports for each in workloads(directory)}
    egress = allowed(directory, "egress")

    assert egress == allowed(directory, "ingress")
    assert all(port == ports[called].get("grpc", ports[called]["http"]) for _, called, port in egress)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_else_is_denied(overlay: str) -> None:
    policies = {
        each["metadata"]["name"]: each["spec"] for each in of_kind(f"overlays/{overlay}", "NetworkPolicy")
    }

    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_policy_names_the_directions_it_has_rules_for(overlay: str) -> None:
    for policy in of_kind(f"overlays/{overlay}", "NetworkPolicy"):
        spec: dict[str, Any] = policy["spec"]
        if policy["metadata"]["name"] != "default-deny":
            assert {kind.lower() for kind in spec["policyTypes"]} == {"ingress", "egress"} & set(spec)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_agents_and_prometheus_come_in_from_outside(overlay: str) -> None:
    doors = {
        policy["metadata"]["name"]: [port["port"] for port in rule["ports"]]
        for policy in of_kind(f"overlays/{overlay}", "NetworkPolicy")
        for rule in policy["spec"].get("ingress", [])
        for peer in rule["from"]
        if "namespaceSelector" in peer
    }

    assert doors == {"agents": [7070, 7090], "metrics": ["http"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_names_and_the_database_are_reached_outside(overlay: str) -> None:
    doors = {
        policy["metadata"]["name"]: sorted({port["port"] for port in rule["ports"]})
        for policy in of_kind(f"overlays/{overlay}", "NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        if "to" not in rule or any("namespaceSelector" in peer or "ipBlock" in peer for peer in rule["to"])
    }

    expected = {"names": [53]} | ({"managers-to-database": [5432]} if overlay == "postgres" else {})
    assert doors == expected


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_goes_out_of_the_sandbox_not_even_the_question_for_a_name(overlay: str) -> None:
    (pod,) = [each for each in workloads(f"overlays/{overlay}") if each.name == SANDBOX]
    about = {
        policy["metadata"]["name"]: policy["spec"]
        for policy in of_kind(f"overlays/{overlay}", "NetworkPolicy")
        if selects(policy["spec"]["podSelector"], pod.labels)
    }

    assert set(about) == {"default-deny", "metrics", SANDBOX}
    assert [rule for spec in about.values() for rule in spec.get("egress", [])] == []
    assert [rule["ports"] for rule in about[SANDBOX]["ingress"]] == [[{"protocol": "TCP", "port": 7077}]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_tools_reach_no_address_that_the_guard_denies(tmp_path: Path, overlay: str) -> None:
    component = KUBERNETES / "components/tool-egress"
    own = {"resources": [str(KUBERNETES / "overlays" / overlay)], "components": [str(component)]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(own))
    (policy,) = [p for p in of_kind(str(tmp_path), "NetworkPolicy") if p["metadata"]["name"] == "tool-egress"]
    (rule,) = policy["spec"]["egress"]
    denied = {peer["ipBlock"]["cidr"]: peer["ipBlock"]["except"] for peer in rule["to"]}

    assert denied == {"0.0.0.0/0": list(SPECIAL_V4), str(PUBLIC_V6): list(SPECIAL_V6)}
    assert {port["port"] for port in rule["ports"]} == {80, 443}
    assert [e.name for e in workloads(str(tmp_path)) if selects(policy["spec"]["podSelector"], e.labels)] == [
        "tool"
    ]
