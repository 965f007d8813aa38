"""The order of a conversation in which servers take it. Pure.

After an assistant's message with tool calls come the results of all of them, before anybody else speaks:
servers refuse any other order for good. Conversations are not always so. A user speaks while a tool runs,
its result comes late, or never. What is stored stays as it happened; what is sent is put in order.
"""

from collections.abc import Iterable, Sequence

from gateway.errors import OrphanToolResult
from services.chassis.chat import ChatMessage, Role

NO_RESULT = "no result: the tool was called, and nothing has come back"
"""Stands for the result of a call that has none."""


def in_order(messages: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Return a conversation with each tool result right behind its call, and a word for those missing.

    A result belongs to the newest call before it with its id, since models use ids again. Raises
    OrphanToolResult for one without such a call.
    """
    if not any(message.tool_calls or message.role is Role.TOOL for message in messages):
        return tuple(messages)
    ordered: list[tuple[ChatMessage, list[ChatMessage]]] = []
    waiting: dict[str, list[list[ChatMessage]]] = {}
    for position, message in enumerate(messages):
        if message.role is Role.TOOL:
            callers = waiting.get(message.tool_call_id)
            if not callers:
                raise OrphanToolResult.at(position, message.tool_call_id)
            callers.pop().append(message)
            continue
        results: list[ChatMessage] = []
        ordered.append((message, results))
        for call in message.tool_calls:
            waiting.setdefault(call.id, []).append(results)
    return tuple(each for message, results in ordered for each in _answered(message, results))


def _answered(message: ChatMessage, results: Sequence[ChatMessage]) -> Iterable[ChatMessage]:
    yield message
    yield from results
    answered = [result.tool_call_id for result in results]
    for call in message.tool_calls:
        if call.id in answered:
            answered.remove(call.id)
        else:
            yield ChatMessage(Role.TOOL, NO_RESULT, tool_call_id=call.id, name=call.name)
