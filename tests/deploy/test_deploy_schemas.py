"""Every object is what Kubernetes accepts, strictly, and what kustomize makes of the files."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import kubernetes_validate
import pytest
import yaml

from tests.deploy.kustomize import Object
from tests.deploy.manifests import DIRECTORIES, KUBERNETES, WORKLOADS, of_kind, rendered, workloads

SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / "v{version}.0-local-strict"
OLDEST, NEWEST = "1.27", "1.37"


@cache
def validator(version: str, kind: str, api_version: str) -> jsonschema_rs.Validator:
    """Return the validator of a kind; unknown fields are errors."""
    directory = Path(str(SCHEMAS).format(version=version))
    group, _, api = api_version.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.split(".")[0], api) if part)
    definitions: dict[str, Any] = json.loads((directory / "_definitions.json").read_text())
    registry = jsonschema_rs.Registry([("https://kubernetes.io/api/_definitions.json", definitions)])
    return jsonschema_rs.Draft7Validator(
        json.loads((directory / f"{name}.json").read_text()),
        registry=registry,
        base_uri=f"https://kubernetes.io/api/{name}.json",
        offline=True,
    )


def problems(document: Object, version: str) -> list[str]:
    """Return what is wrong with an object."""
    checker = validator(version, document["kind"], document["apiVersion"])
    name = f"{document['kind']} {document['metadata']['name']}"
    return [f"{name}: {error.message} at {error.instance_path}" for error in checker.iter_errors(document)]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("directory", DIRECTORIES)
def test_every_object_fits_the_strict_schema(directory: str, version: str) -> None:
    found = [problem for document in rendered(directory) for problem in problems(document, version)]

    assert found == []


def test_the_schemas_refuse_a_misspelt_field() -> None:
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x"},
        "spec": {"selector": {}, "template": {"spec": {"containers": [{"name": "x", "imag": "y"}]}}},
    }

    assert any("imag" in problem for problem in problems(deployment, NEWEST))


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_kustomize_makes_the_same_objects(directory: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    made = subprocess.run(
        [kubectl, "kustomize", str(KUBERNETES / directory)], capture_output=True, text=True, check=True
    ).stdout

    assert by_identity(list(yaml.safe_load_all(made))) == by_identity(rendered(directory))


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_no_two_objects_share_a_name(directory: str) -> None:
    objects = rendered(directory)

    assert len(by_identity(objects)) == len(objects)


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_everything_lives_in_the_restricted_namespace(directory: str) -> None:
    (namespace,) = of_kind(directory, "Namespace")
    rest = [each for each in rendered(directory) if each["kind"] != "Namespace"]

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {each["metadata"]["namespace"] for each in rest} == {namespace["metadata"]["name"]}


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_every_selector_picks_pods_of_its_own_process(directory: str) -> None:
    pods = {each.name: each.labels for each in workloads(directory)}
    services = [each for each in of_kind(directory, "Service") if each["spec"]["selector"]]

    for each in workloads(directory):
        if each.object["kind"] != "Job":
            assert each.object["spec"]["selector"]["matchLabels"] == each.labels
    for service in services:
        assert service["spec"]["selector"] == pods[service["metadata"]["labels"]["app.kubernetes.io/name"]]


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_every_claim_is_used_and_every_used_claim_exists(directory: str) -> None:
    claims = {each["metadata"]["name"] for each in of_kind(directory, "PersistentVolumeClaim")}
    used = {
        volume["persistentVolumeClaim"]["claimName"]
        for each in workloads(directory)
        for volume in each.pod["volumes"]
        if "persistentVolumeClaim" in volume
    }

    assert claims == used


def by_identity(objects: list[Object]) -> dict[tuple[str, str], Object]:
    """Index objects by kind and name, with the suffix of generated names left out."""
    return {(each["kind"], _plain(each)["metadata"]["name"]): _plain(each) for each in objects}


def _plain(each: Object) -> Object:
    if each["kind"] not in (*WORKLOADS, "ConfigMap"):
        return each
    text = re.sub(r"aios-environment-[a-z0-9]{10}", "aios-environment", json.dumps(each))
    plain: Object = json.loads(text)
    return plain
