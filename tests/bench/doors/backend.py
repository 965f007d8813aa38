"""A server of the OpenAI protocol as bare as can be: the floor that the doors are measured against.

Run:  python -m tests.bench.doors.backend      prints its port

The model's name sets the pace: `burst` writes its tokens at once, `paced` one every 10 ms, `slow` one a
second.
"""

import argparse
import asyncio
import json
import sys

from aiohttp import web

WINDOW = 131_072
PACES = {"burst": 0.0, "paced": 0.01, "slow": 1.0}
HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "burst"}


def _chunk(delta: dict[str, str], end: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": end}
    return b"data: " + json.dumps({**HEAD, "choices": [choice]}).encode() + b"\n\n"


WORDS = (
    " the",
    " quick",
    " brown",
    " fox",
    " jumps",
    " over",
    " a",
    " lazy",
    " dog",
    " and",
    " runs",
    " off",
)
CHUNKS = [_chunk({"content": word}) for word in WORDS]
"""A proxy takes a model that repeats one chunk for one that has gone astray."""
END = _chunk({}, "stop")


async def models(_request: web.Request) -> web.Response:
    """List the paces."""
    data = [{"id": name, "object": "model", "owned_by": "vllm", "max_model_len": WINDOW} for name in PACES]
    return web.json_response({"object": "list", "data": data})


async def count(_request: web.Request) -> web.Response:
    """Count tokens, always the same."""
    return web.json_response({"count": 20, "max_model_len": WINDOW, "tokens": list(range(20))})


async def generate(request: web.Request) -> web.StreamResponse:
    """Answer with as many tokens as are asked for."""
    body = json.loads(await request.read())
    tokens = body.get("max_tokens") or body.get("max_completion_tokens") or 16
    used = {"prompt_tokens": 20, "completion_tokens": tokens, "total_tokens": 20 + tokens}
    pace = PACES[body["model"]]
    if not body.get("stream"):
        await asyncio.sleep(pace * tokens)
        message = {"role": "assistant", "content": "".join(WORDS[n % len(WORDS)] for n in range(tokens))}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({**HEAD, "object": "chat.completion", "choices": [choice], "usage": used})
    answer = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await answer.prepare(request)
    for sent in range(tokens):
        await answer.write(CHUNKS[sent % len(CHUNKS)])
        if pace:
            await asyncio.sleep(pace)
    tail = b"data: " + json.dumps({**HEAD, "choices": [], "usage": used}).encode() + b"\n\n"
    await answer.write(END + tail + b"data: [DONE]\n\n")
    return answer


async def serve() -> None:
    """Serve until the process is killed."""
    app = web.Application(client_max_size=4_000_000)
    app.add_routes(
        [
            web.get("/health", lambda _: _healthy()),
            web.get("/v1/models", models),
            web.post("/tokenize", count),
            web.post("/v1/chat/completions", generate),
        ]
    )
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def _healthy() -> web.Response:
    return web.Response()


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    asyncio.run(serve())
