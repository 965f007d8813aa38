"""A client of any server that speaks the OpenAI protocol: typed failures, no state."""

from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import Any

import aiohttp

from gateway.inference.backends.connections import Connections
from gateway.inference.backends.openai.wire import Chunk, EventReader, parse_answer
from gateway.inference.backends.transport import (
    CONNECT_SECONDS,
    SILENCE_SECONDS,
    TOKEN_SECONDS,
    body_of,
    control,
    failures,
    follow,
    is_there,
    page,
    read_aside,
)
from gateway.inference.backends.watchdog import Patience


class OpenAiClient:
    """Every failure is a `BackendError`.

    `close` it. Cancelling a call, or closing a stream, closes the
    connection, which is how a server is told to stop.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str = "",
        silence_timeout: float = SILENCE_SECONDS,
        token_timeout: float = TOKEN_SECONDS,
    ) -> None:
        self._base = base_url
        self._connections = Connections({"Authorization": f"Bearer {api_key}"} if api_key else None)
        self._patience = Patience(silence_timeout, token_timeout)

    async def get(self, path: str) -> Any:
        """Ask a question. Raises BackendError."""
        with failures():
            async with self._connections.http.get(f"{self._base}{path}", timeout=control()) as response:
                return await _answer(response)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Ask a question with a body. Raises BackendError."""
        with failures():
            async with self._connections.posted(f"{self._base}{path}", body, control()) as response:
                return await _answer(response)

    async def answers(self, path: str) -> bool:
        """Whether a page is there; never raises BackendError."""
        return await is_there(self._connections.http, f"{self._base}{path}")

    async def metrics(self) -> bytes | None:
        """Return the server's metrics page; None: there is none. Raises no BackendError."""
        return await page(self._connections.http, f"{self._base}/metrics")

    def stream(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Chunk, None]:
        """Follow a generation to its end. Raises BackendError.

        Wrap it in `contextlib.aclosing`: closing it closes the socket at once.
        """
        return follow(
            partial(self._open, path, body),
            EventReader(),
            parse_answer,
            self._patience,
            self._connections.let_go,
        )

    async def close(self) -> None:
        """Close all connections; running calls fail."""
        await self._connections.close()

    async def _open(self, path: str, body: Mapping[str, Any]) -> aiohttp.ClientResponse:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
        return await self._connections.post(f"{self._base}{path}", body, timeout)


async def _answer(response: aiohttp.ClientResponse) -> Any:
    """Decode an answer. Raises the BackendError that it tells of."""
    found = await body_of(response)
    return await read_aside(len(found), lambda: parse_answer(response.status, found))
