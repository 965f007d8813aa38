"""Targets: requests as their bytes come over gRPC, and what managers make of them before they act."""

from typing import Final

from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2
from aios.api.context.v1 import context_pb2
from aios.api.inference.v1 import inference_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.scheduler.v1 import scheduler_pb2
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2
from gateway.inference import wire as inference_wire
from services.access.wire import agents as agent_wire
from services.chassis.auth.identity import Caller, Kind
from services.chassis.rpc import methods
from services.chassis.rpc.methods import Audience, Method
from services.chassis.rpc.steps import validation
from services.context.wire import contexts as context_wire
from services.memory.wire import notes as memory_wire
from services.scheduler.wire import scheduling as scheduler_wire
from services.storage.core import filters
from services.storage.wire import records
from services.tool.wire import calls as tool_wire
from tests.fuzz.steps import run
from tests.fuzz.target import Targets, target

WIRE: Final[Targets] = {}
METHODS: Final = {
    method.label.rpartition("/")[2]: method
    for method in methods.table(
        *(
            each.DESCRIPTOR
            for each in (
                access_pb2,
                agent_pb2,
                context_pb2,
                inference_pb2,
                memory_pb2,
                scheduler_pb2,
                storage_pb2,
                tool_pb2,
            )
        )
    ).values()
    if method.audience is not Audience.KERNEL
}
_NAMES: Final = sorted(METHODS)
_CALLER: Final = Caller(tenant="acme", agent="planner", kind=Kind.AGENT)
_STEPS: Final = (2000, 40)
_ALLOCATED: Final = (700_000, 4000)


def _read(method: Method, given: bytes) -> object:
    request = run(validation.admit(method, given))
    method.resource_of(request)
    validation.validate(method, request)
    return request


@target(WIRE, largest=4_194_304, steps=_STEPS, allocated=_ALLOCATED)
def any_method(given: bytes) -> object:
    """The bytes of a request to any method, in every process: counted, parsed, held against its rules.

    The first byte chooses the method. Cap: the method's own.
    """
    return _read(METHODS[_NAMES[(given[0] if given else 0) % len(_NAMES)]], given[1:])


@target(WIRE, largest=2_097_152, steps=_STEPS, allocated=_ALLOCATED)
def generate(given: bytes) -> object:
    """A Generate, in the gateway. Cap: 2 MiB."""
    return inference_wire.spec(_read(METHODS["Generate"], given))  # type: ignore[arg-type]


@target(WIRE, largest=1_114_112, steps=_STEPS, allocated=_ALLOCATED)
def call_tool(given: bytes) -> object:
    """A CallTool, its arguments a Struct or JSON, in the tool manager. Cap: 1 MiB and a bit."""
    return tool_wire.call_request(_read(METHODS["CallTool"], given), _CALLER)  # type: ignore[arg-type]


@target(WIRE, largest=4_194_304, steps=_STEPS, allocated=_ALLOCATED)
def complete_call(given: bytes) -> object:
    """The end of a call that a provider tells, in the tool manager. Cap: 4 MiB."""
    return tool_wire.outcome(_read(METHODS["CompleteCall"], given), _CALLER)  # type: ignore[arg-type]


@target(WIRE, largest=4_194_304, steps=_STEPS, allocated=_ALLOCATED)
def put_records(given: bytes) -> object:
    """Records to write, in the storage manager. Cap: 4 MiB, 500 records."""
    return records.rows(_read(METHODS["PutRecords"], given).records)  # type: ignore[attr-defined]


@target(WIRE, largest=262_144, steps=_STEPS, allocated=_ALLOCATED)
def query_records(given: bytes) -> object:
    """Filters on the fields of records, in the storage manager. Cap: 256 KiB, 32 filters."""
    asked = records.question(_read(METHODS["QueryRecords"], given))  # type: ignore[arg-type]
    filters.check(asked.filters)
    return filters.passes({"a": {"b": [1, "x", None]}, "": ""}, asked.filters)


@target(WIRE, largest=1_179_648, steps=_STEPS, allocated=_ALLOCATED)
def put_note(given: bytes) -> object:
    """A note with its tags, links and metadata, in the memory manager. Cap: 1.1 MiB."""
    return memory_wire.fields(_read(METHODS["PutNote"], given).note, _CALLER)  # type: ignore[attr-defined]


@target(WIRE, largest=65_536, steps=_STEPS, allocated=_ALLOCATED)
def register_agent(given: bytes) -> object:
    """A new agent with its labels, hints and caps, in the access manager. Cap: 64 KiB."""
    return agent_wire.new_agent(_read(METHODS["RegisterAgent"], given))  # type: ignore[arg-type]


@target(WIRE, largest=4_194_304, steps=_STEPS, allocated=_ALLOCATED)
def append_messages(given: bytes) -> object:
    """Messages of a conversation, in the context manager. Cap: 4 MiB, 200 messages."""
    asked = _read(METHODS["AppendMessages"], given)
    return context_wire.drafts(asked.messages)  # type: ignore[attr-defined]


@target(WIRE, largest=65_536, steps=_STEPS, allocated=_ALLOCATED, refusals=(ValueError,))
def set_policy(given: bytes) -> object:
    """Parameters of a scheduling policy, in the scheduler. Cap: 64 KiB."""
    return scheduler_wire.params(_read(METHODS["SetPolicy"], given).policy)  # type: ignore[attr-defined]
