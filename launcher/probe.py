"""Asks attached inference servers what they serve, within bounds of time and bytes."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import urldefrag

import aiohttp
import orjson

from gateway.inference.backends.openai.wire import ServedModel, parse_models
from gateway.inference.backends.tgi.wire import parse_info
from gateway.inference.errors import BackendError
from launcher.backends import (
    AnswersSomethingElse,
    BackendProblem,
    Backends,
    DoesNotAnswer,
    LacksModel,
    NeedsKey,
    Serving,
    base_of,
)

T = TypeVar("T")

PROBE_SECONDS: Final = 5.0
MOST_BYTES: Final = 4 * 2**20
"""Of one answer: a hosted server lists hundreds of models."""
_LISTED: Final = 8
"""Models named in a message."""
_OPENAI_KEY: Final = "AIOS_OPENAI_API_KEY or --openai-key"
"""Where the key of an OpenAI server comes from, as a message says it."""
_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


async def look(backends: Backends) -> list[Serving | BackendProblem]:
    """Ask every server at once; takes PROBE_SECONDS at most. The answers come in the servers' order."""
    async with aiohttp.ClientSession() as session:
        asked = [
            *(_bounded(_openai(session, each, backends), each) for each in backends.openai),
            *(_bounded(_tgi(session, each, backends), each) for each in backends.tgi),
        ]
        return list(await asyncio.gather(*asked))


async def _bounded(work: Awaitable[Serving], endpoint: str) -> Serving | BackendProblem:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            return await work
    except BackendProblem as problem:
        return problem
    except TimeoutError:
        return DoesNotAnswer(f"{base_of(endpoint)} does not answer within {PROBE_SECONDS:g} s")


async def _openai(session: aiohttp.ClientSession, endpoint: str, backends: Backends) -> Serving:
    base = base_of(endpoint)
    listed = await _ask(session, f"{base}/v1/models", backends.openai_key, _OPENAI_KEY, parse_models)
    wanted = urldefrag(endpoint).fragment or backends.model
    served = next((each for each in listed if wanted in {"", each.id}), None)
    if not listed:
        raise LacksModel(f"{base} lists no model")
    if served is None:
        raise LacksModel(f"{base} serves no model {wanted!r}; it lists {_names(listed)}")
    return Serving(base, served.id, backends.window or served.window, served.owner)


async def _tgi(session: aiohttp.ClientSession, endpoint: str, backends: Backends) -> Serving:
    base = base_of(endpoint)
    serving = await _ask(
        session, f"{base}/info", backends.tgi_key, "AIOS_TGI_API_KEY", lambda raw: _described(base, raw)
    )
    if backends.model not in {"", serving.model} and not backends.openai:
        raise LacksModel(f"{base} serves no model {backends.model!r}; it serves {serving.model}")
    return serving


def _described(base: str, raw: Any) -> Serving:
    """Read the answer of `/info`. Raises BackendError or ValueError."""
    info = parse_info(raw)
    kind = "TGI" if info.slots is None else "tgi-local"
    own = raw.get("aios") or {}
    template = own.get("chat_template") is not False
    return Serving(base, info.model_id, info.max_total_tokens, f"{kind} {info.version}", template)


async def _ask(
    session: aiohttp.ClientSession, url: str, key: str, option: str, parse: Callable[[Any], T]
) -> T:
    """Get a page and read it. Raises BackendProblem, without a word of what the server wrote about a key."""
    headers = {"Authorization": f"Bearer {key}"} if key else None
    try:
        async with session.get(url, headers=headers) as response:
            status, body = response.status, await _body(response)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise DoesNotAnswer(f"{url} does not answer: {_why(error)}") from error
    if status in _REFUSED:
        what = "refuses the key of" if key else "needs a key: give it with"
        raise NeedsKey(f"{url} {what} {option} (status {status})")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise DoesNotAnswer(f"{url} is not ready (status {status})")
    if status != HTTPStatus.OK:
        raise AnswersSomethingElse(f"{url} is no page of such a server (status {status})")
    try:
        return parse(orjson.loads(body))
    except (BackendError, TypeError, ValueError) as error:  # ValueError: no JSON, too
        raise AnswersSomethingElse(f"{url} answers something else than such a server") from error


async def _body(response: aiohttp.ClientResponse) -> bytes:
    found = bytearray()
    async for chunk in response.content.iter_any():
        found += chunk
        if len(found) > MOST_BYTES:
            raise AnswersSomethingElse(f"{response.url} answers with more than {MOST_BYTES >> 20} MiB")
    return bytes(found)


def _why(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no such host"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "nothing accepts connections there"
    return type(error).__name__


def _names(listed: Sequence[ServedModel]) -> str:
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return ", ".join(each.id[:100] for each in listed[:_LISTED]) + more
