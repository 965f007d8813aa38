"""A client of TGI with the stock client's call signature, a pooled session, typed failures and a fast stream.

The stock client (`text-generation`) opens a connection per call, gives every call ten seconds, builds three
pydantic models a token, and pins other packages. A test holds the two signatures together.
"""

from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Unpack
from urllib.parse import quote

import aiohttp

from gateway.inference.backends.connections import Connections
from gateway.inference.backends.exposition import gauge
from gateway.inference.backends.tgi.wire import (
    AiosOptions,
    BackendInfo,
    EventReader,
    Generation,
    SamplingOptions,
    Suspended,
    Suspension,
    TextToken,
    TokenEvent,
    check_count,
    parse_answer,
    parse_chat_tokens,
    parse_generation,
    parse_info,
    parse_suspension,
    parse_text_tokens,
    request_body,
)
from gateway.inference.backends.transport import (
    CONNECT_SECONDS,
    CONTROL_SECONDS,
    SILENCE_SECONDS,
    TOKEN_SECONDS,
    TOKENS_BYTES,
    body_of,
    control,
    failures,
    follow,
    is_there,
    page,
    read_aside,
)
from gateway.inference.backends.watchdog import Patience

__all__ = [
    "AiosOptions",
    "BackendInfo",
    "Generation",
    "PooledAsyncClient",
    "SamplingOptions",
    "Suspended",
    "Suspension",
    "TextToken",
    "TokenEvent",
]

UNARY_SECONDS: Final = 600.0
"""Longest unary generation; callers bound it further."""


_Call = AbstractAsyncContextManager[aiohttp.ClientResponse]


class PooledAsyncClient:
    """A client of one TGI or tgi-local replica. Every failure is a `BackendError`.

    `close` it. Cancelling a call, or closing a stream, closes the
    connection, which is how TGI is told to stop.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        *,
        silence_timeout: float = SILENCE_SECONDS,
        token_timeout: float = TOKEN_SECONDS,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.headers = headers
        self.cookies = cookies
        self._silence = silence_timeout
        self._token_timeout = token_timeout
        self._connections = Connections(headers, cookies)

    async def generate(
        self,
        prompt: str = "",
        *,
        aios: AiosOptions | None = None,
        timeout: float = UNARY_SECONDS,
        **options: Unpack[SamplingOptions],
    ) -> Generation:
        """Generate to the end. Raises BackendError."""
        body = request_body(prompt, options, aios)
        with failures():
            async with self._post("/generate", body, timeout) as response:
                found = await body_of(response, TOKENS_BYTES)
                prompt_tokens = response.headers.get("x-prompt-tokens")
        return await read_aside(
            len(found), lambda: parse_generation(parse_answer(response.status, found), prompt_tokens)
        )

    def generate_stream(
        self,
        prompt: str = "",
        *,
        aios: AiosOptions | None = None,
        token_timeout: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> AsyncGenerator[TokenEvent | Suspended, None]:
        """Stream a generation: tokens, the last with `generated_text`, or `Suspended`.

        Wrap it in `contextlib.aclosing`: closing it closes the socket at once. `token_timeout`: seconds
        without a token after which the stream fails; keep-alive comments do not count. Raises BackendError.
        """
        limit = self._token_timeout if token_timeout is None else token_timeout

        def open_stream() -> Awaitable[aiohttp.ClientResponse]:
            return self._open_stream(request_body(prompt, options, aios))

        patience = Patience(self._silence, limit)
        return follow(open_stream, EventReader(), parse_answer, patience, self._connections.let_go)

    async def info(self) -> BackendInfo:
        """Ask what the backend is and can. Raises BackendError."""
        with failures():
            async with self._connections.http.get(f"{self.base_url}/info", timeout=control()) as response:
                found = await body_of(response)
        return await read_aside(len(found), lambda: parse_info(parse_answer(response.status, found)))

    async def health(self) -> bool:
        """Whether the backend would take work; never raises BackendError."""
        return await is_there(self._connections.http, f"{self.base_url}/health")

    async def queue_size(self) -> int | None:
        """How many requests wait inside the backend; None where it does not tell. Raises no BackendError."""
        found = await page(self._connections.http, f"{self.base_url}/metrics")
        return None if found is None else gauge(found, "tgi_queue_size")

    async def tokenize(self, text: str, *, most_tokens: int = 0, special: bool = True) -> list[TextToken]:
        """Split a text with the backend's tokenizer. Raises BackendError.

        `most_tokens`: with more of them, unless 0, it raises PromptOverflow. `special`: whether special
        tokens written in it are meant, which only a backend that declares `content_is_text` can deny.
        """
        body = {"inputs": text} if special else {"inputs": text, "parse_special": False}
        with failures():
            async with self._post("/tokenize", body, CONTROL_SECONDS) as response:
                found = await body_of(response, TOKENS_BYTES)
        check_count(found, most_tokens)
        return await read_aside(len(found), lambda: parse_text_tokens(parse_answer(response.status, found)))

    async def chat_tokenize(
        self, messages: Sequence[Mapping[str, Any]], *, most_tokens: int = 0
    ) -> tuple[list[TextToken], str]:
        """Render a chat with the model's template; returns tokens and text. Raises BackendError.

        `most_tokens`: with more of them, unless 0, it raises PromptOverflow.
        """
        body = {"messages": list(messages)}
        with failures():
            async with self._post("/chat_tokenize", body, CONTROL_SECONDS) as response:
                found = await body_of(response, TOKENS_BYTES)
        check_count(found, most_tokens)
        return await read_aside(len(found), lambda: parse_chat_tokens(parse_answer(response.status, found)))

    async def suspend(self, request_id: str) -> Suspension:
        """Stop a running generation at a token boundary and save its state.

        Only on a backend whose info says `kv_snapshot`. Raises NotRunning, NotSuspendable, BackendError.
        """
        with failures():
            async with self._post(
                "/aios/v1/suspend", {"request_id": request_id}, CONTROL_SECONDS
            ) as response:
                found = await body_of(response, TOKENS_BYTES)
        return await read_aside(len(found), lambda: parse_suspension(parse_answer(response.status, found)))

    async def drop_snapshot(self, kv_handle: str) -> None:
        """Delete a saved state; unknown handles are fine. Raises BackendError."""
        with failures():
            url = f"{self.base_url}/aios/v1/kv/{quote(kv_handle, safe='')}"
            async with self._connections.http.delete(url, timeout=control()) as response:
                await body_of(response)

    async def close(self) -> None:
        """Close all connections; running calls fail."""
        await self._connections.close()

    def _post(self, path: str, body: Mapping[str, Any], seconds: float) -> _Call:
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        return self._connections.posted(f"{self.base_url}{path}", body, timeout)

    async def _open_stream(self, body: Mapping[str, Any]) -> aiohttp.ClientResponse:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        return await self._connections.post(f"{self.base_url}/generate_stream", body, timeout)
