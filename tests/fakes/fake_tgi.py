"""A TGI-shaped server without a model: deterministic output, every failure on demand, fast.

Run alone for benchmarks: `python -m tests.fakes.fake_tgi --port 0 --slots 8 --latency 0.05 --tokens 1`
prints its port as the first line.

The answer repeats the words of the prompt; word `n` is token id `n`. Streams are written from events encoded
once, so that the client under test, not this server, is the bottleneck.
"""

import argparse
import asyncio
import contextlib
import ctypes
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.fakes.odd import OddAnswer
from tests.fakes.tgi_answers import Plan, event_bytes, stopped_after, stops_of, text_of, text_tokens, word

__all__ = ["Behaviour", "FakeTgi", "Run", "Seen", "fake_tgi", "word"]

_CHUNK = 64
_MOST_STOPS = 4


@dataclass(slots=True)
class Behaviour:
    """What the server does; tests change it between calls."""

    tokens: int = 8
    """Tokens of an answer, unless `max_new_tokens` is smaller."""

    latency: float = 0.0
    """Seconds before the first token."""

    released: asyncio.Event | None = None
    """What a stream waits for before its first token; None: nothing."""

    token_delay: float = 0.0
    """Seconds before each further token; 0 writes many at once."""

    slots: int = 8
    """Generations at the same time; more wait."""

    max_concurrent: int = 128
    """Generations, waiting ones included, before 429."""

    die_after: int | None = None
    """Cut the connection after this many tokens."""

    end_after: int | None = None
    """End the stream cleanly, but without a last event, after this many tokens."""

    stall_after: int | None = None
    """Send keep-alive comments only, after this many tokens."""

    keep_alive: float = 15.0
    """Seconds between the comments of a stalled stream."""

    half_line_after: int | None = None
    """Send half an event after this many tokens, then cut the connection."""

    malformed_after: int | None = None
    """Send an event that is not JSON after this many tokens."""

    odd: OddAnswer | None = None
    """Bytes in place of some or all streams."""

    error: tuple[int, str, str] | None = None
    """Fail every generation: status, message, error_type."""

    model: str = "fake"
    revision: str = "0" * 40
    window: int = 4096
    longest_token: int = 0
    """Bytes that it says a token has at most; 0: it tells nothing."""
    healthy: bool = True
    kv_snapshot: bool = True
    """Offer suspend and token prompts, as tgi-local does."""

    cached: int | None = None
    """Cached tokens told to who asks for the extension."""

    waiting: int | None = None
    """Length of the queue on the metrics page; None: there is no page."""

    deadly: str = ""
    """What a prompt holds that ends the whole process, as a fault in native code would; empty: nothing."""

    split_writes: bool = False
    """Write byte by byte: every event arrives torn."""


@dataclass(slots=True)
class Seen:
    """What the server saw."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    """Requests; where one has token ids, the text that they were split from is among them as `text`."""
    split: int = 0
    """Texts and chats that it was asked to split into tokens."""
    running: int = 0
    most_running: int = 0
    finished: int = 0
    dropped: int = 0
    connections: set[int] = field(default_factory=set)
    runs: list["Run"] = field(default_factory=list)
    """Streams in the order in which they got a slot."""


@dataclass(slots=True)
class Run:
    """One stream: what it was asked, the number of its first token, and how many it has sent."""

    inputs: str
    first: int
    sent: int = 0


class FakeTgi:
    """The server: `behaviour` steers it, `seen` tells what happened."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour or Behaviour()
        self.seen = Seen()
        self._slots = asyncio.Semaphore(self.behaviour.slots)
        self._admitted = 0
        self._suspending: dict[str, asyncio.Event] = {}
        self._suspended: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Address of the running server."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self, port: int = 0) -> None:
        """Listen on the loopback address."""
        self._runner = web.AppRunner(
            self.app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close everything, running streams too."""
        if self._runner is not None:
            await self._runner.cleanup()

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=2_000_000)
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/info", self._info),
                web.get("/metrics", self._metrics),
                web.post("/generate", self._generate),
                web.post("/generate_stream", self._generate_stream),
                web.post("/tokenize", self._tokenize),
                web.post("/chat_tokenize", self._chat_tokenize),
                web.post("/aios/v1/suspend", self._suspend),
                web.delete("/aios/v1/kv/{handle}", self._drop),
            ]
        )
        return app

    async def _health(self, _request: web.Request) -> web.Response:
        if self.behaviour.healthy:
            return web.Response()
        return _json({"error": "unhealthy", "error_type": "healthcheck"}, status=503)

    async def _metrics(self, _request: web.Request) -> web.Response:
        if self.behaviour.waiting is None:
            return web.Response(status=404)
        return web.Response(text=f"tgi_batch_current_size 1\ntgi_queue_size {self.behaviour.waiting}\n")

    async def _info(self, _request: web.Request) -> web.Response:
        info: dict[str, Any] = {
            "model_id": self.behaviour.model,
            "model_sha": self.behaviour.revision,
            "max_concurrent_requests": self.behaviour.max_concurrent,
            "max_best_of": 2,
            "max_stop_sequences": _MOST_STOPS,
            "max_input_tokens": self.behaviour.window - 1,
            "max_total_tokens": self.behaviour.window,
            "router": "fake",
            "version": "3.3.5",
            "sha": None,
        }
        if self.behaviour.kv_snapshot:
            info["aios"] = {
                "kv_snapshot": True,
                "token_prompts": True,
                "content_is_text": True,
                "presence_penalty": True,
                "slots": self.behaviour.slots,
                "ctx_per_slot": self.behaviour.window,
                "max_total_tokens": self.behaviour.window,
                "longest_token_bytes": self.behaviour.longest_token,
            }
        return _json(info)

    async def _tokenize(self, request: web.Request) -> web.Response:
        self.seen.split += 1
        return _json(text_tokens(orjson.loads(await request.read())["inputs"]))

    async def _chat_tokenize(self, request: web.Request) -> web.Response:
        self.seen.split += 1
        messages = orjson.loads(await request.read())["messages"]
        text = "".join(f"<|{m['role']}|> {m.get('content') or ''}\n" for m in messages) + "<|assistant|> "
        return _json({"tokenize_response": text_tokens(text), "templated_text": text})

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        body = self._record(request, await request.read())
        refused = self._refusal(body)
        if refused is not None:
            return _json({"error": refused[1], "error_type": refused[2]}, status=refused[0])
        plan = self._plan(body)
        async with self._slot():
            await asyncio.sleep(self.behaviour.latency + self.behaviour.token_delay * (len(plan.words) - 1))
        answer = {
            "generated_text": plan.text,
            "details": plan.details | {"prefill": [], "tokens": plan.tokens()},
        }
        headers = {"x-prompt-tokens": str(plan.input_length), "x-generated-tokens": str(len(plan.words))}
        return _json(answer, headers=headers)

    async def _generate_stream(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body = self._record(request, raw)
        if (
            self.behaviour.odd is not None
            and (odd := self.behaviour.odd.response_to(raw + body.get("text", "").encode())) is not None
        ):
            return odd
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        response.enable_chunked_encoding()
        await response.prepare(request)
        refused = self._refusal(body)
        if refused is not None:
            await response.write(event_bytes({"error": refused[1], "error_type": refused[2]}))
            return response
        plan = self._plan(body)
        try:
            async with self._slot():
                await self._stream(request, response, plan)
        except (ConnectionError, asyncio.CancelledError):
            self.seen.dropped += 1
            raise
        return response

    async def _stream(self, request: web.Request, response: web.StreamResponse, plan: Plan) -> None:
        stopping = self._watched(plan)
        run = Run(plan.inputs, plan.offset)
        self.seen.runs.append(run)
        sent = 0
        try:
            await asyncio.sleep(self.behaviour.latency)
            if self.behaviour.released is not None:
                await self.behaviour.released.wait()
            for chunk in self._chunks(plan):
                if stopping is not None and stopping.is_set():
                    await self._end_suspended(response, plan, sent)
                    return
                await self._write(response, b"".join(chunk))
                run.sent = sent = sent + len(chunk)
                if await self._misbehaved(request, response, plan, sent):
                    return
                if self.behaviour.token_delay:
                    await asyncio.sleep(self.behaviour.token_delay)
            await self._write(response, plan.last_event())
            run.sent += 1
            self.seen.finished += 1
        finally:
            self._suspending.pop(plan.request_id, None)

    def _chunks(self, plan: Plan) -> list[list[bytes]]:
        """Cut all events but the last into writes; one a token when tokens are timed or a fault is due."""
        events = plan.events()[:-1]
        b = self.behaviour
        faults = (b.die_after, b.end_after, b.stall_after, b.half_line_after, b.malformed_after)
        size = 1 if b.token_delay or any(f is not None for f in faults) else _CHUNK
        return [events[at : at + size] for at in range(0, len(events), size)] or [[]]

    async def _misbehaved(
        self, request: web.Request, response: web.StreamResponse, plan: Plan, sent: int
    ) -> bool:
        """Commit the fault due after `sent` tokens. Returns whether the stream is over."""
        b = self.behaviour
        if sent == b.malformed_after:
            await response.write(b"data: {not json}\n\n")
        if sent == b.half_line_after:
            event = plan.events()[sent]
            await response.write(event[: len(event) // 2])
        if sent in (b.die_after, b.half_line_after):
            if request.transport is not None:
                request.transport.close()
            return True
        while sent == b.stall_after:
            await response.write(b":\n\n")
            await asyncio.sleep(b.keep_alive)
        return sent == b.end_after

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        if not self.behaviour.split_writes:
            await response.write(data)
            return
        for at in range(len(data)):
            await response.write(data[at : at + 1])
            await asyncio.sleep(0)

    def _watched(self, plan: Plan) -> asyncio.Event | None:
        if not plan.request_id:
            return None
        self._suspended[plan.request_id] = asyncio.get_running_loop().create_future()
        return self._suspending.setdefault(plan.request_id, asyncio.Event())

    async def _end_suspended(self, response: web.StreamResponse, plan: Plan, sent: int) -> None:
        self._suspended[plan.request_id].set_result(
            {
                "kv_handle": f"kv-{plan.request_id}",
                "bytes": 1024,
                "prompt_ids": plan.prompt_ids,
                "token_ids": [plan.offset + n for n in range(sent)],
                "text": "".join(plan.words[:sent]),
            }
        )
        await response.write(event_bytes({"aios": {"suspended": True}}))

    async def _suspend(self, request: web.Request) -> web.Response:
        request_id = orjson.loads(await request.read())["request_id"]
        stopping = self._suspending.get(request_id)
        if stopping is None:
            return _json({"error": "not running", "error_type": "not_running"}, status=404)
        stopping.set()
        return _json(await asyncio.shield(self._suspended[request_id]))

    async def _drop(self, _request: web.Request) -> web.Response:
        return web.Response(status=204)

    def _record(self, request: web.Request, raw: bytes) -> dict[str, Any]:
        body: dict[str, Any] = orjson.loads(raw)
        if ids := (body.get("aios") or {}).get("prompt_ids"):
            body["text"] = text_of(ids)
        self.seen.bodies.append(body)
        self.seen.connections.add(id(request.transport))
        if self.behaviour.deadly and self.behaviour.deadly in f"{body.get('inputs')}{body.get('text')}":
            ctypes.string_at(0)
        return body

    def _refusal(self, body: dict[str, Any]) -> tuple[int, str, str] | None:
        if self.behaviour.error is not None:
            return self.behaviour.error
        if (given := len(stops_of(body))) > _MOST_STOPS:
            return 422, f"`stop` supports up to {_MOST_STOPS} stop sequences. Given: {given}", "validation"
        if self._admitted >= self.behaviour.max_concurrent:
            return 429, "Model is overloaded", "overloaded"
        return None

    def _plan(self, body: dict[str, Any]) -> Plan:
        own = body.get("aios") or {}
        prompt_ids = tuple(own.get("prompt_ids") or range(len(body.get("inputs", "").split())))
        asked = (body.get("parameters") or {}).get("max_new_tokens") or self.behaviour.tokens
        _, asked_to_go_on, emitted = body.get("inputs", "").rpartition("<|assistant|> ")
        produced = own.get("produced", len(emitted.split()) if asked_to_go_on else 0)
        total = self.behaviour.tokens
        count = max(1, min(asked, total - produced))
        reason = "length" if count == asked and produced + count < total else "eos_token"
        if met := stopped_after(produced, count, stops_of(body)):
            count, reason = met, "stop_sequence"
        return Plan(
            inputs=body.get("inputs") or body.get("text", ""),
            prompt_ids=prompt_ids,
            offset=produced,
            count=count,
            finish_reason=reason,
            request_id=own.get("request_id", ""),
            told=bool(own),
            cached=self.behaviour.cached,
            top=(body.get("parameters") or {}).get("top_n_tokens") or 0,
        )

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        self._admitted += 1
        try:
            async with self._slots:
                self.seen.running += 1
                self.seen.most_running = max(self.seen.most_running, self.seen.running)
                try:
                    yield
                finally:
                    self.seen.running -= 1
        finally:
            self._admitted -= 1


def _json(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(value), status=status, headers=headers, content_type="application/json"
    )


@contextlib.asynccontextmanager
async def fake_tgi(behaviour: Behaviour | None = None) -> AsyncIterator[FakeTgi]:
    """Run a fake server on a free port for the length of a block."""
    server = FakeTgi(behaviour)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before the first token")
    parser.add_argument("--token-delay", type=float, default=0.0, help="seconds between tokens")
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--max-concurrent", type=int, default=100_000)
    parser.add_argument("--deadly", default="", help="what a prompt holds that ends this process")
    parser.add_argument("--plain", action="store_true", help="take prompts as text, as TGI itself does")
    given = parser.parse_args()
    behaviour = Behaviour(
        slots=given.slots,
        latency=given.latency,
        token_delay=given.token_delay,
        tokens=given.tokens,
        max_concurrent=given.max_concurrent,
        deadly=given.deadly,
        kv_snapshot=not given.plain,
    )
    asyncio.run(_serve(FakeTgi(behaviour), given.port))


async def _serve(server: FakeTgi, port: int) -> None:
    await server.start(port)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
