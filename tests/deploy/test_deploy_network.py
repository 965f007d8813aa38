"""Nothing may talk but along the edges the code has, and those edges are open in both directions."""

import re
from typing import Any

import pytest

from gateway.routing import MANAGERS
from tests.deploy.kustomize import Object
from tests.deploy.manifests import (
    KERNEL,
    OVERLAYS,
    ROOT,
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
    # The tool manager passes the agent's token on to storage.
    return edges | {("tool", "storage")}


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
