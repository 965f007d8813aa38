"""A conversation with a model, in the terms that inference and context share. Pure."""

from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """Who speaks in a chat. Values are the role names of the chat templates, and are stored."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool that the model asks for. The context manager stores it under these field names."""

    id: str
    name: str
    arguments: str = ""
    """The text of one JSON object, as the model wrote it."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a chat. The context manager stores it under these field names."""

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    """Of the call that a tool's message answers."""
    name: str = ""
    """Of the tool, or of the speaker where several share a role."""

    @property
    def size(self) -> int:
        """What its texts take. Unit: bytes."""
        calls = sum(len(call.id) + len(call.name) + len(call.arguments.encode()) for call in self.tool_calls)
        return len(self.content.encode()) + calls + len(self.tool_call_id) + len(self.name.encode())


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool as it is shown to a model."""

    name: str
    description: str = ""
    parameters_schema: str = ""
    """The text of the JSON Schema of its arguments; empty: it takes none."""
