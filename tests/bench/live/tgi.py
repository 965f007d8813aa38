"""A TGI-shaped server that takes the time a GPU would: the simulator's model behind TGI's protocol.

Run:  python -m tests.bench.live.tgi [--port 0] [--speedup 10] ...   prints its port as the first line.

Prompts say what they stand for (`prompts.py`); an answer is the numbers of its tokens. The queue is
strict FIFO, and beyond `max_concurrent` requests, waiting ones included, a request is refused at once.
"""

import argparse
import asyncio
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import median
from typing import Any, Final

import orjson
from aiohttp import web

from tests.bench.live.generations import STRIDE, Generation, Generations
from tests.bench.live.prompts import WIDTH, Ask, PromptUnreadable, answer, decode, text_tokens, word
from tests.bench.sched.prefix_cache import Block
from tests.bench.sched.server import Shape

MAX_TOTAL_TOKENS: Final = 32_768
MODEL_ID: Final = "timed"
END: Final = 1_000_000
"""Id of the token that ends an answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedConfig:
    """What the server is."""

    shape: Shape = field(default_factory=Shape)
    max_concurrent: int = 128
    """TGI's max_concurrent_requests."""

    stride: int = STRIDE


@dataclass(slots=True)
class Counts:
    """What `/metrics` tells beside the state of the queue."""

    requests: int = 0
    succeeded: int = 0
    overloaded: int = 0
    dropped: int = 0
    skipped_tokens: int = 0


class TimedTgi:
    """The server."""

    def __init__(self, config: TimedConfig) -> None:
        self.config = config
        self.counts = Counts()
        self.port = 0
        self._runner: web.AppRunner | None = None
        self._generations: Generations | None = None

    @property
    def generations(self) -> Generations:
        """What runs; made with the first use, in the loop that serves."""
        if self._generations is None:
            self._generations = Generations(self.config.shape, self.config.stride)
        return self._generations

    @property
    def url(self) -> str:
        """Address of the running server."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self, port: int = 0) -> None:
        """Listen on the loopback address."""
        app = web.Application(client_max_size=2_000_000)
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/info", self._info),
                web.get("/metrics", self._metrics),
                web.post("/tokenize", self._tokenize),
                web.post("/chat_tokenize", self._chat_tokenize),
                web.post("/generate_stream", self._generate_stream),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, backlog=4096).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close everything, running streams too."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response()

    async def _info(self, _request: web.Request) -> web.Response:
        info = {
            "model_id": MODEL_ID,
            "model_sha": None,
            "max_concurrent_requests": self.config.max_concurrent,
            "max_best_of": 2,
            "max_stop_sequences": 4,
            "max_input_tokens": MAX_TOTAL_TOKENS - 1,
            "max_total_tokens": MAX_TOTAL_TOKENS,
            "router": "timed",
            "version": "3.3.5",
            "sha": None,
        }
        return _json(orjson.dumps(info))

    async def _metrics(self, _request: web.Request) -> web.Response:
        server, counts = self.generations.server, self.counts
        values: dict[str, float] = {
            "tgi_queue_size": len(server.queue),
            "tgi_batch_current_size": len(server.running),
            "tgi_batch_current_max_tokens": server.reserved,
            "tgi_request_count": counts.requests,
            "tgi_request_success": counts.succeeded,
            'tgi_request_failure{err="overloaded"}': counts.overloaded,
            'tgi_request_failure{err="dropped"}': counts.dropped,
            "tgi_request_skipped_tokens_sum": counts.skipped_tokens,
            "tgi_request_skipped_tokens_count": counts.succeeded,
            "timed_prefill_tokens": server.tokens_read,
            "timed_generated_tokens": server.tokens_generated,
            "timed_late_seconds": self.generations.late,
            "timed_gap_seconds": median(self.generations.gaps) if self.generations.gaps else 0.0,
        }
        return web.Response(text="".join(f"{name} {value}\n" for name, value in values.items()))

    async def _tokenize(self, request: web.Request) -> web.Response:
        return _json(text_tokens(orjson.loads(await request.read())["inputs"]))

    async def _chat_tokenize(self, request: web.Request) -> web.Response:
        """Render a chat. The template is the plain sequence of the contents."""
        messages = orjson.loads(await request.read())["messages"]
        text = "".join(message.get("content") or "" for message in messages)
        head = b'{"templated_text":' + orjson.dumps(text)
        return _json(head + b',"tokenize_response":' + text_tokens(text) + b"}")

    async def _generate_stream(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        response.enable_chunked_encoding()
        await response.prepare(request)
        self.counts.requests += 1
        if len(self.generations) >= self.config.max_concurrent:
            self.counts.overloaded += 1
            await response.write(_failure("Model is overloaded", "overloaded"))
            return response
        try:
            ask = decode(body["inputs"])
            most = _checked(ask, (body.get("parameters") or {}).get("max_new_tokens"))
        except PromptUnreadable as error:
            await response.write(_failure(f"Input validation error: {error}", "validation"))
            return response
        await self._answer(response, ask, most)
        return response

    async def _answer(self, response: web.StreamResponse, ask: Ask, most: int) -> None:
        left = max(1, min(most, ask.output - ask.done))  # what is said already ends with the next token
        generation = self.generations.submit(_read(ask), left, most)
        try:
            await self._write(response, ask, generation)
        except (ConnectionError, asyncio.CancelledError):
            self.counts.dropped += 1
            raise
        finally:
            self.generations.stop(generation)
        self.counts.succeeded += 1
        self.counts.skipped_tokens += generation.request.cached

    async def _write(self, response: web.StreamResponse, ask: Ask, generation: Generation) -> None:
        sent = 0
        while not generation.over:
            generated = await generation.progress()
            upto = generated - 1 if generation.over else generated
            events = [_event(n - ask.done + 1, n) for n in range(ask.done + sent, ask.done + upto)]
            sent = upto
            if generation.over:
                events.append(_last_event(ask, generation))
            await response.write(b"".join(events))


def _checked(ask: Ask, asked: int | None) -> int:
    """Return how many tokens may come. Raises PromptUnreadable as TGI's validation would refuse."""
    given = ask.prompt + ask.done
    most = MAX_TOTAL_TOKENS - given if asked is None else asked
    if most < 1 or given + most > MAX_TOTAL_TOKENS:
        raise PromptUnreadable(
            f"`inputs` tokens + `max_new_tokens` must be <= {MAX_TOTAL_TOKENS}. "
            f"Given: {given} `inputs` tokens and {most} `max_new_tokens`"
        )
    return most


def _read(ask: Ask) -> tuple[Block, ...]:
    """Return what is read: a resumed generation brings its own output along, which nobody has cached."""
    if not ask.done:
        return ask.blocks
    return (*ask.blocks, Block(f"{ask.blocks[-1].key}+{ask.done}", ask.done))


@lru_cache(maxsize=65_536)
def _event(index: int, number: int) -> bytes:
    event = {"index": index, "token": _token(number), "generated_text": None, "details": None}
    return b"data: " + orjson.dumps(event) + b"\n\n"


def _last_event(ask: Ask, generation: Generation) -> bytes:
    count = generation.generated
    number = ask.done + count - 1
    if ask.done >= ask.output:
        return _end_event(generation)
    text = answer(ask.done + count)[-WIDTH * count :]
    # TGI looks at the limit first.
    complete = ask.done + count == ask.output and count < generation.request.reserve
    event: dict[str, Any] = {
        "index": count,
        "token": _token(number),
        "generated_text": text,
        "details": {
            "finish_reason": "eos_token" if complete else "length",
            "generated_tokens": count,
            "seed": None,
            "input_length": generation.request.prompt,
        },
    }
    return b"data: " + orjson.dumps(event) + b"\n\n"


def _end_event(generation: Generation) -> bytes:
    """Answer to a prompt that holds the whole answer: nothing but the token that ends it."""
    event: dict[str, Any] = {
        "index": 1,
        "token": {"id": END, "text": "", "logprob": -0.25, "special": True},
        "generated_text": "",
        "details": {
            "finish_reason": "length" if generation.request.reserve == 1 else "eos_token",
            "generated_tokens": 1,
            "seed": None,
            "input_length": generation.request.prompt,
        },
    }
    return b"data: " + orjson.dumps(event) + b"\n\n"


def _token(number: int) -> dict[str, Any]:
    return {"id": number, "text": word(number), "logprob": -0.25, "special": False}


def _failure(message: str, kind: str) -> bytes:
    return b"data: " + orjson.dumps({"error": message, "error_type": kind}) + b"\n\n"


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


async def serve(config: TimedConfig, port: int) -> None:
    """Serve until killed; the port is printed first."""
    server = TimedTgi(config)
    await server.start(port)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument(
        "--speedup", type=float, default=1.0, help="how many times as fast as the model's GPU"
    )
    parser.add_argument("--slots", type=int, default=Shape().slots)
    parser.add_argument("--budget", type=int, default=Shape().budget, help="tokens of KV cache")
    parser.add_argument("--max-concurrent", type=int, default=128)
    parser.add_argument("--stride", type=int, default=STRIDE, help="steps whose tokens are written together")
    given = parser.parse_args()
    shape = Shape(slots=given.slots, budget=given.budget).faster(given.speedup)
    config = TimedConfig(shape=shape, max_concurrent=given.max_concurrent, stride=given.stride)
    asyncio.run(serve(config, given.port))


if __name__ == "__main__":
    main()
