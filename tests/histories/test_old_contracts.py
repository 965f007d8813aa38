"""Clients of every release go on to be understood: the contract has only grown since."""

import gzip
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2

import aios.api
from tests.histories.restore import RELEASES

Found = dict[str, Any]


def _messages(prefix: str, messages: Any) -> Iterator[tuple[str, Any]]:
    for message in messages:
        name = f"{prefix}.{message.name}"
        yield name, message
        yield from _messages(name, message.nested_type)


def facts(files: Any) -> dict[str, Any]:
    """Return what a client relies on: fields by number, values of enums, methods with their types."""
    found: Found = {}
    for file in files:
        if not file.package.startswith("aios."):
            continue
        for name, message in _messages(file.package, file.message_type):
            for field in message.field:
                what = (field.name, field.type, field.label, field.type_name)
                found[f"{name} field {field.number}"] = what
            for enum in message.enum_type:
                found |= {f"{name}.{enum.name} value {value.number}": value.name for value in enum.value}
        for enum in file.enum_type:
            found |= {f"{file.package}.{enum.name} value {value.number}": value.name for value in enum.value}
        for service in file.service:
            for method in service.method:
                shape = (
                    method.input_type,
                    method.output_type,
                    method.client_streaming,
                    method.server_streaming,
                )
                found[f"{file.package}.{service.name}/{method.name}"] = shape
    return found


def now() -> Found:
    """Return the facts of the contract as it is."""
    files = []
    for module in pkgutil.walk_packages(aios.api.__path__, "aios.api."):
        if module.name.endswith("_pb2"):
            file = descriptor_pb2.FileDescriptorProto()
            importlib.import_module(module.name).DESCRIPTOR.CopyToProto(file)
            files.append(file)
    return facts(files)


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_every_field_value_and_method_of_a_release_is_still_what_it_was(release: Path) -> None:
    packed = (release / "contract.binpb.gz").read_bytes()
    then = facts(descriptor_pb2.FileDescriptorSet.FromString(gzip.decompress(packed)).file)
    current = now()

    assert len(then) > 1_000
    changed = {name: (what, current.get(name)) for name, what in then.items() if current.get(name) != what}
    assert not changed


def test_a_removed_field_a_moved_number_and_a_changed_method_are_noticed() -> None:
    def contract(number: int, kind: int, reply: str) -> Found:
        file = descriptor_pb2.FileDescriptorProto(package="aios.test")
        file.message_type.add(name="Note").field.add(name="key", number=number, type=kind, label=1)
        service = file.service.add(name="Notes")
        service.method.add(name="Get", input_type=".aios.test.Note", output_type=reply)
        return facts([file])

    base = contract(1, 9, ".aios.test.Note")
    for other in (
        contract(2, 9, ".aios.test.Note"),
        contract(1, 12, ".aios.test.Note"),
        contract(1, 9, ".x"),
    ):
        assert any(other.get(name) != what for name, what in base.items())
