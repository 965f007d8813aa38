"""Conversations for training and evaluation.

    python -m services.tgi_local.demo_model.generate --show 5            print some training conversations
    python -m services.tgi_local.demo_model.generate --eval eval.jsonl   write the fixed evaluation set

Training draws conversations endlessly from a seed, so no data file is kept.
"""

# Shares of a mixture are read best where they are drawn; docstrings name what is made.
# ruff: noqa: PLR2004, D401

import argparse
import json
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.tgi_local.demo_model.chains import chain
from services.tgi_local.demo_model.chat import Param, Tool, render, system_content
from services.tgi_local.demo_model.episodes import Episode, Maker
from services.tgi_local.demo_model.scenes import DESCRIPTIONS, SYSTEM
from services.tgi_local.demo_model.words import Values

PARAMS: dict[str, tuple[Param, ...]] = {
    "calculator": (Param("expression"),),
    "clock": (),
    "convert_units": (Param("value", "number"), Param("from"), Param("to")),
    "search_files": (Param("query"),),
    "remember": (Param("key"), Param("value")),
    "recall": (Param("key"), Param("agent", optional=True)),
    "write_file": (Param("path"), Param("content")),
    "read_file": (Param("path"),),
}
SINGLES = {
    "arithmetic": 20,
    "remember": 14,
    "recall": 10,
    "recall_agent": 8,
    "write_file": 12,
    "read_file": 9,
    "search": 6,
    "convert": 8,
    "clock": 3,
}
EVAL_SETS = ("plain", "seen", "values", "phrasing", "order", "long")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A system turn (or none) and the exchanges under it."""

    system: str | None
    episodes: tuple[Episode, ...]

    def messages(self) -> list[dict[str, str]]:
        """All turns."""
        head = [] if self.system is None else [{"role": "system", "content": self.system}]
        return head + [turn for episode in self.episodes for turn in episode.messages()]


def order_is_held_out(names: list[str]) -> bool:
    """Whether a tool order is kept out of training: one order in five, by its checksum."""
    return len(names) > 2 and zlib.crc32(" ".join(names).encode()) % 5 == 0


def system_text(values: Values) -> str:
    """What an agent is told about itself: zero to four sentences, some of made-up words."""
    rng = values.rng
    sentences = []
    for _ in range(rng.choices((1, 2, 3, 4), (5, 4, 2, 1))[0]):
        if rng.random() < 0.15:
            sentences.append(values.sentence())
            continue
        sentences.append(
            rng.choice(SYSTEM).format(
                w=values.name(), g=values.agent(), v1=values.word(), v2=values.word(), d=values.date()
            )
        )
    return " ".join(sentences)


def tool_list(names: list[str], extra: list[Tool], rng: random.Random, *, held_out_order: bool) -> list[Tool]:
    """The named tools and the extra ones in a random order that is, or is not, held out."""
    for _ in range(200):  # few names may have no order of the wanted kind
        rng.shuffle(names)
        if order_is_held_out(names) is held_out_order:
            break
    tools = [Tool(name, PARAMS[name], rng.choice(DESCRIPTIONS[name])) for name in names]
    for tool in extra:
        tools.insert(rng.randint(0, len(tools)), tool)
    return tools


def episode_maker(maker: Maker, extra: list[Tool]) -> Callable[[], Episode]:
    """Draws one episode of any kind."""
    rng = maker.rng

    def draw() -> Episode:
        kind = rng.random()
        if kind < 0.52:
            task = rng.choices(list(SINGLES), list(SINGLES.values()))[0]
            return maker.single(getattr(maker, task)())
        if kind < 0.72:
            return chain(maker)
        if kind < 0.90:
            return maker.parallel()
        if kind < 0.93 and extra:
            return maker.custom(rng.choice(extra))
        return maker.talk()

    return draw


def conversation(rng: random.Random, *, size: int | None = None, lean: bool = False) -> Conversation:
    """A training conversation of `size` episodes; `lean` ones have short system turns."""
    values = Values(rng)
    maker = Maker(values)
    extra = [maker.unknown_tool() for _ in range(0 if lean else rng.choices((0, 1, 2), (7, 2, 1))[0])]
    draw = episode_maker(maker, extra)
    count = size or rng.choices((1, 2, 3, 4, 6), (4, 4, 3, 2, 1))[0]
    episodes = [draw() for _ in range(count)]
    if rng.random() < 0.05:
        talk = tuple(maker.talk() for _ in range(count))
        return Conversation(system_text(values) if rng.random() < 0.6 else None, talk)
    names = {name for e in episodes for name in e.tools if name in PARAMS}
    others = [name for name in PARAMS if name not in names]
    rng.shuffle(others)
    names |= set(others[: rng.randint(0, 1 if lean else len(others))])
    tools = tool_list(sorted(names), extra, rng, held_out_order=False)
    return Conversation(system_content(system_text(values), tools), tuple(episodes))


def conversations(seed: int, *, size: int | None = None, lean: bool = False) -> Iterator[Conversation]:
    """Training conversations without end."""
    rng = random.Random(seed)  # noqa: S311  # reproducible data, not secrets
    while True:
        yield conversation(rng, size=size, lean=lean)


def eval_conversation(rng: random.Random, kind: str, task: str) -> Conversation:
    """One evaluation conversation; its last episode is the one judged.

    `plain`: real words only, as demos use. `seen`: training's words, phrasings and tool orders, fresh draws.
    `values`: unseen words, names and units, numbers of five and six digits. `phrasing`: unseen phrasings.
    `order`: unseen tool orders. `long`: four to six earlier exchanges.
    """
    values = Values(
        rng, held_out=kind == "values", plain=kind == "plain", digits=(5, 6) if kind == "values" else (1, 6)
    )
    maker = Maker(values, held_out=kind == "phrasing")
    last = _judged(maker, task)
    plain = Maker(Values(rng))
    earlier = [
        plain.single(getattr(plain, rng.choice(list(SINGLES)))())
        for _ in range(rng.randint(4, 6) if kind == "long" else rng.choice((0, 0, 0, 1)))
    ]
    episodes = [*earlier, last]
    names = {name for e in episodes for name in e.tools}
    extra = [Tool(n, (Param("text"),), "Do something.") for n in sorted(names - set(PARAMS))]
    names &= set(PARAMS)
    others = [n for n in PARAMS if n not in names]
    rng.shuffle(others)
    names |= set(others[: rng.randint(min(3, len(others)), len(others))])
    tools = tool_list(sorted(names), extra, rng, held_out_order=kind == "order")
    return Conversation(system_content(system_text(values), tools), tuple(episodes))


def _judged(maker: Maker, task: str) -> Episode:
    """An episode of the named task."""
    if task == "chain":
        return chain(maker)
    if task == "parallel":
        return maker.parallel()
    if task == "talk":
        return maker.talk()
    return maker.single(getattr(maker, task)())


def eval_rows(seed: int, per_task: int) -> Iterator[dict[str, Any]]:
    """Rows of the evaluation set: the prompt's messages, the expected turns, the tools' results."""
    rng = random.Random(seed)  # noqa: S311  # reproducible data, not secrets
    for kind in EVAL_SETS:
        tasks = list(SINGLES) if kind == "phrasing" else [*SINGLES, "parallel", "chain", "chain", "talk"]
        for task in tasks:
            for _ in range(per_task // 2 if kind in {"order", "long"} else per_task):
                yield eval_row(eval_conversation(rng, kind, task), kind, task)


def eval_row(talk: Conversation, kind: str, task: str) -> dict[str, Any]:
    """Make a row of a conversation whose last exchange is judged."""
    judged = talk.episodes[-1]
    prompt = Conversation(talk.system, talk.episodes[:-1]).messages()
    return {
        "set": kind,
        "task": task,
        "kind": judged.task,
        "messages": [*prompt, {"role": "user", "content": judged.user}],
        "steps": [
            {
                "calls": [{"name": c.name, "arguments": dict(c.arguments)} for c in s.calls],
                "results": list(s.results),
            }
            for s in judged.steps
        ],
        "answer": judged.answer,
    }


def main() -> None:
    """Print samples or write the evaluation set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("--eval", type=Path)
    parser.add_argument("--per-task", type=int, default=6)
    parser.add_argument("--seed", type=int, default=7_000_001)
    args = parser.parse_args()
    source = conversations(args.seed)
    for _ in range(args.show):
        print(render(next(source).messages()))
        print("=" * 80)
    if args.eval:
        rows = list(eval_rows(args.seed, args.per_task))
        lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
        args.eval.write_text("".join(lines))
        print(f"{len(rows)} rows, {args.eval.stat().st_size} bytes")


if __name__ == "__main__":
    main()
