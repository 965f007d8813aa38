"""How often a preempted greedy answer is the uninterrupted one, by driver, and what exactness costs.

Run:  python -m tests.bench.bench_exact [--prompts 24] [--seed 7] [--out tests/bench/results]

The same prompts are answered one at a time without interruption, then four at a time with 1, 2 and 4
preemptions at drawn tokens, through the gateway's own runner and drivers. Servers, all on llama.cpp:

- `tgi-local, snapshots`: tgi-local as it is by default, its KV snapshots restored;
- `tgi-local, ids`: the same without snapshots: prompt and produced ids are read again;
- `tgi, text`: tgi-local declared as a plain TGI, without the exact mode: going on from text;
- `openai, text`: llama.cpp's own OpenAI-compatible server with its defaults: going on from text.

Writes exact.json and exact.md.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from pathlib import Path

import xllamacpp

from gateway.inference.backends.openai.backend import OpenAiBackend, OpenAiConfig
from gateway.inference.backends.tgi.backend import TgiBackend, TgiConfig
from gateway.inference.model import Capabilities, GenerationSpec, ReplicaInfo
from gateway.inference.ports import Backend
from services.tgi_local.adapters.xllama import XllamaEngine
from services.tgi_local.config import DEMO_MODEL
from services.tgi_local.core.engine import EngineRequest as EngineJob
from services.tgi_local.core.layout import Layout
from services.tgi_local.core.parameters import Sampling
from tests.fakes.faults import Fault, FaultKind, Trial
from tests.fakes.gguf_model import write_random_model
from tests.fakes.tgi_local import tgi_local

LENGTH, SLOTS, CONTEXT, AT_ONCE = 64, 4, 512, 4
PREEMPTIONS = (1, 2, 4)
ROUNDS = 11
WORDS = [
    *("river", "stone", "letter", "morning", "under", "seven", "bright", "window", "follow", "garden"),
    *("quiet", "engine", "paper", "twelve", "yellow", "answer", "winter", "copper", "bridge", "market"),
]


class WithoutSnapshots(TgiBackend):
    """A tgi-local whose kept states are not used."""

    async def info(self) -> ReplicaInfo:
        """Declare token-id prompts only."""
        return replace(await super().info(), capabilities=Capabilities(token_prompts=True))


class AsPlainTgi(TgiBackend):
    """A tgi-local taken for a plain TGI."""

    async def info(self) -> ReplicaInfo:
        """Declare nothing beyond TGI."""
        info = await super().info()
        self._extended = False
        return replace(info, capabilities=Capabilities())


@asynccontextmanager
async def served(kind: str, model: Path, directory: Path) -> AsyncIterator[Backend]:
    """Run one kind of server and connect its driver."""
    if kind == "openai, text":
        params = xllamacpp.CommonParams()
        params.model.path = str(model)
        params.n_parallel, params.n_ctx = SLOTS, SLOTS * CONTEXT
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.cache_ram_mib, params.verbosity = 0, -1
        params.hostnames, params.port = ["127.0.0.1"], 0
        server = await asyncio.to_thread(xllamacpp.Server, params)
        backend: OpenAiBackend | TgiBackend = OpenAiBackend(
            server.listening_address, OpenAiConfig(token_timeout=30)
        )
        try:
            yield backend
        finally:
            await backend.close()
        return
    made = {"tgi-local, ids": WithoutSnapshots, "tgi, text": AsPlainTgi}.get(kind, TgiBackend)
    exact = kind != "tgi, text"
    async with tgi_local(model, directory, slots=SLOTS, ctx=CONTEXT, exact=exact) as local:
        backend = made(f"http://127.0.0.1:{local.port}", TgiConfig())
        try:
            yield backend
        finally:
            await backend.close()


KINDS = ("tgi-local, snapshots", "tgi-local, ids", "tgi, text", "openai, text")


@dataclass(frozen=True, slots=True)
class Row:
    """One server under so many preemptions."""

    server: str
    model: str
    preemptions: int
    answers: int
    happened: int
    """Preemptions that took place: short answers end before some."""
    exact: float
    """Share of the answers whose text is the uninterrupted one."""
    common_prefix: float
    """Mean share of the uninterrupted text that was the same from its start."""
    read_again: float
    """Mean tokens of prompt and answer handed to the server again, per preemption; 1 with a snapshot."""


async def compare(backend: Backend, kind: str, model: str, prompts: Sequence[str], seed: int) -> list[Row]:
    """Answer all prompts undisturbed, then preempted."""
    rng = random.Random(seed)  # noqa: S311 - repeatable
    specs = [GenerationSpec(prompt=prompt, max_tokens=LENGTH) for prompt in prompts]
    whole = [Trial(spec, f"whole{n}", [], [backend]) for n, spec in enumerate(specs)]
    for trial in whole:
        await trial.run()
    rows = []
    for count in PREEMPTIONS:
        cut = [Trial(s, f"cut{count}-{n}", drawn(count, rng), [backend]) for n, s in enumerate(specs)]
        for at in range(0, len(cut), AT_ONCE):
            await asyncio.gather(*(trial.run() for trial in cut[at : at + AT_ONCE]))
        rows.append(_row(kind, model, count, whole, cut))
    return rows


def drawn(count: int, rng: random.Random) -> list[Fault]:
    """Draw at which tokens an answer is preempted."""
    points = sorted(rng.sample(range(1, LENGTH - 4), count))
    return [Fault(now - before, FaultKind.PREEMPT) for before, now in zip([0, *points], points, strict=False)]


def _row(kind: str, model: str, count: int, whole: Sequence[Trial], cut: Sequence[Trial]) -> Row:
    pairs = [(a.text, b.text) for a, b in zip(whole, cut, strict=True)]
    again = [job for trial in cut for job in trial.jobs[1:]]
    read = [
        1
        if job.kv_handle
        else job.prompt.token_count + max(len(job.emitted_ids), LENGTH - job.max_new_tokens)
        for job in again
    ]
    return Row(
        kind,
        model,
        count,
        len(pairs),
        len(again),
        round(statistics.mean(a == b for a, b in pairs), 3),
        round(statistics.mean(_common(a, b) for a, b in pairs), 3),
        round(statistics.mean(read), 1) if read else 0.0,
    )


def _common(whole: str, other: str) -> float:
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(whole, other, strict=False)))
    return same / len(whole) if whole else 1.0


async def cost(directory: Path) -> dict[str, dict[str, float]]:
    """Measure the embedded engine with and without the exact mode, in turns; the best rounds count."""
    seen: dict[str, dict[str, list[float]]] = {}
    async with AsyncExitStack() as stack:
        engines = {}
        for exact in (False, True):
            data = directory / f"cost-{exact}"
            data.mkdir()
            engine = await XllamaEngine.open(
                DEMO_MODEL, Layout(8, 2048, exact), threads=1, data_dir=data, snapshots=data
            )
            stack.push_async_callback(engine.close)
            engines["exact" if exact else "not exact"] = engine
        for number in range(ROUNDS):
            for name, engine in engines.items():
                into = seen.setdefault(name, {})
                for streams in (1, 8):
                    began = time.perf_counter()
                    counts = await asyncio.gather(*(_run(engine, s, 20, 400, number) for s in range(streams)))
                    rate = sum(counts) / (time.perf_counter() - began)
                    into.setdefault(f"tokens/s, {streams} streams", []).append(rate)
                began = time.perf_counter()
                await _run(engine, 0, 300, 1, number)
                into.setdefault("ms to read 300 tokens", []).append(1000 * (time.perf_counter() - began))
    return {
        name: {what: round((min if "ms" in what else max)(values), 1) for what, values in each.items()}
        for name, each in seen.items()
    }


async def _run(engine: XllamaEngine, slot: int, prompt: int, count: int, number: int) -> int:
    rng = random.Random(1000 * number + slot)  # noqa: S311 - repeatable
    ids = tuple(rng.randrange(1, 900) for _ in range(prompt))
    job = EngineJob(prompt=ids, slot=slot, max_tokens=count, sampling=Sampling(), seed=1, reuse=False)
    async with aclosing(engine.generate(job)) as run:
        return sum([len(batch) async for batch in run])


def table(rows: Sequence[Row], costs: dict[str, dict[str, float]], machine: str) -> str:
    """Format the results as Markdown."""
    lines = [
        "# Exactness: preempted answers against uninterrupted ones",
        "",
        f"Greedy, {LENGTH} tokens, {AT_ONCE} at a time, preempted at drawn tokens. {machine}.",
        "The command is `make bench-exact`; what the servers are is said in `tests/bench/bench_exact.py`.",
        "",
        "| server | model | preemptions | happened | exact answers | common prefix | tokens read again |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.server} | {r.model} | {r.preemptions} | {r.happened} | {r.exact:.1%} of {r.answers}"
        f" | {r.common_prefix:.1%} | {r.read_again} |"
        for r in rows
    ]
    names = list(costs["exact"])
    lines += [
        "",
        f"What tgi-local's exact mode costs on the demo model, one engine thread, best of {ROUNDS} rounds:",
        "",
    ]
    lines += [f"| | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    lines += [f"| {mode} | {' | '.join(str(each[n]) for n in names)} |" for mode, each in costs.items()]
    return "\n".join(lines) + "\n"


def prompts_of(model: str, count: int, seed: int) -> list[str]:
    """Draw free text."""
    rng = random.Random(f"{seed}-{model}")  # noqa: S311 - repeatable
    return [" ".join(rng.choices(WORDS, k=rng.randrange(3, 14))) for _ in range(count)]


async def measure(count: int, seed: int) -> tuple[list[Row], dict[str, dict[str, float]]]:
    """Run everything."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="aios-bench-") as name:
        directory = Path(name)
        models = {"demo": DEMO_MODEL, "random weights": write_random_model(directory / "random.gguf")}
        for model, path in models.items():
            for kind in KINDS:
                place = directory / f"{kind}-{path.stem}"
                async with served(kind, path, place) as backend:
                    found = await compare(backend, kind, model, prompts_of(model, count, seed), seed)
                for row in found:
                    print(json.dumps(asdict(row)), flush=True)
                rows += found
        return rows, await cost(directory)


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    rows, costs = asyncio.run(measure(options.prompts, options.seed))
    load = os.getloadavg()[0]
    machine = (
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs, load {load:.1f}"
    )
    options.out.mkdir(parents=True, exist_ok=True)
    report = {"machine": machine, "seed": options.seed, "rows": [asdict(r) for r in rows], "cost": costs}
    (options.out / "exact.json").write_text(json.dumps(report, indent=2) + "\n")
    (options.out / "exact.md").write_text(table(rows, costs, machine))


if __name__ == "__main__":
    main()
