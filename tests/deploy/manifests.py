"""The manifests as rendered objects, and how to read processes out of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from services.chassis.runtime.ports import (
    DEFAULT_PORTS,
    DOOR_ABOVE,
    PORTS_BESIDE,
    grpc_port,
    health_port,
    http_port,
)
from tests.deploy.kustomize import Object, render

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
OVERLAYS = ("laptop", "gpu", "postgres")
DIRECTORIES = (*(f"overlays/{name}" for name in OVERLAYS), "model-download")
KERNEL = tuple(DEFAULT_PORTS)
"""The processes built on the chassis."""
SANDBOX = "sandbox"
SERVED = (*KERNEL, *PORTS_BESIDE)
"""The same, and those that have no key."""
TGI_LOCAL_PORT = 7079
WORKLOADS = ("Deployment", "StatefulSet", "Job")


@cache
def rendered(directory: str) -> list[Object]:
    """Return the objects of a directory below deploy/kubernetes. Do not change them."""
    return render(KUBERNETES / directory)


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload with its only container."""

    name: str
    object: Object
    pod: Object
    """The pod's spec."""
    container: Object
    environment: Mapping[str, str | None]
    """Variables in effect; None for values that come from a Secret."""

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of its pods."""
        labels: Mapping[str, str] = self.object["spec"]["template"]["metadata"]["labels"]
        return labels

    @property
    def ports(self) -> Mapping[str, int]:
        """Ports by name."""
        return {port["name"]: port["containerPort"] for port in self.container.get("ports", [])}


def workloads(directory: str) -> list[Workload]:
    """Return all workloads of a directory."""
    objects = rendered(directory)
    maps = {each["metadata"]["name"]: each["data"] for each in objects if each["kind"] == "ConfigMap"}
    return [_workload(each, maps) for each in objects if each["kind"] in WORKLOADS]


def workload(directory: str, name: str) -> Workload:
    """Return one workload."""
    return next(each for each in workloads(directory) if each.name == name)


def of_kind(directory: str, kind: str) -> list[Object]:
    """Return the objects of a kind."""
    return [each for each in rendered(directory) if each["kind"] == kind]


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector (matchLabels, and matchExpressions with In and NotIn) picks labels."""
    wanted = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    expressions = selector.get("matchExpressions", [])
    assert all(each["operator"] in ("In", "NotIn") for each in expressions)
    return all(
        (labels.get(each["key"]) in each["values"]) == (each["operator"] == "In") for each in expressions
    )


def kernel_ports(name: str) -> dict[str, int]:
    """Return the default ports of a process by the names the manifests use."""
    port = grpc_port(name)
    door = {"door": port + DOOR_ABOVE} if name == "gateway" else {}
    return {"grpc": port, "http": http_port(name, port), "health": health_port(port), **door}


def numbered(workload_: Workload, port: int | str) -> int:
    """Resolve the name of a port."""
    return workload_.ports[port] if isinstance(port, str) else port


def _workload(each: Object, maps: Mapping[str, Mapping[str, str]]) -> Workload:
    pod = each["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = dict(_environment(container, maps))
    return Workload(each["metadata"]["name"], each, pod, container, environment)


def _environment(
    container: Object, maps: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, str | None]]:
    for source in container.get("envFrom", []):
        yield from maps[source["configMapRef"]["name"]].items()
    for variable in container.get("env", []):
        yield variable["name"], variable.get("value")
