"""Renders the part of kustomize that the manifests use; anything else is refused.

Known: resources, components, namespace, configMapGenerator (literals, envs, merge), replicas, and patches
that are JSON 6902 with a target or delete an object. The name of a generated ConfigMap ends with a hash.
"""

import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

_KNOWN = {
    "apiVersion",
    "kind",
    "namespace",
    "resources",
    "components",
    "configMapGenerator",
    "replicas",
    "patches",
}
_CLUSTER_WIDE = {"Namespace"}


class UnsupportedError(Exception):
    """A kustomization uses what this renderer does not know."""


def render(directory: Path) -> list[Object]:
    """Return the objects of a kustomization directory. Raises UnsupportedError."""
    objects = _build(directory, [])
    return _with_hashed_names(objects)


def find(objects: list[Object], kind: str, name: str) -> Object:
    """Return the one object of a kind and name. Raises KeyError."""
    for candidate in objects:
        if candidate["kind"] == kind and candidate["metadata"]["name"] == name:
            return candidate
    raise KeyError(f"no {kind} {name}")


def _build(directory: Path, objects: list[Object]) -> list[Object]:
    """Apply a kustomization to what is there already (nothing, unless it is a component)."""
    content = yaml.safe_load((directory / "kustomization.yaml").read_text())
    if unknown := set(content) - _KNOWN:
        raise UnsupportedError(f"{directory}: {sorted(unknown)}")
    own: list[Object] = []
    for resource in content.get("resources", []):
        path = (directory / resource).resolve()
        own += _build(path, []) if path.is_dir() else _documents(path)
    objects = [*objects, *own]
    for component in content.get("components", []):
        objects = _build((directory / component).resolve(), objects)
    for generator in content.get("configMapGenerator", []):
        _generate(directory, generator, objects)
    for patch in content.get("patches", []):
        objects = _patched(objects, patch)
    for change in content.get("replicas", []):
        _scale(objects, change)
    if namespace := content.get("namespace"):
        for each in objects:
            if each["kind"] not in _CLUSTER_WIDE:
                each["metadata"]["namespace"] = namespace
    return objects


def _documents(path: Path) -> list[Object]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def _generate(directory: Path, generator: Object, objects: list[Object]) -> None:
    lines = list(generator.get("literals", []))
    for name in generator.get("envs", []):
        text = (directory / name).read_text()
        lines += [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    data = dict(line.split("=", 1) for line in lines)
    if generator.get("behavior") == "merge":
        find(objects, "ConfigMap", generator["name"])["data"].update(data)
        return
    metadata = {"name": generator["name"]}
    objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _scale(objects: list[Object], change: Object) -> None:
    matching = [o for o in objects if o["metadata"]["name"] == change["name"] and "replicas" in o["spec"]]
    if not matching:
        raise UnsupportedError(f"replicas: nothing is named {change['name']}")
    for each in matching:
        each["spec"]["replicas"] = change["count"]


def _patched(objects: list[Object], patch: Object) -> list[Object]:
    body = yaml.safe_load(patch["patch"])
    if isinstance(body, dict):
        if body.get("$patch") != "delete":
            raise UnsupportedError("merge patches other than $patch: delete")
        doomed = find(objects, body["kind"], body["metadata"]["name"])
        return [each for each in objects if each is not doomed]
    target = find(objects, patch["target"]["kind"], patch["target"]["name"])
    for operation in body:
        _operate(target, operation)
    return objects


def _operate(document: Object, operation: Object) -> None:
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    node: Any = document
    for part in way:
        node = node[int(part) if isinstance(node, list) else part]
    match operation["op"], node:
        case "add", list():
            node.insert(len(node) if last == "-" else int(last), operation["value"])
        case "replace", list():
            node[int(last)] = operation["value"]
        case "add", dict():
            node[last] = operation["value"]
        case "replace", dict() if last in node:
            node[last] = operation["value"]
        case _:
            raise UnsupportedError(f"{operation['op']} at {operation['path']}")


def _with_hashed_names(objects: list[Object]) -> list[Object]:
    objects = copy.deepcopy(objects)
    names: dict[str, str] = {}
    for each in objects:
        if each["kind"] == "ConfigMap":
            digest = hashlib.sha256(json.dumps(each["data"], sort_keys=True).encode()).hexdigest()[:10]
            name = each["metadata"]["name"]
            each["metadata"]["name"] = names[name] = f"{name}-{digest}"
    for each in objects:
        for reference in _config_map_references(each):
            reference["name"] = names.get(reference["name"], reference["name"])
    return objects


def _config_map_references(node: Any) -> Iterator[Object]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("configMapRef", "configMapKeyRef"):
                yield value
            else:
                yield from _config_map_references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _config_map_references(value)
