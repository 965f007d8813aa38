"""The contract's messages as JSON and back, by their descriptors.

Fields are named as in the protos; int64 are strings, enums names, durations such as `1.5s`; what is zero is
absent. Requests are strict: a field that the contract does not have is refused.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2
from aios.api.context.v1 import context_pb2
from aios.api.inference.v1 import inference_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.scheduler.v1 import scheduler_pb2
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2
from gateway.http.console.core.allowed import ALLOWED, SHORT
from services.chassis.rpc import methods
from services.chassis.rpc.errors import InvalidRequest, MalformedRequest, UnknownMethod
from services.chassis.rpc.methods import Method

_DEEPEST: Final = 32
"""Messages within one another in a request."""
_LONGEST_PROBLEM: Final = 300
_FIELD: Final = re.compile(r'no field named "([^"]{1,100})"|[Ff]ailed to parse (\w{1,100}) field')
"""Where the library's texts name the field."""

METHODS: Final[Mapping[str, Method]] = {
    path: method
    for path, method in methods.table(
        agent_pb2.DESCRIPTOR,
        access_pb2.DESCRIPTOR,
        scheduler_pb2.DESCRIPTOR,
        context_pb2.DESCRIPTOR,
        memory_pb2.DESCRIPTOR,
        storage_pb2.DESCRIPTOR,
        tool_pb2.DESCRIPTOR,
        inference_pb2.DESCRIPTOR,
    ).items()
    if path in ALLOWED
}
"""The methods that pages may call, by path."""


def method_of(name: str) -> Method:
    """Return a method by its path without the first slash, or by its short name. Raises UnknownMethod."""
    method = METHODS.get(SHORT.get(name, f"/{name}"))
    if method is None:
        raise UnknownMethod("the console offers no such call")
    return method


def parsed(body: bytes) -> Any:
    """Read a text of JSON. Raises MalformedRequest."""
    try:
        return orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"the body is not JSON: {str(error)[:_LONGEST_PROBLEM]}") from None


def message_of(method: Method, value: Any) -> Message:
    """Make a request of JSON. Raises InvalidRequest."""
    if not isinstance(value, dict):
        raise InvalidRequest.field("", "a request is a JSON object")
    try:
        return json_format.ParseDict(value, method.request(), max_recursion_depth=_DEEPEST)
    except (json_format.ParseError, ValueError, TypeError, OverflowError, RecursionError) as error:
        problem = str(error).partition("\n")[0][:_LONGEST_PROBLEM].encode(errors="replace").decode()
        named = _FIELD.search(problem)
        raise InvalidRequest.field(named[1] or named[2] if named else "", problem) from None


def json_of(method: Method, answer: bytes | Message) -> bytes:
    """Write an answer as JSON. Raises MalformedRequest for bytes that are no message of its type."""
    try:
        message = method.response.FromString(answer) if isinstance(answer, bytes) else answer
    except DecodeError:
        raise MalformedRequest("the kernel's answer cannot be read") from None
    return orjson.dumps(json_format.MessageToDict(message, preserving_proto_field_name=True))
