"""Measures every phrasing by itself, with the real words and short values that demos use.

    python -m services.tgi_local.demo_model.phrasings --out /tmp/phrasings.md

Half of the draws use words that training never saw. No frames such as "could you", no errors.
"""

import argparse
import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from services.tgi_local.demo_model.chains import chain_of
from services.tgi_local.demo_model.chat import Tool, system_content
from services.tgi_local.demo_model.crowd import single
from services.tgi_local.demo_model.episodes import Episode, Maker
from services.tgi_local.demo_model.evaluate import MODEL, Engine, Row, judge
from services.tgi_local.demo_model.generate import PARAMS
from services.tgi_local.demo_model.phrases import ASK, QUESTION
from services.tgi_local.demo_model.scenes import CHAIN, DESCRIPTIONS
from services.tgi_local.demo_model.words import Values

DRAWS = 8
RELIABLE = 0.85
"""Share of draws that must be right for a phrasing to be listed as reliable."""


def request(maker: Maker, kind: str, phrasing: str) -> Episode:
    """One request in the given phrasing; an imperative gets its capital and full stop."""
    episode = single(maker, kind, phrasing)
    if phrasing not in ASK.get(kind, ()):
        return episode
    return replace(episode, user=episode.user[0].upper() + episode.user[1:] + ".")


def episodes(maker: Maker) -> Iterator[tuple[str, str, Episode]]:
    """One episode for every phrasing, with its kind and the phrasing."""
    for bank in (ASK, QUESTION):
        for kind, phrasings in bank.items():
            if kind != "custom":
                yield from ((kind, phrasing, request(maker, kind, phrasing)) for phrasing in phrasings)
    for kind, phrasings in CHAIN.items():
        yield from ((kind, phrasing, chain_of(maker, kind, phrasing)) for phrasing in phrasings)


def row(rng: random.Random, episode: Episode) -> Row:
    """Make an evaluation row of an episode, all tools offered."""
    tools = [Tool(name, params, DESCRIPTIONS[name][0]) for name, params in PARAMS.items()]
    rng.shuffle(tools)
    system = system_content("You are a helpful agent.", tools)
    steps = [
        {
            "calls": [{"name": c.name, "arguments": dict(c.arguments)} for c in s.calls],
            "results": list(s.results),
        }
        for s in episode.steps
    ]
    messages = [{"role": "system", "content": system}, {"role": "user", "content": episode.user}]
    return {"messages": messages, "steps": steps, "answer": episode.answer}


def main() -> None:
    """Write the phrasings by kind, each with how many of its draws were right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7_000_003)
    args = parser.parse_args()
    rng = random.Random(args.seed)  # noqa: S311  # reproducible data, not secrets
    cases: list[tuple[str, str, Row]] = []
    for draw in range(DRAWS):
        maker = Maker(Values(rng, plain=True, held_out=draw % 2 == 1, digits=(1, 5)), error_rate=0.0)
        cases += [(kind, phrasing, row(rng, episode)) for kind, phrasing, episode in episodes(maker)]
    engine = Engine(args.model)
    results = asyncio.run(judge(engine, [case for _, _, case in cases]))
    engine.close()
    right: dict[tuple[str, str], int] = {}
    for (kind, phrasing, _), (_, answer, _) in zip(cases, results, strict=True):
        right[kind, phrasing] = right.get((kind, phrasing), 0) + answer
    lines = ["| kind | phrasing | right |", "| --- | --- | --- |"]
    lines += [f"| {kind} | `{phrasing}` | {count}/{DRAWS} |" for (kind, phrasing), count in right.items()]
    args.out.write_text("\n".join(lines) + "\n")
    good = sum(count >= RELIABLE * DRAWS for count in right.values())
    print(f"{good} of {len(right)} phrasings are right in at least {RELIABLE:.0%} of {DRAWS} draws;", end=" ")
    print(f"{sum(right.values()) / len(cases):.1%} of all {len(cases)} draws")


if __name__ == "__main__":
    main()
