"""Builds the kernel's messages from what a client sent, and remembers which came from where. Pure."""

from typing import Final

from aios.api.common.v1 import chat_pb2
from gateway.http.common import checks
from gateway.http.common.words import Words
from services.chassis.rpc.errors import InvalidRequest

MESSAGES: Final = 1024
CALLS: Final = 128


class Conversation:
    """The messages in order.

    What does not fit is refused by the client's path, with InvalidRequest, or with PromptTooLong for a text.
    System messages that lead are joined into one, because many chat templates take no second one. Calls are
    put into the assistant's message before them, so that calls told one by one become one message.
    """

    def __init__(self, words: Words, root: str) -> None:
        self._messages: list[chat_pb2.ChatMessage] = []
        self._leading: list[str] = []
        """Texts of the system messages that lead, until they are joined: once, since each may be long."""
        self._leading_bytes = 0
        self._count = 0
        """Messages that the client sent, joined ones included."""
        self._words = words
        self._root = root
        """Name of the client's field that holds the messages."""
        self._tools: dict[str, str] = {}
        """Name of the tool of each call."""

    @property
    def messages(self) -> list[chat_pb2.ChatMessage]:
        """The messages so far."""
        if self._leading:
            self._messages[0].content = "\n\n".join(filter(None, self._leading))
            self._leading = []
        return self._messages

    @property
    def after_assistant(self) -> bool:
        """Whether the last message is the model's."""
        return bool(self._messages) and self._messages[-1].role == chat_pb2.ROLE_ASSISTANT

    def system(self, text: str, path: str, name: str = "") -> None:
        """Add instructions."""
        if len(self._messages) != 1 or not self._leading:
            self._add(chat_pb2.ROLE_SYSTEM, text, path, name)
            self._leading = [text] if len(self._messages) == 1 else self._leading
            self._leading_bytes = len(text.encode())
            return
        self._count_one()
        self._leading_bytes += len(text.encode()) + 2
        if self._leading_bytes > checks.CONTENT_BYTES:
            raise checks.too_long(path)
        self._leading.append(text)

    def user(self, text: str, path: str, name: str = "") -> None:
        """Add what the model answers."""
        self._add(chat_pb2.ROLE_USER, text, path, name)

    def assistant(self, text: str, path: str, name: str = "") -> None:
        """Add what the model said."""
        self._add(chat_pb2.ROLE_ASSISTANT, text, path, name)

    def call(
        self,
        call: str,
        tool: str,
        arguments: str,
        path: str,
        *,
        arguments_path: str,
        id_path: str = "",
        name_path: str = "",
    ) -> None:
        """Add a tool call. `arguments` is the text of a JSON object, or empty. Paths not told are `path`."""
        if not self.after_assistant:
            self.assistant("", path)
        calls = self._messages[-1].tool_calls
        if len(calls) >= CALLS:
            raise InvalidRequest.field(path, f"at most {CALLS} tool calls may follow one another")
        if not call:
            raise InvalidRequest.field(id_path or path, "a tool call needs an id")
        checks.characters(tool, name_path or path, checks.NAME_CHARACTERS, 1)
        ident = checks.key(call)
        self._tools[ident] = tool
        calls.add(id=ident, name=tool, arguments_json=checks.arguments(arguments, arguments_path))

    def result(self, call: str, text: str, path: str, *, id_path: str) -> None:
        """Add what a tool answered."""
        if not call:
            raise InvalidRequest.field(id_path, "the id of the tool call is required")
        ident = checks.key(call)
        self._add(chat_pb2.ROLE_TOOL, text, path, self._tools.get(ident, ""))
        self._messages[-1].tool_call_id = ident

    def _add(self, role: chat_pb2.Role, text: str, path: str, name: str) -> None:
        self._count_one()
        checks.characters(name, f"{path}.name", checks.NAME_CHARACTERS)
        checks.content(text, path)
        self._words.say(f"messages[{len(self._messages)}]", path)
        self._messages.append(chat_pb2.ChatMessage(role=role, content=text, name=name))

    def _count_one(self) -> None:
        self._count += 1
        if self._count > MESSAGES:
            raise InvalidRequest.field(self._root, f"at most {MESSAGES} messages are taken")
