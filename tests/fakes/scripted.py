"""A server of the OpenAI protocol that answers by rules: what a model would do in a scene, without a model.

Stock clients are tried against it through the kernel. The first rule that fits a request says what comes:
text, calls of the tools that the client offers, or a fault. What a client sent is found by marks, words that
a test puts into its prompt and nobody else does, so many clients may use one server.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson
from aiohttp import web

from tests.fakes.fake_openai import Behaviour, FakeOpenAi

WINDOW: Final = 262_144
"""Tokens: command-line agents send prompts of 60 KB, and compact them when the window nears its end."""

GREETING: Final = "Hello Mira, all is well."
"""The answer where no rule fits."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call. `$name` in an argument is the first value of that name in the tool results so far."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What is answered to the requests that it fits; what is not given fits all."""

    has: str = ""
    """A text in the messages."""
    lacks: str = ""
    """A text that is not in them."""
    outputs: int | None = None
    """How many tool results they hold."""
    tools: bool | None = None
    """Whether tools are offered."""
    text: str = ""
    calls: tuple[Call, ...] = ()
    behaviour: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `Behaviour` that are different for this answer: its speed, its faults."""

    def fits(self, request: "Request") -> bool:
        """Whether it is for this request."""
        return (
            self.has in request.text
            and not (self.lacks and self.lacks in request.text)
            and self.outputs in {None, len(request.outputs)}
            and self.tools in {None, request.tools}
        )


@dataclass(slots=True)
class Request:
    """A generation that was asked for, and what became of it."""

    body: dict[str, Any]
    state: str = "running"
    """running, finished, or dropped by who asked."""

    @property
    def text(self) -> str:
        """All messages, or the raw prompt."""
        return (
            str(self.body["prompt"])
            if "prompt" in self.body
            else orjson.dumps(self.body["messages"]).decode()
        )

    @property
    def outputs(self) -> list[str]:
        """The tool results."""
        return [str(each["content"]) for each in self.body.get("messages", []) if each["role"] == "tool"]

    @property
    def tools(self) -> bool:
        """Whether tools are offered."""
        return bool(self.body.get("tools"))


class ScriptedModel(FakeOpenAi):
    """The server. `GET /seen?has=MARK` tells a client in another process what became of its requests."""

    def __init__(self, rules: Sequence[Rule] = (), **behaviour: Any) -> None:
        usual = Behaviour(model="scripted", window=WINDOW, slots=64, pieces=pieces(GREETING))
        super().__init__(replace(usual, **behaviour))
        self.requests: list[Request] = []
        self._rules = list(rules)

    @contextlib.contextmanager
    def rules(self, *rules: Rule) -> Iterator[None]:
        """Follow these rules first, for the length of a block."""
        before = self._rules
        self._rules = [*rules, *before]
        try:
            yield
        finally:
            self._rules = before

    def asked(self, mark: str) -> list[Request]:
        """Return the requests that hold a text."""
        return [each for each in self.requests if mark in each.text]

    def behaviour_for(self, body: dict[str, Any]) -> Behaviour:
        """Follow the first rule that fits."""
        request = Request(body)
        rule = next((each for each in self._rules if each.fits(request)), Rule(text=GREETING))
        told: dict[str, Any] = {
            "pieces": pieces(rule.text),
            "tool_calls": [(each.name, _filled(each.arguments, request.outputs)) for each in rule.calls],
        }
        return replace(self.behaviour, **(told | dict(rule.behaviour)))

    def _routes(self) -> list[web.RouteDef]:
        return [*super()._routes(), web.get("/seen", self._seen)]

    async def _seen(self, request: web.Request) -> web.Response:
        states = [each.state for each in self.asked(request.query["has"])]
        counts = {state: states.count(state) for state in ("running", "finished", "dropped")}
        return web.json_response({"asked": len(states), **counts})

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        seen = Request(orjson.loads(await request.read()))
        self.requests.append(seen)
        try:
            response = await super()._generate(request)
        except (ConnectionError, asyncio.CancelledError):
            seen.state = "dropped"
            raise
        seen.state = "finished"
        return response


def pieces(text: str) -> list[str]:
    """Split a text before each word, as a tokenizer would about."""
    return re.findall(r"\s*\S+|\s+$", text)


def _filled(arguments: Mapping[str, Any], outputs: Sequence[str]) -> str:
    """Write the arguments, with what earlier results said in the place of `$name`."""
    results = "".join(outputs).replace("\\", "")

    def found(name: re.Match[str]) -> str:
        value = re.search(rf'"{name[1]}":\s*"([^"]*)"', results)
        return value[1] if value is not None else name[0]

    return re.sub(r"\$(\w+)", found, orjson.dumps(arguments).decode())


@contextlib.asynccontextmanager
async def scripted_model(*rules: Rule, **behaviour: Any) -> AsyncIterator[ScriptedModel]:
    """Run a scripted server on a free port for the length of a block; `behaviour`: fields of `Behaviour`."""
    server = ScriptedModel(rules, **behaviour)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
