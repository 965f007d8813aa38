"""The chat format of the demo model: ChatML, a tool list in the system turn, calls as tagged JSON.

Pure. Trainer, evaluator and tests render through this one module, so that what the model was trained
on is what it is asked.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

IM_START = "<|im_start|>"
IM_END = "<|im_end|>"
PAD = "<|endoftext|>"
CALL_OPEN = "<tool_call>"
CALL_CLOSE = "</tool_call>"

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Jinja template stored in the GGUF. Renders exactly what `render` renders."""

TOOLS_FOOTER = (
    'Reply with <tool_call>{"name": ..., "arguments": {...}}</tool_call> to call a tool; '
    "several calls may follow one another."
)
"""Last line of a system turn that offers tools."""

Message = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a tool, as the tool list shows it."""

    name: str
    type: str = "string"
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.name}{'?' if self.optional else ''}: {self.type}"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool offered to the model: its name, parameters and one sentence of description."""

    name: str
    params: tuple[Param, ...]
    description: str

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.params))}): {self.description}"


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call of an assistant turn."""

    name: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        body = json.dumps({"name": self.name, "arguments": dict(self.arguments)}, ensure_ascii=False)
        return f"{CALL_OPEN}{body}{CALL_CLOSE}"


def system_content(text: str, tools: Sequence[Tool]) -> str:
    """Content of the system turn: the text, then the tool list when any tool is offered."""
    if not tools:
        return text
    return "\n".join([text, "", "# Tools", *map(str, tools), TOOLS_FOOTER])


def calls_content(calls: Sequence[Call]) -> str:
    """Content of an assistant turn that calls tools, one call a line."""
    return "\n".join(map(str, calls))


def parse_calls(content: str) -> list[Any]:
    """JSON bodies of the calls in an assistant turn. Raises ValueError on a body that is no JSON."""
    pattern = re.escape(CALL_OPEN) + "(.*?)" + re.escape(CALL_CLOSE)
    return [json.loads(body) for body in re.findall(pattern, content, flags=re.DOTALL)]


def render_turn(message: Message) -> str:
    """Render one finished turn."""
    return f"{IM_START}{message['role']}\n{message['content']}{IM_END}\n"


def render(messages: Sequence[Message], *, generation_prompt: bool = False) -> str:
    """Render turns as one prompt; with `generation_prompt` the assistant's turn is opened."""
    opened = f"{IM_START}assistant\n" if generation_prompt else ""
    return "".join(map(render_turn, messages)) + opened


def training_spans(messages: Sequence[Message]) -> list[tuple[str, bool]]:
    """Pieces of text in order, each with whether the model is trained to write it.

    Trained are the assistant's content and its closing <|im_end|>.
    """
    spans: list[tuple[str, bool]] = []
    for message in messages:
        if message["role"] != "assistant":
            spans.append((render_turn(message), False))
            continue
        spans.append((f"{IM_START}assistant\n", False))
        spans.append((message["content"] + IM_END, True))
        spans.append(("\n", False))
    return spans
