"""The HTTP routes, with TGI's status codes and habits."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import orjson
from aiohttp import web

from services.chassis.runtime.logs import logger
from services.tgi_local.core.guard import Guard
from services.tgi_local.core.parameters import GenerateRequest, RequestLimits, parse_generate, parse_object
from services.tgi_local.errors import InvalidRequest, MalformedBody, TgiError
from services.tgi_local.metrics import PrometheusMetrics
from services.tgi_local.service.generation import Finish, Generation
from services.tgi_local.service.inference import TextToken, TgiService
from services.tgi_local.wire import answers

_log = logger(__name__)

MAX_BODY = 2_000_000
"""Bytes of a request body, as in TGI."""

MOST_TOLD = 8_192
"""Special tokens that `/info` lists."""

_LONG_BODY = 8_192
"""Bytes of a body that are read within a millisecond or two, a schema in it judged and compiled."""

_KEEP_ALIVE_SECONDS = 15.0
_CALLER_LEFT = 499
"""Seen by nobody: the status of an answer without a reader."""
_WRITE_SECONDS = 60.0
"""How long a caller may take nothing of a stream before it loses its slot."""

_STREAM = web.RequestKey("stream", web.StreamResponse)
"""The stream already begun for a request: nothing else can be answered any more."""

_CHECKS = frozenset({"/", "/health", "/ping"})
"""Paths whose GET tells whether the server lives, to everybody who may call it at all."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _version() -> str:
    try:
        return version("aios-kernel")
    except PackageNotFoundError:
        return "unknown"


_VERSION = _version()


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What `/info` tells."""

    model_id: str
    model_sha: str
    slots: int
    ctx_per_slot: int
    exact: bool
    longest_token: int
    """Bytes; 0: not known."""
    special: tuple[int, ...]
    """Ids of the special tokens."""
    max_concurrent: int
    limits: RequestLimits
    chat_template: bool
    """Whether the model's file has one; without, chats are written as the engine guesses."""


class Routes:
    """The handlers of one server."""

    def __init__(
        self,
        service: TgiService,
        metrics: PrometheusMetrics,
        about: About,
        guard: Guard,
        *,
        keep_alive: float = _KEEP_ALIVE_SECONDS,
        write_timeout: float = _WRITE_SECONDS,
    ) -> None:
        self._service = service
        self._metrics = metrics
        self._about = about
        self._instance = secrets.token_hex(8)
        self._guard = guard
        self._keep_alive = keep_alive
        self._write_timeout = write_timeout
        self._now = asyncio.get_running_loop().time
        self.draining = False

    def app(self) -> web.Application:
        """Return the application; without `handler_cancellation=True` a disconnect cancels nothing."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[_errors, self._guarded])
        app.add_routes(
            [
                web.get("/", self._health),
                web.get("/health", self._health),
                web.get("/ping", self._health),
                web.get("/info", self._info),
                web.get("/metrics", self._exposition),
                web.post("/", self._compat),
                web.post("/generate", self._generate),
                web.post("/generate_stream", self._generate_stream),
                web.post("/tokenize", self._tokenize),
                web.post("/chat_tokenize", self._chat_tokenize),
                web.post("/aios/v1/suspend", self._suspend),
                web.delete("/aios/v1/kv/{handle}", self._drop_snapshot),
            ]
        )
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Refuse web pages, other names and calls without the key, before a byte of the body is read."""
        headers = request.headers
        problem = self._guard.problem(
            *(headers.getall(name, ()) for name in ("Host", "Origin", "Sec-Fetch-Site"))
        )
        if problem is not None:
            return _json({"error": problem, "error_type": "forbidden"}, status=403)
        is_check = request.method in {"GET", "HEAD"} and request.path in _CHECKS
        if not is_check and not self._guard.knows(headers.getall("Authorization", ())):
            refused = _json(
                {"error": "the key is missing or wrong", "error_type": "unauthorized"}, status=401
            )
            refused.headers["WWW-Authenticate"] = "Bearer"
            return refused
        return await handler(request)

    async def _health(self, _request: web.Request) -> web.Response:
        if not self.draining and await self._service.healthy():
            return web.Response()
        return _json({"error": "unhealthy", "error_type": "healthcheck"}, status=503)

    async def _info(self, _request: web.Request) -> web.Response:
        about, limits = self._about, self._about.limits
        return _json(
            {
                "model_id": about.model_id,
                "model_sha": about.model_sha,
                "max_concurrent_requests": about.max_concurrent,
                "max_best_of": limits.max_best_of,
                "max_stop_sequences": limits.max_stop_sequences,
                "max_input_tokens": limits.max_input_tokens,
                "max_total_tokens": limits.max_total_tokens,
                "validation_workers": 1,
                "max_client_batch_size": 1,
                "router": "aios-tgi-local",
                "version": _VERSION,
                "sha": None,
                "docker_label": None,
                "aios": {
                    "kv_snapshot": True,
                    "token_prompts": True,
                    "content_is_text": True,
                    "special_token_ids": about.special[:MOST_TOLD],
                    "presence_penalty": True,
                    "exact": about.exact,
                    "instance": self._instance,
                    "slots": about.slots,
                    "ctx_per_slot": about.ctx_per_slot,
                    "max_total_tokens": limits.max_total_tokens,
                    "longest_token_bytes": about.longest_token,
                    "recursive_schemas": True,
                    "root_choice": True,
                    "chat_template": about.chat_template,
                },
            }
        )

    async def _exposition(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.exposition(), content_type="text/plain", charset="utf-8")

    async def _compat(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        if parse_object(body).get("stream") is True:
            return await self._streamed(request, body)
        return await self._unary(body, listed=True)

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        return await self._unary(await _body(request), listed=False)

    async def _generate_stream(self, request: web.Request) -> web.StreamResponse:
        return await self._streamed(request, await _body(request))

    async def _unary(self, body: bytes, *, listed: bool) -> web.Response:
        started = self._now()
        async with self._counted():
            with self._service.admitted():
                prepared = await self._service.prepare(await self._parsed(body, stream=False))
                validated = self._now()
                results = await self._service.generate(prepared)
                prefill = self._service.prefill(prepared) if prepared.request.decoder_input_details else []
        best, validation = results[0], validated - started
        self._metrics.succeeded(
            validation=validation,
            queue=best.queue_seconds,
            inference=best.inference_seconds,
            tokens=best.finish.generated_tokens,
        )
        headers = answers.unary_headers(results, validation=validation, total=self._now() - started)
        answer = answers.unary(results, prefill)
        return _json([answer] if listed else answer, headers=headers)

    async def _parsed(self, body: bytes, *, stream: bool) -> GenerateRequest:
        """Read a body; a long one in a thread, since others' tokens pass through this loop meanwhile."""
        if len(body) <= _LONG_BODY:
            return parse_generate(body, self._about.limits, stream=stream)
        return await asyncio.to_thread(parse_generate, body, self._about.limits, stream=stream)

    @contextlib.asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        """Count a request, and why it failed if it does."""
        self._metrics.received()
        try:
            yield
        except TgiError as error:
            self._metrics.failed(error.failure)
            raise
        except MalformedBody:
            self._metrics.failed("validation")
            raise
        except asyncio.CancelledError:
            self._metrics.failed("dropped")
            raise

    async def _streamed(self, request: web.Request, body: bytes) -> web.StreamResponse:
        """Answer 200 and stream; a body that is no request at all is refused before."""
        response = web.StreamResponse(headers=answers.stream_headers(_characters(body)))
        response.enable_chunked_encoding()
        try:
            async with self._counted():
                await self._stream_events(request, response, body)
        except TgiError as error:
            await _prepared(request, response)
            await _write(response, answers.sse_error(error))
        return response

    async def _stream_events(self, request: web.Request, response: web.StreamResponse, body: bytes) -> None:
        started = self._now()
        with self._service.admitted():
            parsed = await self._parsed(body, stream=True)
            await _prepared(request, response)
            async with _keeping_alive(response, self._keep_alive):
                prepared = await self._service.prepare(parsed)
                validation = self._now() - started
                generation = self._service.begin(prepared)
                finish = await self._pump(response, generation, parsed)
            if finish is None:
                if not generation.suspended:
                    _abort(request)
                return
            self._metrics.succeeded(
                validation=validation,
                queue=generation.queue_seconds,
                inference=generation.inference_seconds,
                tokens=finish.generated_tokens,
            )

    async def _pump(
        self, response: web.StreamResponse, generation: Generation, parsed: GenerateRequest
    ) -> Finish | None:
        """Write every step. Returns how it ended; None when it was suspended or nobody listens."""
        told = generation.prepared.prompt_ids if parsed.extension is not None else None
        finish: Finish | None = None
        async with aclosing(self._service.stream(generation)) as steps:
            async for step in steps:
                finish = step.finish
                data = answers.sse(
                    step,
                    details=parsed.details,
                    top_n=parsed.top_n_tokens,
                    prompt_ids=told,
                    cached_tokens=generation.cached_tokens,
                )
                data += answers.SUSPENDED if step.suspended else b""
                if data and not await _write(response, data, self._write_timeout):
                    self._metrics.failed("dropped")
                    return None
        return finish

    async def _tokenize(self, request: web.Request) -> web.Response:
        raw = parse_object(await _body(request))
        if not isinstance(raw.get("inputs"), str):
            raise _missing("inputs")
        if not raw["inputs"]:
            raise InvalidRequest("`inputs` cannot be empty")
        add_special = raw.get("add_special_tokens", True) is not False
        special = raw.get("parse_special", True) is not False
        pieces = self._service.tokenize(raw["inputs"], add_special=add_special, special=special)
        return _written(await _token_list(pieces))

    async def _chat_tokenize(self, request: web.Request) -> web.Response:
        raw = parse_object(await _body(request))
        messages = raw.get("messages")
        if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
            raise _missing("messages")
        pieces, text = await self._service.chat_tokenize([_plain_message(m) for m in messages])
        tokens = await _token_list(pieces)
        return _written(b'{"tokenize_response":' + tokens + b',"templated_text":' + orjson.dumps(text) + b"}")

    async def _suspend(self, request: web.Request) -> web.Response:
        request_id = parse_object(await _body(request)).get("request_id")
        if not isinstance(request_id, str) or not request_id:
            raise _missing("request_id")
        return _json(answers.suspension(await self._service.suspend(request_id)))

    async def _drop_snapshot(self, request: web.Request) -> web.Response:
        await self._service.drop_snapshot(request.match_info["handle"])
        return web.Response(status=204)


@contextlib.asynccontextmanager
async def _keeping_alive(response: web.StreamResponse, every: float) -> AsyncIterator[None]:
    """Send comment lines meanwhile: proxies close connections they take for dead."""

    async def send() -> None:
        while True:
            await asyncio.sleep(every)
            if not await _write(response, answers.KEEP_ALIVE):
                return

    task = asyncio.create_task(send())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _prepared(request: web.Request, response: web.StreamResponse) -> None:
    if not response.prepared:
        request[_STREAM] = response
        await response.prepare(request)


async def _write(response: web.StreamResponse, data: bytes, within: float = _WRITE_SECONDS) -> bool:
    """Write; returns False when the caller has gone, or takes nothing for `within` seconds."""
    try:
        async with asyncio.timeout(within):
            await response.write(data)
    except (ConnectionError, TimeoutError):
        return False
    return True


def _abort(request: web.Request) -> None:
    """Cut the connection of a caller who takes nothing: the rest could never be written."""
    if request.transport is not None:
        request.transport.abort()


async def _body(request: web.Request) -> bytes:
    if request.content_type != "application/json":
        raise MalformedBody(415, "Expected request with `Content-Type: application/json`")
    return await request.read()


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Turn every failure into an answer; nothing inner reaches the caller."""
    try:
        return await handler(request)
    except TgiError as error:
        return _json(answers.error_body(error), status=error.status)
    except MalformedBody as error:
        return web.Response(status=error.status, text=str(error))
    except web.HTTPException:
        raise
    except ConnectionResetError:  # the caller left: nobody reads an answer
        return web.Response(status=_CALLER_LEFT)
    except Exception as error:  # noqa: BLE001 - the one interceptor of unknown errors
        _log.error("request failed", exc=error, path=request.path, kind=type(error).__name__)
        broken = TgiError("internal error")
        streaming: web.StreamResponse | None = request.get(_STREAM)
        if streaming is None:
            return _json(answers.error_body(broken), status=broken.status)
        await _write(streaming, answers.sse_error(broken))
        return streaming


def _missing(field: str) -> MalformedBody:
    return MalformedBody(
        422, f"Failed to deserialize the JSON body into the target type: missing field `{field}`"
    )


async def _token_list(pieces: AsyncIterator[Sequence[TextToken]]) -> bytes:
    """Write the tokens of a text piece by piece: a list of all would hold up every generation."""
    written = [orjson.dumps(answers.text_tokens(piece))[1:-1] async for piece in pieces]
    return b"[" + b",".join(written) + b"]"


def _written(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _json(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=orjson.dumps(value), status=status, headers=headers, content_type="application/json"
    )


def _plain_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Join content given in chunks; only text chunks mean anything to a text model."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(c.get("text", "")) for c in content if isinstance(c, dict))
    return {**message, "content": content if content is not None else ""}


def _characters(body: bytes) -> int:
    inputs = parse_object(body).get("inputs")
    return len(inputs) if isinstance(inputs, str) else 0
