"""Fields have names that can stand beside each other in every language that stubs are generated in."""

from collections.abc import Iterator
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from tests.unit.chassis.test_chassis_methods import api_files

MESSAGES: Final = [message for file in api_files() for message in file.message_types_by_name.values()]


def accessors(field: FieldDescriptor) -> Iterator[str]:
    """Yield what Java has beside the accessor of a field, as fields with such accessors would be called."""
    endings: set[str] = set()
    if field.type == FieldDescriptor.TYPE_STRING:
        endings.add("bytes")
    if field.type == FieldDescriptor.TYPE_ENUM:
        endings.add("value")
    if field.is_repeated:
        endings |= {"count", "list", "map"}
    if field.message_type is not None:
        endings |= {"builder", "or_builder", "builder_list", "or_builder_list"}
    return (f"{field.name}_{ending}" for ending in endings)


def clashes(message: Descriptor) -> list[str]:
    """Return the fields of a message that are called as an accessor of another is in Java."""
    names = {field.name for field in message.fields}
    taken = {name for field in message.fields for name in accessors(field)}
    inner = [clash for nested in message.nested_types for clash in clashes(nested)]
    return [f"{message.full_name}.{name}" for name in sorted(names & taken)] + inner


def test_no_field_is_called_as_an_accessor_of_another_in_java() -> None:
    assert len(MESSAGES) > 100
    assert [clash for message in MESSAGES for clash in clashes(message)] == []
