"""A server of the OpenAI protocol without a model: deterministic output, every failure on demand.

It answers with `pieces`, one an event. `owner` decides which server it takes after: vLLM and SGLang go on
with an assistant's text when told to, llama.cpp always does, the others never.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.fakes.odd import OddAnswer

_MOST_STOPS = 4
_WORDS = [
    "The",
    " quick",
    " brown",
    " fox",
    " jumps",
    " over",
    " the",
    " lazy",
    " dog",
    " and",
    " runs",
    " off",
]


def words(count: int) -> list[str]:
    """Return the pieces of an answer."""
    return [_WORDS[n % len(_WORDS)] for n in range(count)]


@dataclass(slots=True)
class Behaviour:
    """What the server does; tests change it between calls."""

    owner: str = "vllm"
    """What it calls itself: vllm, sglang, llamacpp, library (Ollama), anything else."""
    model: str = "fake-chat"
    pieces: list[str] = field(default_factory=lambda: words(8))
    tool_calls: list[tuple[str, str]] = field(default_factory=list)
    """Name and arguments of the calls that follow the text, where tools are offered."""
    thoughts: int = 0
    """Events of reasoning before the text."""
    pieces_per_event: int = 1
    window: int = 4096
    strict_window: bool = False
    """Refuse a limit of the answer that the window does not leave beside the prompt."""
    slots: int = 4
    latency: float = 0.0
    """Seconds before the first event."""
    token_delay: float = 0.0
    """Seconds before each further event."""
    die_after: int | None = None
    """Cut the connection after this many events with text, once."""
    pieces_after_death: list[str] | None = None
    """The answers after that."""
    end_after: int | None = None
    """End the stream cleanly, but without a finish reason, after this many."""
    stall_after: int | None = None
    """Send comments only, after this many."""
    malformed_after: int | None = None
    """Send an event that is not JSON after this many."""
    error_after: tuple[int, dict[str, Any]] | None = None
    """Send an error event after this many."""
    finish_reason: str | None = None
    """In place of the right one."""
    says_done: bool = True
    """Whether a stream ends with [DONE]."""
    tells_usage: bool = True
    cached: int | None = 1
    """Cached tokens in the usage; None: not told."""
    metrics: str = ""
    """The metrics page; empty: there is none."""
    error: tuple[int, Any] | None = None
    """Fail every generation: status and body."""
    odd: OddAnswer | None = None
    """Bytes in place of some or all generations."""
    api_key: str = ""
    healthy: bool = True
    keep_alive: float = 0.05


@dataclass(slots=True)
class Seen:
    """What the server saw."""

    paths: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """Of generations."""
    running: int = 0
    finished: int = 0
    dropped: int = 0


class FakeOpenAi:
    """The server: `behaviour` steers it, `seen` tells what happened."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour or Behaviour()
        self.seen = Seen()
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Base address of the running server."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def start(self, port: int = 0) -> None:
        """Listen on the loopback address."""
        app = web.Application(client_max_size=2_000_000)
        app.add_routes(self._routes())
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close everything, running streams too."""
        if self._runner is not None:
            await self._runner.cleanup()

    def behaviour_for(self, body: dict[str, Any]) -> Behaviour:  # noqa: ARG002 - a scripted server looks at it
        """Return how one generation goes, by its request."""
        return self.behaviour

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.get("/health", self._health),
            web.get("/props", self._props),
            web.get("/metrics", self._metrics),
            web.get("/v1/models", self._models),
            web.post("/tokenize", self._tokenize),
            web.post("/apply-template", self._apply_template),
            web.post("/v1/completions", self._generate),
            web.post("/v1/chat/completions", self._generate),
        ]

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response(status=200 if self.behaviour.healthy else 503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        page = self.behaviour.metrics
        return web.Response(text=page) if page else web.Response(status=501)

    async def _props(self, _request: web.Request) -> web.Response:
        if self.behaviour.owner != "llamacpp":
            raise web.HTTPNotFound
        return _json({"total_slots": self.behaviour.slots})

    async def _models(self, request: web.Request) -> web.Response:
        b = self.behaviour
        if not b.healthy:
            raise web.HTTPServiceUnavailable
        if b.api_key and request.headers.get("Authorization") != f"Bearer {b.api_key}":
            return _json({"error": {"message": "Unauthorized", "code": 401}}, status=401)
        model: dict[str, Any] = {"id": b.model, "object": "model", "created": 0, "owned_by": b.owner}
        if b.owner in {"vllm", "sglang"}:
            model["max_model_len"] = b.window
        if b.owner == "llamacpp":
            model["meta"] = {"n_ctx": b.window, "n_ctx_train": 10 * b.window}
        return _json({"object": "list", "data": [model, model | {"id": "another"}]})

    async def _tokenize(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        self.seen.paths.append(request.path)
        if self.behaviour.owner not in {"vllm", "llamacpp"}:
            raise web.HTTPNotFound
        text = body.get("content") or body.get("prompt") or _template(body["messages"])
        count = len(text.split())
        return _json({"count": count, "max_model_len": self.behaviour.window, "tokens": list(range(count))})

    async def _apply_template(self, request: web.Request) -> web.Response:
        self.seen.paths.append(request.path)
        if self.behaviour.owner != "llamacpp":
            raise web.HTTPNotFound
        return _json({"prompt": _template(orjson.loads(await request.read())["messages"])})

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body: dict[str, Any] = orjson.loads(raw)
        self.seen.paths.append(request.path)
        self.seen.bodies.append(body)
        behaviour = self.behaviour_for(body)
        if behaviour.odd is not None and (odd := behaviour.odd.response_to(raw)) is not None:
            return odd
        refusal = behaviour.error or _Run(behaviour, body).refusal()
        if refusal is not None:
            return _json(refusal[1], status=refusal[0])
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        self.seen.running += 1
        try:
            await self._stream(request, response, _Run(behaviour, body))
        except (ConnectionError, asyncio.CancelledError):
            self.seen.dropped += 1
            raise
        finally:
            self.seen.running -= 1
        return response

    async def _stream(self, request: web.Request, response: web.StreamResponse, run: "_Run") -> None:
        b = run.behaviour
        await asyncio.sleep(b.latency)
        for sent, delta in enumerate(run.deltas()):
            if await _misbehaved(b, request, response, sent - b.thoughts):
                return
            await response.write(run.event(delta))
            await asyncio.sleep(b.token_delay)
        if await _misbehaved(b, request, response, run.sent - b.thoughts):
            return
        for event in run.last_events():
            await response.write(event)
        self.seen.finished += 1


class _Run:
    """One answer: what is left of it after the text so far, within the budget."""

    def __init__(self, behaviour: Behaviour, body: dict[str, Any]) -> None:
        self.behaviour = behaviour
        self._chat = "messages" in body
        self._thoughts = behaviour.thoughts
        left = _left(behaviour.pieces, self._emitted(body))
        self._stops = body.get("stop") or []
        self._most: int | None = body.get("max_tokens")
        left, self._stop = _until(left, self._stops)
        self._pieces = left[: self._most]
        self._cut = len(self._pieces) < len(left)
        self._calls = behaviour.tool_calls if body.get("tools") and not self._cut else []
        self._prompt_tokens = len((body.get("prompt") or _template(body.get("messages", []))).split())
        options = body.get("stream_options") or {}
        self._running_usage = bool(options.get("continuous_usage_stats"))
        self._usage_asked = bool(options.get("include_usage"))
        self._told = 0
        asked = body.get("logprobs")
        self._top = int((asked and body.get("top_logprobs") if self._chat else asked) or 0)
        self.sent = 0

    def refusal(self) -> tuple[int, Any] | None:
        """Return status and body of what such servers refuse; None: nothing."""
        b = self.behaviour
        if len(self._stops) > _MOST_STOPS:
            return 400, {"error": {"message": "too many stop strings", "code": 400}}
        if b.strict_window and self._prompt_tokens + (self._most or 0) > b.window:
            return 400, {"error": {"message": "the context length is exceeded", "code": 400}}
        return None

    def _emitted(self, body: dict[str, Any]) -> str:
        if not self._chat:
            return str(body["prompt"])
        last = body["messages"][-1]
        told = body.get("continue_final_message") and not body.get("add_generation_prompt", True)
        goes_on = told if self.behaviour.owner in {"vllm", "sglang"} else self.behaviour.owner == "llamacpp"
        return str(last["content"]).rstrip() if goes_on and last["role"] == "assistant" else ""

    def deltas(self) -> list[dict[str, Any]]:
        """Return the deltas, the first with the role as servers send it."""
        size = self.behaviour.pieces_per_event
        texts = ["".join(self._pieces[at : at + size]) for at in range(0, len(self._pieces), size)]
        found: list[dict[str, Any]] = [{"reasoning_content": "hm"} for _ in range(self._thoughts)]
        found += [{"content": text} for text in texts]
        for index, (name, arguments) in enumerate(self._calls):
            half = len(arguments) // 2
            opening = {"index": index, "id": f"tool-{index}", "type": "function"}
            found.append({"tool_calls": [opening | {"function": {"name": name, "arguments": ""}}]})
            for part in (arguments[:half], arguments[half:]):
                found.append({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
        if found:
            found[0] = {"role": "assistant", **found[0]}
        return found

    def event(self, delta: dict[str, Any]) -> bytes:
        """Write one event."""
        self.sent += 1
        self._told += self.behaviour.pieces_per_event if "content" in delta else 1
        self._told = min(self._told, self._thoughts + len(self._pieces) + 3 * len(self._calls))
        body = self._choice(delta, None)
        if self._running_usage:
            body["usage"] = self._usage()
        return _event(body)

    def last_events(self) -> list[bytes]:
        """Return the end of the stream."""
        right = "length" if self._cut else "tool_calls" if self._calls else "stop"
        last = self._choice({}, self.behaviour.finish_reason or right)
        told_as = {"vllm": "stop_reason", "sglang": "matched_stop"}.get(self.behaviour.owner)
        if told_as and self._stop and not self._cut:
            last["choices"][0][told_as] = self._stop
        events = [_event(last)]
        if self._usage_asked and self.behaviour.tells_usage:
            events.append(_event({"object": "chat.completion.chunk", "choices": [], "usage": self._usage()}))
        return [*events, b"data: [DONE]\n\n"] if self.behaviour.says_done else events

    def _choice(self, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": 0, "finish_reason": reason}
        choice |= {"delta": delta} if self._chat else {"text": delta.get("content", "")}
        if self._top and delta.get("content"):
            choice["logprobs"] = self._logprobs(delta["content"])
        return {"id": "run", "object": "chat.completion.chunk", "choices": [choice]}

    def _logprobs(self, text: str) -> dict[str, Any]:
        """Tell the likeliest tokens, the chosen one last; vLLM tells those of raw prompts as a table."""
        likeliest = [(text if rank == 0 else f"x{rank}", -0.25 - rank) for rank in reversed(range(self._top))]
        if not self._chat and self.behaviour.owner == "vllm":
            return {"tokens": [text], "token_logprobs": [-0.25], "top_logprobs": [dict(likeliest)]}
        top = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in likeliest]
        return {"content": [{"token": text, "logprob": -0.25, "bytes": None, "top_logprobs": top}]}

    def _usage(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": self._told,
            "total_tokens": self._prompt_tokens + self._told,
            "prompt_tokens_details": {"cached_tokens": self.behaviour.cached},
        }


async def _misbehaved(b: Behaviour, request: web.Request, response: web.StreamResponse, sent: int) -> bool:
    """Commit the fault due after `sent` events. Returns whether the stream is over."""
    if sent == b.malformed_after:
        await response.write(b"data: {not json}\n\n")
    if b.error_after is not None and sent == b.error_after[0]:
        await response.write(_event(b.error_after[1]))
    if sent == b.die_after:
        b.die_after, b.pieces = None, b.pieces_after_death or b.pieces
        if request.transport is not None:
            request.transport.close()
        return True
    while sent == b.stall_after:
        await response.write(b": still here\n\n")
        await asyncio.sleep(b.keep_alive)
    return sent == b.end_after


def _left(pieces: list[str], so_far: str) -> list[str]:
    """Return what follows of an answer whose beginning is the end of `so_far`."""
    whole = "".join(pieces)
    known = next((n for n in range(len(whole), 0, -1) if so_far.endswith(whole[:n])), 0)
    left = []
    for piece in pieces:
        left.append(piece[known:])
        known = max(0, known - len(piece))
    return [piece for piece in left if piece]


def _until(pieces: list[str], stops: list[str]) -> tuple[list[str], str]:
    """Return the pieces before the first stop string, which is cut off as servers do, and that string."""
    text = "".join(pieces)
    end, stop = min(((at, stop) for stop in stops if (at := text.find(stop)) >= 0), default=(len(text), ""))
    kept = []
    for piece in pieces:
        kept.append(piece[:end])
        end = max(0, end - len(piece))
    return [piece for piece in kept if piece], stop


def _template(messages: list[dict[str, Any]]) -> str:
    return (
        "".join(f"<|{each['role']}|> {each.get('content') or ''}\n" for each in messages) + "<|assistant|> "
    )


def _event(value: Any) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


@contextlib.asynccontextmanager
async def fake_openai(behaviour: Behaviour | None = None) -> AsyncIterator[FakeOpenAi]:
    """Run a fake server on a free port for the length of a block."""
    server = FakeOpenAi(behaviour)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
