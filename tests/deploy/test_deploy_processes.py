"""Each process gets what its code reads, listens where its code listens, and is bounded and unprivileged."""

import dataclasses
import importlib
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2
from aios.api.context.v1 import context_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.sandbox.v1 import sandbox_pb2
from aios.api.scheduler.v1 import scheduler_pb2
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2
from gateway.http.console.settings import ConsoleSettings
from services.chassis.auth.processes import KEYED
from services.chassis.runtime import config
from services.chassis.runtime.process import CommonConfig, ListenConfig, Process
from services.sandbox.config import SandboxConfig
from services.tgi_local.config import TgiLocalConfig
from services.tgi_local.config import load as load_tgi_local
from tests.deploy.manifests import (
    DIRECTORIES,
    KERNEL,
    KUBERNETES,
    OVERLAYS,
    ROOT,
    SANDBOX,
    SERVED,
    TGI_LOCAL_PORT,
    Workload,
    kernel_ports,
    numbered,
    of_kind,
    workload,
    workloads,
)

FILES = (
    access_pb2,
    agent_pb2,
    context_pb2,
    memory_pb2,
    sandbox_pb2,
    scheduler_pb2,
    storage_pb2,
    tool_pb2,
)
_OF_SECRETS = {"AIOS_SANDBOX_CALLER_SHA256": "0" * 64}
SLACK_SECONDS = 10
BACKEND_PREFIXES = {"BackendConfig": "AIOS_TGI_", "OpenAiBackendConfig": "AIOS_OPENAI_"}


def own_configs(process: str) -> list[tuple[str, type[Any]]]:
    """Return prefix and dataclass of the settings a process has besides the common ones."""
    module = importlib.import_module(
        "gateway.config" if process == "gateway" else f"services.{process}.config"
    )
    found = [
        value
        for value in vars(module).values()
        if dataclasses.is_dataclass(value)
        and isinstance(value, type)
        and value.__module__ == module.__name__
        and value.__name__.endswith("Config")
    ]
    return [(BACKEND_PREFIXES.get(each.__name__, f"AIOS_{process.upper()}_"), each) for each in found]


def variables(process: str) -> set[str]:
    """Return every variable a process reads, peers' endpoints included."""
    if process == "tgi-local":
        fields = [each.name.upper() for each in dataclasses.fields(TgiLocalConfig)]
        return {"AIOS_DATA_DIR", "AIOS_MODEL", *(f"AIOS_TGI_LOCAL_{name}" for name in fields)}
    described = [
        config.describe(CommonConfig, "AIOS_"),
        config.describe(ListenConfig, f"AIOS_{process.upper()}_"),
        *(config.describe(cls, prefix) for prefix, cls in own_configs(process)),
        *([config.describe(ConsoleSettings, "AIOS_GATEWAY_CONSOLE_")] if process == "gateway" else []),
    ]
    names = {line.split()[0] for text in described for line in text.splitlines() if line.startswith("AIOS_")}
    return names | {f"AIOS_{peer.upper()}_ENDPOINT" for peer in KERNEL}


def aios_environment(each: Workload) -> dict[str, str]:
    """Return the AIOS variables of a container; a stand-in for values from Secrets."""
    return {
        name: _OF_SECRETS.get(name, "postgresql://host/database") if value is None else value
        for name, value in each.environment.items()
        if name.startswith("AIOS_")
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_process_of_the_kernel_is_there_once(overlay: str) -> None:
    names = {each.name for each in workloads(overlay_path(overlay))}

    assert names == {*SERVED, "tgi-local" if overlay == "laptop" else "tgi"}


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", KERNEL)
def test_a_process_starts_with_its_environment(overlay: str, name: str) -> None:
    environ = aios_environment(workload(overlay_path(overlay), name))
    process = Process(name, environ)
    settings = {
        prefix: config.load(cls, environ, prefix, known=None if prefix == "AIOS_TGI_" else listen_names())
        for prefix, cls in own_configs(name)
    }

    assert f"AIOS_{name.upper()}_" in settings
    assert process.listen.host == "0.0.0.0"
    assert process.common.service_key_file == Path("/run/secrets/aios/service.key")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_is_read_by_the_process_or_by_a_peer(overlay: str) -> None:
    everybody = set().union(*(variables(name) for name in KERNEL))
    everybody |= variables(SANDBOX)
    for each in workloads(overlay_path(overlay)):
        own = {entry["name"] for entry in each.container.get("env", []) if entry["name"].startswith("AIOS_")}
        assert own <= (variables(each.name) if own else own), each.name
    for config_map in of_kind(overlay_path(overlay), "ConfigMap"):
        assert set(config_map["data"]) <= everybody


@pytest.mark.parametrize("document", ["deploy/README.md", "deploy/prometheus/rules.yml"])
def test_documents_name_variables_that_exist(document: str) -> None:
    named = set(re.findall(r"\bAIOS_[A-Z_]*[A-Z]", (ROOT / document).read_text()))
    client = {"AIOS_TOKEN", "AIOS_CA_FILE", "AIOS_ENDPOINT"}

    assert named <= client.union(*(variables(name) for name in SERVED))


def test_the_embedded_server_starts_with_its_environment() -> None:
    each = workload("overlays/laptop", "tgi-local")
    settings = load_tgi_local(aios_environment(each))
    limit = next(v["emptyDir"]["sizeLimit"] for v in each.pod["volumes"] if v["name"] == "data")

    assert settings.port == TGI_LOCAL_PORT == each.ports["http"]
    assert settings.host == "0.0.0.0"
    assert settings.snapshot_total_bytes < quantity(limit)


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", SERVED)
def test_a_process_listens_where_its_code_does(overlay: str, name: str) -> None:
    each = workload(overlay_path(overlay), name)
    services = [s for s in of_kind(overlay_path(overlay), "Service") if s["spec"]["selector"] == each.labels]

    assert each.ports == kernel_ports(name)
    assert services
    served = {port["name"] for service in services for port in service["spec"]["ports"]}
    assert served == {"grpc", "door"} & set(each.ports)
    for service in services:
        for port in service["spec"]["ports"]:
            assert port["port"] == numbered(each, port["targetPort"]) == each.ports[port["name"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_endpoint_names_a_service_and_its_port(overlay: str) -> None:
    directory = overlay_path(overlay)
    services = {s["metadata"]["name"]: s["spec"]["ports"] for s in of_kind(directory, "Service")}
    (environment,) = [each["data"] for each in of_kind(directory, "ConfigMap")]
    endpoints = {n: v for n, v in environment.items() if n.endswith(("_ENDPOINT", "_ENDPOINTS"))}

    assert set(endpoints) == {"AIOS_TGI_ENDPOINTS", *(f"AIOS_{name.upper()}_ENDPOINT" for name in KERNEL)}
    for value in endpoints.values():
        for endpoint in value.split(","):
            host, _, port = endpoint.rpartition("/")[2].rpartition(":")
            service = host.rpartition(".")[2]  # pod.service of a StatefulSet
            assert int(port) in [each["port"] for each in services[service]], endpoint


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", SERVED)
def test_probes_ask_what_the_chassis_serves(overlay: str, name: str) -> None:
    each = workload(overlay_path(overlay), name)
    container = each.container
    probes = [container[kind] for kind in ("startupProbe", "readinessProbe", "livenessProbe")]
    paths = {probe["httpGet"]["path"] for probe in probes if "httpGet" in probe}
    ports = {numbered(each, probe["httpGet"]["port"]) for probe in probes if "httpGet" in probe}
    asked = {probe["grpc"].get("service", "") for probe in probes if "grpc" in probe}
    known = {service.full_name for file in FILES for service in file.DESCRIPTOR.services_by_name.values()}

    assert paths <= {"/healthz", "/readyz"}
    assert ports == {each.ports["http"]}
    assert {probe["grpc"]["port"] for probe in probes if "grpc" in probe} == {each.ports["health"]}
    assert asked - {""} <= {full for full in known if full.startswith(f"aios.api.{name}.")}
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"  # never about another process


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_every_server_has_all_probes(directory: str) -> None:
    for each in workloads(directory):
        if each.object["kind"] != "Job":
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(each.container), each.name


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", SERVED)
def test_kubernetes_waits_longer_than_a_process_drains(overlay: str, name: str) -> None:
    each = workload(overlay_path(overlay), name)
    common = Process(name, aios_environment(each)).common
    needed = common.drain_seconds + common.grace_seconds + timedelta(seconds=SLACK_SECONDS)

    assert common.drain_seconds > timedelta(0)
    assert each.pod["terminationGracePeriodSeconds"] >= needed.total_seconds()


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_pods_are_unprivileged_and_know_no_kubernetes(directory: str) -> None:
    for each in workloads(directory):
        pod, container = each.pod, each.container
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert not pod.get("hostNetwork")
        assert not any("hostPath" in volume for volume in pod["volumes"])


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_the_commands_are_modules_that_exist(directory: str) -> None:
    for each in workloads(directory):
        if each.container["image"].startswith("aios:"):
            (module,) = each.container["args"]
            folder = ROOT / module.replace(".", "/")
            assert (folder / "__main__.py").is_file(), module
            assert module.rpartition(".")[2].replace("_", "-") == each.name


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_secrets_are_referred_to_and_never_made(directory: str) -> None:
    assert of_kind(directory, "Secret") == []
    for each in workloads(directory):
        secrets = [v["secret"]["secretName"] for v in each.pod["volumes"] if "secret" in v]
        own = [f"aios-service-key-{each.name}"] if each.name in KEYED else []
        assert secrets == own + (["aios-sandbox-key"] if each.name == "tool" else [])
        gathered = [v["projected"]["sources"] for v in each.pod["volumes"] if "projected" in v]
        if each.name == "access":
            assert [(s["secret"]["name"], s["secret"]["items"]) for sources in gathered for s in sources] == [
                (f"aios-service-key-{name}", [{"key": "service.key", "path": f"{name}.key"}])
                for name in sorted(KEYED)
            ]
        else:
            assert gathered == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_must_be_alone_is_alone(overlay: str) -> None:
    """A volume has one writer; scheduler and tool manager are one process, tgi-local is one endpoint."""
    alone = {"scheduler", "tool", "tgi-local"}
    for each in workloads(overlay_path(overlay)):
        spec = each.object["spec"]
        claimed = any("persistentVolumeClaim" in volume for volume in each.pod["volumes"])
        if each.object["kind"] == "Deployment" and (claimed or each.name in alone):
            assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"}), each.name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_calls_are_spread_over_the_replicas_of_a_manager(overlay: str) -> None:
    directory = overlay_path(overlay)
    services = {each["metadata"]["name"]: each["spec"] for each in of_kind(directory, "Service")}
    budgets = {each["metadata"]["name"] for each in of_kind(directory, "PodDisruptionBudget")}
    (environment,) = [each["data"] for each in of_kind(directory, "ConfigMap")]
    for each in workloads(directory):
        if each.name in KERNEL and each.object["spec"]["replicas"] > 1 and each.name != "gateway":
            endpoint = environment[f"AIOS_{each.name.upper()}_ENDPOINT"]
            assert endpoint.startswith("dns:///")
            assert services[endpoint.split("/")[-1].partition(":")[0]]["clusterIP"] == "None"
            assert each.name in budgets


def test_tables_are_in_postgres_for_every_manager_that_has_some() -> None:
    with_url = {
        each.name
        for each in workloads("overlays/postgres")
        if f"AIOS_{each.name.upper()}_DATABASE_URL" in each.environment
    }
    with_claim = {
        volume["persistentVolumeClaim"]["claimName"].removesuffix("-data")
        for each in workloads("overlays/laptop")
        for volume in each.pod["volumes"]
        if "persistentVolumeClaim" in volume
    }

    assert with_url == with_claim
    assert {(ROOT / f"services/{name}/store").is_dir() for name in with_url} == {True}


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize(
    ("keys", "manager", "setting"),
    [
        ("snapshot-keys", "context", "AIOS_CONTEXT_SNAPSHOT_KEYS_FILE"),
        ("tool-secret-keys", "tool", "AIOS_TOOL_SECRET_KEYS_FILE"),
    ],
)
def test_keys_reach_the_manager_that_seals_with_them_alone(
    tmp_path: Path, keys: str, manager: str, setting: str, overlay: str
) -> None:
    component = KUBERNETES / "components" / keys
    own = {"resources": [str(KUBERNETES / "overlays" / overlay)], "components": [str(component)]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(own))
    each = workload(str(tmp_path), manager)
    directory = Path(each.environment[setting] or "").parent
    (mount,) = [m for m in each.container["volumeMounts"] if m["mountPath"] == str(directory)]
    holders = {
        other.name
        for other in workloads(str(tmp_path))
        for volume in other.pod["volumes"]
        if volume.get("secret", {}).get("secretName") == f"aios-{keys}"
    }

    assert mount["readOnly"]
    assert holders == {manager}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_process_gets_its_own_certificate_and_no_others(tmp_path: Path, overlay: str) -> None:
    component = KUBERNETES / "components/tls"
    own = {"resources": [str(KUBERNETES / "overlays" / overlay)], "components": [str(component)]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(own))
    for each in workloads(str(tmp_path)):
        secrets = [v["secret"]["secretName"] for v in each.pod["volumes"] if "secret" in v]
        mounted = [name for name in secrets if name.startswith("aios-tls-")]
        assert mounted == ([f"aios-tls-{each.name}"] if each.name in SERVED else [])
        if each.name in SERVED:
            (mount,) = [m for m in each.container["volumeMounts"] if m["name"] == "tls"]
            common = config.load(CommonConfig, aios_environment(each), "AIOS_", known=None)
            files = [common.tls_cert, common.tls_key, common.tls_ca]
            assert {str(file.parent) for file in files if file} == {mount["mountPath"]}
            assert [file.name for file in files if file] == ["tls.crt", "tls.key", "ca.crt"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_sandbox_has_nothing_that_is_worth_breaking_out_for(overlay: str) -> None:
    """No data, no Secret, no account, no user that another pod has, and no word of where the others are."""
    pods = {each.name: each for each in workloads(overlay_path(overlay))}
    each = pods.pop(SANDBOX)
    users = {other.pod["securityContext"]["runAsUser"] for other in pods.values()}
    kinds = {kind for volume in each.pod["volumes"] for kind in volume if kind != "name"}

    assert each.pod["securityContext"]["runAsUser"] not in users
    assert kinds == {"emptyDir"}
    assert all(v["emptyDir"].keys() == {"medium", "sizeLimit"} for v in each.pod["volumes"])
    assert "envFrom" not in each.container
    assert not [name for name in each.environment if name.endswith(("_ENDPOINT", "_KEY_FILE", "_URL"))]
    assert each.environment["AIOS_SANDBOX_CALLER_SHA256"] is None  # from a ConfigMap that the operator makes


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_jobs_of_a_sandbox_fit_into_its_memory(overlay: str) -> None:
    each = workload(overlay_path(overlay), SANDBOX)
    settings = config.load(SandboxConfig, aios_environment(each), "AIOS_SANDBOX_", known=listen_names())
    limit = quantity(each.container["resources"]["limits"]["memory"])

    assert settings.memory_bytes + settings.talks_memory_bytes < limit


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_tool_manager_finds_the_sandbox_and_shows_it_a_credential(overlay: str) -> None:
    each = workload(overlay_path(overlay), "tool")
    services = {s["metadata"]["name"]: s["spec"]["ports"] for s in of_kind(overlay_path(overlay), "Service")}
    host, _, port = (each.environment["AIOS_TOOL_SANDBOX_TARGET"] or "").partition(":")
    key = Path(each.environment["AIOS_TOOL_SANDBOX_KEY_FILE"] or "")
    (mount,) = [m for m in each.container["volumeMounts"] if m["mountPath"] == str(key.parent)]

    assert [service["port"] for service in services[host]] == [int(port)]
    assert mount["readOnly"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_sandbox_may_have_a_runtime_of_its_own(tmp_path: Path, overlay: str) -> None:
    component = KUBERNETES / "components/sandbox-runtime"
    own = {"resources": [str(KUBERNETES / "overlays" / overlay)], "components": [str(component)]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(own))

    assert {each.name for each in workloads(str(tmp_path)) if "runtimeClassName" in each.pod} == {SANDBOX}


def test_notes_in_ram_leave_room_below_the_memory_limit() -> None:
    each = workload("overlays/laptop", "memory")
    resident = int(each.environment["AIOS_MEMORY_MAX_RESIDENT_BYTES"] or 0)

    assert resident * 2 < quantity(each.container["resources"]["limits"]["memory"])


def test_tgi_takes_all_that_the_scheduler_sends() -> None:
    tgi = workload("overlays/gpu", "tgi")
    gateway = workload("overlays/gpu", "gateway")
    shm = next(volume for volume in tgi.pod["volumes"] if volume["name"] == "shm")

    assert int(tgi.environment["MAX_CONCURRENT_REQUESTS"] or 0) >= int(
        gateway.environment["AIOS_TGI_SLOTS"] or 0
    )
    assert int(tgi.environment["PORT"] or 0) == tgi.ports["http"]
    assert tgi.environment["NUM_SHARD"] == tgi.container["resources"]["limits"]["nvidia.com/gpu"]
    assert tgi.environment["HF_HOME"] in {mount["mountPath"] for mount in tgi.container["volumeMounts"]}
    assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}
    assert tgi.pod["terminationGracePeriodSeconds"] >= 100


def test_the_downloaded_model_is_the_served_one() -> None:
    tgi, job = workload("overlays/gpu", "tgi"), workload("model-download", "model-download")

    assert (tgi.environment["MODEL_ID"], tgi.container["image"]) == (
        job.environment["MODEL_ID"],
        job.container["image"],
    )


def test_the_image_has_the_version_of_the_project() -> None:
    version = next(
        line.split('"')[1]
        for line in (ROOT / "pyproject.toml").read_text().splitlines()
        if "version =" in line
    )
    images = {each.container["image"] for overlay in OVERLAYS for each in workloads(overlay_path(overlay))}

    assert {image for image in images if image.startswith("aios")} == {f"aios:{version}"}


def test_every_file_is_listed_by_the_kustomization_beside_it() -> None:
    for kustomization in KUBERNETES.rglob("kustomization.yaml"):
        listed = yaml.safe_load(kustomization.read_text()).get("resources", [])
        beside = {path.name for path in kustomization.parent.glob("*.yaml")} - {kustomization.name}
        assert beside == {name for name in listed if name.endswith(".yaml")}, kustomization


def overlay_path(overlay: str) -> str:
    """Return the directory of an overlay."""
    return f"overlays/{overlay}"


def listen_names() -> list[str]:
    """Return the variables every process of the kernel accepts under its own prefix."""
    return [field.name.upper() for field in dataclasses.fields(ListenConfig)]


def quantity(text: str) -> int:
    """Return the bytes of a Kubernetes quantity such as 3Gi."""
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    return int(text[:-2]) * units[text[-2:]]
