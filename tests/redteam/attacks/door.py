"""The HTTP door: bodies, connections, sessions and keys of hostile clients."""

import asyncio
import gzip
import json
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.redteam.fire import Fire, attack
from tests.redteam.ground import Ground

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
MCP = "/mcp"


def _key(ground: Ground) -> dict[str, str]:
    return {"Authorization": f"Bearer {ground.key}", "Content-Type": "application/json"}


def _bodies() -> list[bytes]:
    deep = b"[" * 100_000
    return [
        deep,
        b'{"a":' * 100_000,
        b'{"model":"m","messages":' + deep,
        json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}] * 20_000}).encode(),
        json.dumps({"model": "m", "messages": [{"role": "user", "content": "\u202e" * 500_000}]}).encode(),
        json.dumps({"model": "m", "messages": [], "tools": [{}] * 50_000}).encode(),
        json.dumps({"model": "m" * 1_000_000, "messages": [{"role": "user", "content": "x"}]}).encode(),
        b'{"model":"m","max_tokens":1e999,"messages":[]}',
        b'{"model":"m","n":' + b"9" * 5_000 + b"}",
        b'{"model":"m","model":"m",' * 5_000,
        b"\xff\xfe" * 50_000,
        b"\xef\xbb\xbf{}",
        b'{"k":"\\ud800"}',
        b"",
        json.dumps(
            {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {"name": "x", "arguments": {"a": ["b"] * 50_000}},
            }
        ).encode(),
    ]


@attack("door-bodies", "bodies that are deep, wide, cut or no JSON, on every dialect")
async def bodies(ground: Ground, fire: Fire) -> None:
    given = _bodies()
    packed = gzip.compress(b"[" * (32 << 20))
    async with aiohttp.ClientSession() as session:

        async def shoot(number: int) -> None:
            body = given[number % len(given)]
            for path in (CHAT, RESPONSES, MESSAGES, MCP, "/v1/completions", "/v1/embeddings"):
                if fire.over:
                    return
                await fire.web(session, "POST", ground.door + path, data=body, headers=_key(ground))
            head = {**_key(ground), "Content-Encoding": "gzip"}
            await fire.web(session, "POST", ground.door + CHAT, data=packed, headers=head)

        await fire.together(shoot, workers=4)


@attack("door-connections", "connections that say nothing, or say it slowly")
async def connections(ground: Ground, fire: Fire) -> None:
    address = urlsplit(ground.door)
    opened: list[asyncio.StreamWriter] = []
    head = f"POST {CHAT} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 1000000\r\n".encode()

    async def one(number: int) -> None:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(address.hostname, address.port)
            opened.append(writer)
            fire.tried += 1
            if number % 2:
                writer.write(head if number % 4 == 1 else head + b"\r\n{")
                await writer.drain()

    for n in range(0, 1_000, 50):
        if fire.over:
            break
        await asyncio.gather(*(one(n + m) for m in range(50)))
    while not fire.over:
        for writer in opened:
            if not writer.is_closing():
                writer.write(b"x")
        await asyncio.sleep(0.5)
    fire.answers["closed"] += sum(writer.is_closing() for writer in opened)
    for writer in opened:
        writer.close()


@attack("door-sessions", "sessions, stored answers and conversations without end")
async def sessions(ground: Ground, fire: Fire) -> None:
    async with aiohttp.ClientSession() as session:

        async def shoot(number: int) -> None:
            head = {**_key(ground), "session_id": f"s{number}", "x-session-affinity": f"s{number}"}
            body: dict[str, Any] = {
                "model": "default",
                "input": "hi",
                "max_output_tokens": 1,
                "background": number % 2 == 0,
            }
            await fire.web(session, "POST", ground.door + RESPONSES, json=body, headers=head)
            await fire.web(session, "POST", ground.door + "/v1/conversations", json={}, headers=head)

        await fire.together(shoot, workers=12)


@attack("door-keys", "keys that are guessed, missing or somebody else's token")
async def keys(ground: Ground, fire: Fire) -> None:
    async with aiohttp.ClientSession() as session:

        async def shoot(number: int) -> None:
            guess = f"{ground.key[:-5]}{number:05d}" if number % 2 else "x" * 6_000
            head = {"Authorization": f"Bearer {guess}"}
            status, _ = await fire.web(session, "GET", ground.door + "/v1/models", headers=head)
            fire.never(status == 200, "a guessed key was let in")
            head = {**_key(ground), "Host": "evil.example", "Origin": "https://evil.example"}
            await fire.web(session, "POST", ground.door + MCP, data=b"{}", headers=head)

        await fire.together(shoot, workers=16)
