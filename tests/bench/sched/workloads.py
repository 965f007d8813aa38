"""What the simulated agents ask for: real traces, agents of many steps, and a synthetic burst.

Every workload is a list of programs with arrivals in units of the mean time between two arrivals, so
that `at_rate` gives the same programs at any load. A seed chooses the part of the trace (or draws
the synthetic one), the jitter and the tool times.
"""

import csv
import gzip
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from tests.bench.sched.prefix_cache import Block
from tests.bench.sched.server import MAX_NEW_TOKENS

DATA: Final = Path(__file__).parent.parent / "data"
MOONCAKE_GRID: Final = 3.0
MOONCAKE_BLOCK: Final = 512
TOOL_SECONDS: Final = 1.0
"""Mean of the exponential time an agent's tools take between two of its model calls."""

SHARED_PART: Final = 0.75
"""Part of a MINT task's shortest first prompt that all its runs share: instructions, worked example."""


@dataclass(frozen=True, slots=True)
class Step:
    """One model call of a program. Its prompt is the sum of its blocks."""

    blocks: tuple[Block, ...]
    output: int
    after: float = 0.0
    """Seconds from the end of the step before to this call."""

    shared: tuple[Block, ...] = ()
    """Leading blocks that other programs have too, as an informed gateway would tell."""

    @property
    def prompt(self) -> int:
        """Tokens of the prompt."""
        return sum(block.tokens for block in self.blocks)


@dataclass(frozen=True, slots=True)
class Program:
    """An agent's run: calls that follow one another, each sent when the one before has ended."""

    name: str
    arrival: float
    steps: tuple[Step, ...]
    kind: str
    tenant: str = "tenant"
    conversation: str = ""
    """The run as the kernel knows it, where several of these are turns of one conversation."""

    turn: int = 0


@dataclass(frozen=True, slots=True)
class MooncakeRow:
    """One request of the trace and where it stands in its conversation."""

    at: float
    prompt: int
    output: int
    hashes: tuple[int, ...]
    conversation: int
    turn: int


@cache
def mooncake_rows() -> tuple[MooncakeRow, ...]:
    """Read the trace. A request whose prompt contains an earlier one whole is its next turn."""
    rows: list[MooncakeRow] = []
    last: dict[int, int] = {}
    with gzip.open(DATA / "mooncake_conversation_trace_30min.jsonl.gz", "rt") as lines:
        for index, line in enumerate(lines):
            raw = json.loads(line)
            hashes = tuple(raw["hash_ids"])
            conversation, turn = index, 0
            # A prompt's last block is rarely full, so the next turn has another id there.
            for depth in range(len(hashes) - 1, 0, -1):
                earlier = rows[last[hashes[depth]]] if hashes[depth] in last else None
                if earlier is not None and len(earlier.hashes) <= depth + 2:
                    conversation, turn = earlier.conversation, earlier.turn + 1
                    break
            rows.append(
                MooncakeRow(
                    raw["timestamp"] / 1000,
                    raw["input_length"],
                    raw["output_length"],
                    hashes,
                    conversation,
                    turn,
                )
            )
            last.update(dict.fromkeys(hashes, index))
    return tuple(rows)


@cache
def azure_rows() -> tuple[tuple[float, int, int], ...]:
    """Read the trace: seconds, prompt tokens, output tokens."""
    with gzip.open(DATA / "azure2023_conv_30min.csv.gz", "rt", newline="") as lines:
        return tuple(
            (float(r["t_s"]), int(r["context_tokens"]), int(r["generated_tokens"]))
            for r in csv.DictReader(lines)
        )


@cache
def mint_runs() -> tuple[tuple[str, tuple[tuple[int, int], ...]], ...]:
    """Read the agent runs: task, and prompt and output tokens of every step."""
    with gzip.open(DATA / "mint_agent_trajectories_tokens.jsonl.gz", "rt") as lines:
        parsed = [json.loads(line) for line in lines]
    return tuple((run["t"], tuple((p, o) for p, o in run["s"])) for run in parsed if run["s"])


def mooncake(seed: int, count: int) -> list[Program]:
    """Chat with long contexts: consecutive requests, spread evenly within the trace's 3 s grid."""
    rng = _rng(seed)
    rows = mooncake_rows()
    first = rng.randrange(len(rows) - count)
    found = [_mooncake_program(row, rng) for row in rows[first : first + count]]
    return _normalised(found)


def _mooncake_program(row: MooncakeRow, rng: random.Random) -> Program:
    blocks, left = [], row.prompt
    for key in row.hashes:
        blocks.append(Block(f"m{key}", min(left, MOONCAKE_BLOCK)))
        left -= MOONCAKE_BLOCK
    step = Step(tuple(blocks), _output(row.output), shared=tuple(blocks[:1]))
    name = f"chat-{row.conversation}"
    at = row.at + rng.uniform(0.0, MOONCAKE_GRID)
    return Program(f"{name}-{rng.getrandbits(48):x}", at, (step,), "chat", conversation=name, turn=row.turn)


def azure(seed: int, count: int) -> list[Program]:
    """Chat with short contexts: consecutive requests; nothing is known about shared prefixes."""
    rng = _rng(seed)
    rows = azure_rows()
    first = rng.randrange(len(rows) - count)
    return _normalised(
        [
            Program(f"az-{index}", at, (Step((Block(f"az{index}", prompt),), _output(output)),), "chat")
            for index, (at, prompt, output) in enumerate(rows[first : first + count], first)
        ]
    )


def mint(seed: int, count: int) -> list[Program]:
    """Agents that solve tasks in 1 to 5 steps with tools between them; Poisson arrivals."""
    rng = _rng(seed)
    shared = _shared_tokens()
    at, found = 0.0, []
    for number, (task, steps) in enumerate(rng.sample(mint_runs(), count)):
        at += rng.expovariate(1.0)
        found.append(
            Program(f"agent-{number}", at, _agent_steps(number, task, steps, shared[task], rng), task)
        )
    return _normalised(found)


@cache
def _shared_tokens() -> Mapping[str, int]:
    least: dict[str, int] = {}
    for task, steps in mint_runs():
        least[task] = min(least.get(task, steps[0][0]), steps[0][0])
    return {task: int(SHARED_PART * tokens) for task, tokens in least.items()}


def _agent_steps(
    number: int, task: str, steps: Sequence[tuple[int, int]], shared: int, rng: random.Random
) -> tuple[Step, ...]:
    common = Block(f"task-{task}", shared)
    blocks = [common, Block(f"a{number}-0", max(1, steps[0][0] - shared))]
    found = [Step(tuple(blocks), _output(steps[0][1]), shared=(common,))]
    for index, (before, now) in enumerate(pairwise(steps), 1):
        blocks.append(Block(f"a{number}-{index}", max(1, now[0] - before[0])))
        tools = rng.expovariate(1.0 / TOOL_SECONDS)
        found.append(Step(tuple(blocks), _output(now[1]), tools, (common,)))
    return tuple(found)


def bursty(seed: int, count: int) -> list[Program]:
    """Code completion: prompts of 1,200 tokens in the median, answers of 24; bursts.

    Lognormal lengths, nothing of a file. An editor session asks 8 times on average, sharing 60 % of
    its context from one request to the next.
    """
    rng = _rng(seed)
    at, found = 0.0, []
    for number in range(count):
        # 80 arrivals at 4 times the mean rate, then 20 at a quarter of it.
        pace = 4.0 if number % 100 < 80 else 0.25
        at += rng.expovariate(pace)
        session = rng.randrange(max(1, count // 8))
        sizes = random.Random(session * 7919 + seed)  # noqa: S311 - a workload, not a secret
        prompt = int(min(8192, max(64, sizes.lognormvariate(7.1, 0.8))))
        kept = int(0.6 * prompt)
        blocks = (Block(f"e{session}", kept), Block(f"e{session}-{number}", prompt - kept))
        output = int(min(512, max(1, rng.lognormvariate(3.2, 0.9))))
        name = f"editor-{session}"
        found.append(
            Program(f"{name}-{number}", at, (Step(blocks, output),), "completion", conversation=name)
        )
    return _normalised(found)


def mixed(seed: int, count: int) -> list[Program]:
    """Agents beside short and long chats: 40 % MINT, 50 % Azure, 10 % Mooncake, interleaved."""
    rng = _rng(seed)
    parts = (mint(seed, int(0.4 * count)), azure(seed, int(0.5 * count)), mooncake(seed, int(0.1 * count)))
    total = sum(len(part) for part in parts)
    found = []
    for part in parts:
        stretch = total / len(part)
        shift = rng.uniform(0, 1)
        found += [replace(p, arrival=(p.arrival + shift) * stretch) for p in part]
    return _normalised(sorted(found, key=lambda p: p.arrival))


def two_tenants(seed: int, count: int) -> list[Program]:
    """Short chats of two tenants of equal weight; one asks three times as much as the other."""
    found = azure(seed, count)
    return [replace(p, tenant="left" if i % 4 == 0 else "right") for i, p in enumerate(found)]


def flooded(seed: int, count: int) -> list[Program]:
    """Short chats: one in 20 from a light tenant, the others from one that floods."""
    rng = _rng(seed)
    return [replace(p, tenant="light" if rng.random() < 0.05 else "flooder") for p in azure(seed, count)]


MAKERS: Final[Mapping[str, Callable[[int, int], list[Program]]]] = {
    "mooncake": mooncake,
    "azure": azure,
    "mint": mint,
    "mixed": mixed,
    "bursty": bursty,
    "two_tenants": two_tenants,
    "flooded": flooded,
}


@lru_cache(maxsize=4)
def make(name: str, seed: int, count: int) -> tuple[Program, ...]:
    """Build a workload with one arrival per unit of time in the mean."""
    return tuple(MAKERS[name](seed, count))


def at_rate(programs: Sequence[Program], rate: float) -> list[Program]:
    """Return the same programs at this many arrivals a second; tool times stay as they are."""
    return [replace(program, arrival=program.arrival / rate) for program in programs]


def _output(tokens: int) -> int:
    return max(1, min(tokens, MAX_NEW_TOKENS))


def _normalised(programs: list[Program]) -> list[Program]:
    programs = sorted(programs, key=lambda p: p.arrival)
    start = programs[0].arrival
    pace = (len(programs) - 1) / (programs[-1].arrival - start)
    return [replace(p, arrival=(p.arrival - start) * pace) for p in programs]


def _rng(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a workload, not a secret


def describe(programs: Sequence[Program]) -> dict[str, Any]:
    """Return counts and mean lengths."""
    steps = [step for program in programs for step in program.steps]
    return {
        "programs": len(programs),
        "calls": len(steps),
        "prompt_mean": round(sum(s.prompt for s in steps) / len(steps)),
        "output_mean": round(sum(s.output for s in steps) / len(steps)),
    }
