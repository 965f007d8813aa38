"""Targets: what is said to models and by them, and the bodies of HTTP dialects."""

from typing import Any, Final, TypeVar

import msgspec

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.chat import request as chat
from gateway.http.chat.schema import Body as ChatBody
from gateway.http.common.hints import write_headers
from gateway.http.completions import request as completions
from gateway.http.completions.schema import Body as CompletionBody
from gateway.http.core.aliases import Aliases, Served
from gateway.http.core.sessions import parent_of, session_of
from gateway.http.embeddings import request as embeddings
from gateway.http.embeddings.schema import Body as EmbeddingBody
from gateway.http.mcp import uris
from gateway.http.messages import request as messages
from gateway.http.messages.schema import Request as MessagesBody
from gateway.http.responses import request as responses
from gateway.http.responses.schema import Create
from gateway.http.visit import decode
from gateway.inference.core import json_text, template
from gateway.inference.core.markers import Neutralizer
from gateway.inference.core.stop_strings import StopStrings
from gateway.inference.model import ToolChoice
from services.chassis import json_values as values
from services.chassis.chat import ToolDefinition
from services.chassis.rpc import chat_wire
from services.tgi_local.core import parts
from services.tgi_local.errors import TemplateFailed
from tests.fuzz.target import Targets, target

CHATS: Final[Targets] = {}
_MIB: Final = 1_048_576
_NEUTRAL: Final = Neutralizer(("<|im_start|>", "<|im_end|>"))
_BROKEN: Final = parts.breaker({"<|im_start|>", "<|im_end|>", "<s>", "[INST]"})
_TOOLS: Final = (ToolDefinition("look"), ToolDefinition("clock"))
_ALIASES: Final = Aliases(Served)
T = TypeVar("T")


@target(CHATS, largest=_MIB, steps=(1_000, 10), allocated=(200_000, 1_500))
def markers(given: bytes) -> object:
    """A content that may not look like a marker, in the gateway. Cap: 1 MiB of a message."""
    return _NEUTRAL.text(given.decode(errors="replace"))


@target(CHATS, largest=_MIB, steps=(1_000, 14), allocated=(200_000, 1_900), refusals=(TemplateFailed,))
def template_parts(given: bytes) -> object:
    """A message on its way through a chat template, in tgi-local. Cap: 1 MiB of a message."""
    role, _, content = given.decode(errors="replace").partition("\n")
    return parts.parts_of(str(parts.marked({"role": role, "content": content}, _BROKEN)["content"]))


@target(CHATS, largest=262_144, steps=(78_000, 32), allocated=(9_000_000, 4_800))
def written_calls(given: bytes) -> object:
    """Tool calls in what a model wrote, in the gateway. Cap: 256 Ki characters and more of an answer."""
    text = given.decode(errors="replace")
    return [template.parse_output(text, _TOOLS, choice) for choice in (ToolChoice.AUTO, ToolChoice.REQUIRED)]


@target(CHATS, largest=262_144, steps=(3_000, 10), allocated=(460_000, 1_500))
def call_arguments(given: bytes) -> object:
    """Arguments of a call as a model wrote them, in the gateway. Cap: 256 KiB by itself."""
    return json_text.told_arguments(given.decode(errors="replace"))


@target(CHATS, largest=65_536, steps=(7_800, 75), allocated=(930_000, 7_700))
def stop_strings(given: bytes) -> object:
    """Stop strings and a text that comes in pieces, in the gateway. Cap: 16 strings of 256 bytes."""
    first, _, text = given.decode(errors="replace").partition("\n")
    watch = StopStrings([stop[:256] for stop in first.split("|")[:4] if stop] or ["x"])
    return any(watch.feed(text[at : at + 64]) for at in range(0, len(text), 64))


def _header(given: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in given.decode(errors="replace").split("\n"))
    return {name.strip().lower(): value.strip() for name, _, value in lines}


@target(CHATS, largest=16_384, steps=(3_800, 10), allocated=(500_000, 1_500))
def headers(given: bytes) -> object:
    """Headers that name a session and ask for scheduling, at the door. Cap: 8 KiB each, by the library."""
    told = _header(given)
    session = session_of(told.get)
    parent = parent_of(session) if session else None
    return session and session.child_id("acme", "root"), parent, write_headers(pb.GenerateRequest(), told.get)


@target(CHATS, largest=16_384, steps=(5_500, 10), allocated=(750_000, 1_500))
def resource_uri(given: bytes) -> object:
    """The URI of an MCP resource, in the gateway. Cap: 4 KiB by itself."""
    return uris.parse(given.decode(errors="replace"))


def _body(given: bytes, shape: type[T]) -> T:
    for _ in values.counted(given):
        pass
    return decode(given, shape)


def _resolve(model: str) -> str:
    return model


@target(CHATS, largest=8 * _MIB, steps=(1_200, 10), allocated=(200_000, 1_500))
def chat_body(given: bytes) -> object:
    """The body of chat completions, at the door, on the event loop. Cap: 8 MiB, 50,000 values."""
    read = chat.read(_body(given, ChatBody), header=lambda _: None, resolve=_resolve, temperature=1.0)
    return read.plan.request.SerializeToString()


@target(CHATS, largest=8 * _MIB, steps=(1_600, 10), allocated=(200_000, 1_500))
def completion_body(given: bytes) -> object:
    """The body of completions, at the door, on the event loop. Cap: 8 MiB, 50,000 values."""
    body = _body(given, CompletionBody)
    return completions.read(body, header=lambda _: None, resolve=_resolve, temperature=1.0)


@target(CHATS, largest=8 * _MIB, steps=(1_000, 10), allocated=(200_000, 1_500))
def embedding_body(given: bytes) -> object:
    """The body of embeddings, at the door, on the event loop. Cap: 8 MiB, 50,000 values."""
    body = _body(given, EmbeddingBody)
    return embeddings.batches(embeddings.texts(body)), embeddings.model(body.model or "", _ALIASES)


@target(CHATS, largest=8 * _MIB, steps=(1_000, 10), allocated=(200_000, 1_500))
def messages_body(given: bytes) -> object:
    """The body of messages, at the door, on the event loop. Cap: 8 MiB, 50,000 values."""
    asked, _, _ = messages.generation(_body(given, MessagesBody), lambda _: None)
    return asked.SerializeToString()


@target(CHATS, largest=8 * _MIB, steps=(1_700, 10), allocated=(210_000, 1_500))
def responses_body(given: bytes) -> object:
    """The body of responses, at the door, on the event loop. Cap: 8 MiB, 50,000 values."""
    body = _body(given, Create)
    around = responses.Surroundings(digits="0" * 32, model="", header=lambda _: None, temperature=1.0)
    given_: Any = body.input
    made = responses.prepare(body, around, given_)
    return chat_wire.messages(made.own), msgspec.json.encode(made.echo)
