"""Conversations on the wire."""

from collections.abc import Collection

from aios._wire import llm
from aios._wire.common import agent_name
from aios._wire.records import record
from aios.api.context.v1 import context_pb2 as pb
from aios.api.context.v1 import resources_pb2 as res
from aios.types.contexts import ContextInfo, ContextMessage, Window, WindowStrategy
from aios.types.llm import Messages

_STRATEGIES: dict[WindowStrategy, res.WindowStrategy] = {
    "unspecified": res.WINDOW_STRATEGY_UNSPECIFIED,
    "drop_oldest": res.WINDOW_STRATEGY_DROP_OLDEST,
    "keep_head_and_tail": res.WINDOW_STRATEGY_KEEP_HEAD_AND_TAIL,
    "summarize": res.WINDOW_STRATEGY_SUMMARIZE,
    "recall": res.WINDOW_STRATEGY_RECALL,
}


def context_name(context: str, agent: str = "me") -> str:
    """Return the resource name of a context given by id or name."""
    return context if context.startswith("agents/") else f"{agent_name(agent)}/contexts/{context}"


def strategy(value: WindowStrategy) -> res.WindowStrategy:
    """Return a strategy as protobuf."""
    return _STRATEGIES[value]


def messages(value: Messages, pinned: Collection[int] = ()) -> list[res.Message]:
    """Return messages to append; `pinned` holds the indexes of those that stay in every window."""
    found = enumerate(llm.messages_of(value))
    return [res.Message(message=message, pinned=index in pinned) for index, message in found]


def context(message: res.Context) -> ContextInfo:
    """Return a context from protobuf."""
    return record(ContextInfo, message)


def message(value: res.Message) -> ContextMessage:
    """Return a message of a context from protobuf."""
    return record(ContextMessage, value)


def window(message: pb.AssembleWindowResponse) -> Window:
    """Return a window from protobuf."""
    return record(Window, message)
