"""Judges the GGUF through the engine that serves it, on the fixed evaluation set.

    python -m services.tgi_local.demo_model.evaluate                    table per set and task
    python -m services.tgi_local.demo_model.evaluate --misses 20        also print wrong rows
    python -m services.tgi_local.demo_model.evaluate --speed            also measure tokens a second

Greedy. A row is played to its end: every assistant turn must equal the expected calls exactly (as
JSON), only then are the scripted tool results given and the next turn asked; the final answer must
equal the expected text exactly.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import aiohttp
import xllamacpp

from services.tgi_local.demo_model.chat import Message, parse_calls, render

HERE = Path(__file__).parent
MODEL = HERE / "aios-demo.gguf"
EVAL_SET = HERE / "eval.jsonl"
GREEDY = {"temperature": 0.0, "top_k": 1, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0, "seed": 1}
PATIENCE = aiohttp.ClientTimeout(total=3600)
"""All rows are asked at once and wait for the engine's slots."""
Row = dict[str, Any]


class Engine:
    """The model in llama.cpp's server, reached over a private unix socket."""

    def __init__(self, model: Path, *, slots: int = 8, threads: int = 1) -> None:
        self._folder = tempfile.TemporaryDirectory()
        socket = str(Path(self._folder.name) / "llm.sock")
        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.n_parallel, params.n_ctx = slots, slots * 2048
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.cache_ram_mib, params.verbosity = 0, -1
        params.hostnames = [socket]
        self._server = xllamacpp.Server(params)
        self._socket = socket
        self._slots = slots

    def close(self) -> None:
        """Stop the server and remove its socket."""
        del self._server
        self._folder.cleanup()

    def session(self) -> aiohttp.ClientSession:
        """Open a client session on the socket; paths are requested under http://engine."""
        connector = aiohttp.UnixConnector(self._socket, limit=self._slots, force_close=True)
        return aiohttp.ClientSession("http://engine", connector=connector, timeout=PATIENCE)

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """Return the JSON answer of one request of its own."""
        async with self.session() as session, session.post(path, json=body) as response:
            response.raise_for_status()
            return await response.json()

    async def apply_template(self, messages: Sequence[Message]) -> str:
        """Render messages as the chat template in the file renders them."""
        answer = await self.post("/apply-template", {"messages": list(messages)})
        return str(answer["prompt"])


async def generate(session: aiohttp.ClientSession, prompt: str, limit: int = 256) -> str:
    """Ask for the greedy continuation. Raises aiohttp.ClientResponseError on a prompt that does not fit."""
    body = {"prompt": prompt, "n_predict": limit, "cache_prompt": True, **GREEDY}
    async with session.post("/completion", json=body) as response:
        response.raise_for_status()
        text: str = (await response.json())["content"]
        return text


async def tokenize(engine: Engine, text: str) -> tuple[list[int], str]:
    """Return ids of a text, specials recognised, and the text that the ids stand for."""
    answer = await engine.post("/tokenize", {"content": text, "parse_special": True})
    ids: list[int] = answer["tokens"]
    back = await engine.post("/detokenize", {"tokens": ids})
    return ids, str(back["content"])


async def play(session: aiohttp.ClientSession, row: Row) -> tuple[bool, bool, str]:
    """Whether all calls and whether the answer were right, and the first wrong text (else empty)."""
    messages = list(row["messages"])
    for step in row["steps"]:
        said = await generate(session, render(messages, generation_prompt=True))
        try:
            calls = parse_calls(said)
        except ValueError:
            calls = []
        if calls != step["calls"]:
            return False, False, said
        messages.append({"role": "assistant", "content": said})
        messages += [{"role": "tool", "content": result} for result in step["results"]]
    said = await generate(session, render(messages, generation_prompt=True))
    return ("<tool_call>" not in said), said == row["answer"], "" if said == row["answer"] else said


async def judge(engine: Engine, rows: Sequence[Row]) -> list[tuple[bool, bool, str]]:
    """All rows, as many at a time as the engine has slots."""
    async with engine.session() as session:
        return await asyncio.gather(*(play(session, row) for row in rows))


def load_rows(path: Path = EVAL_SET) -> list[Row]:
    """Read the evaluation set."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def table(rows: Sequence[Row], results: Sequence[tuple[bool, bool, str]]) -> str:
    """Show calls and answers right, in per cent, per task (rows) and set (columns), as Markdown."""
    right: Counter[tuple[str, str, str]] = Counter()
    for row, (calls, answer, _) in zip(rows, results, strict=True):
        for task in (row["task"], "all"):
            right[row["set"], task, "n"] += 1
            right[row["set"], task, "calls"] += calls
            right[row["set"], task, "answer"] += answer
    sets = list(dict.fromkeys(row["set"] for row in rows))
    tasks = [*dict.fromkeys(row["task"] for row in rows), "all"]
    lines = ["| task | " + " | ".join(sets) + " |", "| --- |" + " --- |" * len(sets)]
    for task in tasks:
        cells = []
        for name in sets:
            n = right[name, task, "n"]
            shares = (round(100 * right[name, task, part] / n) if n else 0 for part in ("calls", "answer"))
            cells.append(" / ".join(map(str, shares)) + f" ({n})" if n else "")
        lines.append(f"| {task} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


async def speed(engine: Engine, streams: int, tokens: int = 200) -> float:
    """Measure generated tokens a second over all streams, each with a prompt of a few hundred tokens."""
    prompt = render(load_rows()[0]["messages"], generation_prompt=True)
    body = {"n_predict": tokens, "ignore_eos": True, "cache_prompt": True, **GREEDY}
    async with engine.session() as session:

        async def one(number: int) -> None:
            async with session.post("/completion", json={"prompt": f"{number}{prompt}", **body}) as response:
                await response.read()

        start = time.perf_counter()
        await asyncio.gather(*map(one, range(streams)))
        return streams * tokens / (time.perf_counter() - start)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--rows", type=Path, default=EVAL_SET)
    parser.add_argument("--misses", type=int, default=0)
    parser.add_argument("--speed", action="store_true")
    args = parser.parse_args()
    rows = load_rows(args.rows)
    engine = Engine(args.model)
    results = asyncio.run(judge(engine, rows))
    print(table(rows, results))
    wrong = [(row, said) for row, (_, _, said) in zip(rows, results, strict=True) if said]
    for row, said in wrong[: args.misses]:
        expected = [*(json.dumps(step["calls"]) for step in row["steps"]), row["answer"]]
        print(f"\n[{row['set']} {row['kind']}] {row['messages'][-1]['content']}")
        print(f"  expected {expected}\n  said {said!r}")
    if args.speed:
        for streams in (1, 8, 32):
            print(f"{streams} streams: {asyncio.run(speed(engine, streams)):,.0f} tokens/s")
    engine.close()


if __name__ == "__main__":
    main()
