"""Valid requests for any method, filled from its descriptor and rules with names that a test cares about."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import protovalidate
from google.protobuf import duration_pb2, field_mask_pb2, struct_pb2, timestamp_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from buf.validate import validate_pb2
from services.chassis.rpc.methods import Method

_RULES: Any = validate_pb2.field
_ONEOF: Any = validate_pb2.oneof
_DEEPEST = 4
_INTEGERS = {
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
}
_WELL_KNOWN = (
    duration_pb2.Duration,
    timestamp_pb2.Timestamp,
    struct_pb2.Struct,
    struct_pb2.Value,
    field_mask_pb2.FieldMask,
)


class Filler:
    """Fills requests. The first of `texts` that a string field's rules accept goes into it.

    `by_field` gives the texts of a field of that name, which are tried first.
    """

    def __init__(self, texts: Sequence[str], by_field: Mapping[str, Sequence[str]] | None = None) -> None:
        self._texts = tuple(texts)
        self._by_field = dict(by_field or {})

    def requests(self, method: Method) -> Iterator[Any]:
        """Yield a request with the required fields only, and one with every field that can be filled."""
        for whole in (False, True):
            request = method.request()
            self._fill(request, whole=whole, depth=0)
            if method.resource:
                self._name_resource(request, method.resource)
            yield request

    def _name_resource(self, request: Any, path: str) -> None:
        """See that the field which names the resource is set, also where the rules leave it open."""
        *parents, last = path.split(".")
        for part in parents:
            request = getattr(request, part)
        field = request.DESCRIPTOR.fields_by_name[last]
        if field.containing_oneof is None and not getattr(request, last):
            setattr(request, last, self._text(field))

    def _fill(self, message: Any, *, whole: bool, depth: int) -> None:
        taken: set[str] = set()
        for field in message.DESCRIPTOR.fields:
            oneof = field.containing_oneof
            rules = field.GetOptions().Extensions[_RULES]
            needed = whole or rules.required or _needs_text(field, rules)
            if oneof is not None:
                wanted = whole or oneof.GetOptions().Extensions[_ONEOF].required
                if oneof.name in taken or not wanted:
                    continue
                taken.add(oneof.name)
                needed = True
            if field.is_repeated:
                if not _is_map(field) and (whole or rules.repeated.min_items):
                    self._fill_repeated(message, field, depth)
            elif field.message_type is not None:
                if needed and depth < _DEEPEST:
                    self._fill_message(getattr(message, field.name), whole=whole, depth=depth)
            else:
                self._fill_scalar(message, field, rules, needed=needed)

    def _fill_message(self, message: Message, *, whole: bool, depth: int) -> None:
        message.SetInParent()
        if isinstance(message, duration_pb2.Duration):
            message.FromSeconds(60)
        elif not isinstance(message, _WELL_KNOWN):
            self._fill(message, whole=whole, depth=depth + 1)

    def _fill_repeated(self, message: Any, field: FieldDescriptor, depth: int) -> None:
        values = getattr(message, field.name)
        if field.message_type is not None:
            if depth < _DEEPEST:
                self._fill_message(values.add(), whole=False, depth=depth)
        elif field.type == FieldDescriptor.TYPE_STRING:
            values.append(self._text(field))

    def _fill_scalar(self, message: Any, field: FieldDescriptor, rules: Any, *, needed: bool) -> None:
        if field.type == FieldDescriptor.TYPE_STRING:
            if needed:
                setattr(message, field.name, self._text(field))
        elif field.enum_type is not None:
            if needed or 0 in rules.enum.not_in:
                setattr(message, field.name, field.enum_type.values[1].number)
        elif field.type == FieldDescriptor.TYPE_BYTES:
            setattr(message, field.name, b"x" * max(rules.bytes.min_len, 1))
        elif field.type in _INTEGERS:
            least = getattr(rules, _INTEGERS[field.type]).gte
            setattr(message, field.name, max(0, least))

    def _text(self, field: FieldDescriptor) -> str:
        rules = field.GetOptions().Extensions[_RULES]
        string = rules.repeated.items.string if field.is_repeated else rules.string
        for text in (*self._by_field.get(field.name, ()), *self._texts):
            fits = not string.HasField("max_len") or len(text) <= string.max_len
            if fits and (not string.pattern or re.search(string.pattern, text)):
                return text
        return ""


def problems(request: Message) -> str:
    """Return what is wrong with a request by its own rules; empty when it is valid."""
    found = protovalidate.collect_violations(request)
    return "; ".join(f"{each.proto.field} {each.proto.message or each.proto.rule_id}" for each in found)


def _needs_text(field: FieldDescriptor, rules: Any) -> bool:
    string = rules.string
    if field.type != FieldDescriptor.TYPE_STRING or field.is_repeated:
        return False
    return bool(string.min_len or string.min_bytes or (string.pattern and not re.search(string.pattern, "")))


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
