"""Conversations like those of `make demo`, to train on and, with words that training kept out, to judge by.

    python -m services.tgi_local.demo_model.crowd --eval /tmp/crowd.jsonl

The values are drawn as everywhere in training; the words that the demo itself asks about are kept out
(`words.kept_out`).
"""

# Shares of a mixture are read best where they are drawn; docstrings name what is made.
# ruff: noqa: PLR2004, D401

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.tgi_local.demo_model.asked import ASKED, SYSTEM, TOOLS
from services.tgi_local.demo_model.chains import chain_of
from services.tgi_local.demo_model.chat import Tool, system_content
from services.tgi_local.demo_model.episodes import Episode, Maker, Part, Step
from services.tgi_local.demo_model.generate import PARAMS, Conversation, eval_row
from services.tgi_local.demo_model.scenes import CHAIN, DESCRIPTIONS
from services.tgi_local.demo_model.words import CODAS, ONSETS, VOWELS, Values, kept_out

ARITHMETIC = {"arithmetic", "add", "subtract", "multiply", "divide", "percent"}

SHARES = {
    "arithmetic": 3,
    "remember": 3,
    "recall": 2,
    "recall_agent": 1,
    "write_file": 6,
    "read_file": 3,
    "search": 6,
    "convert": 3,
    "calc_remember": 2,
    "calc_write": 3,
    "recall_add": 3,
}
"""How often each is drawn: more where the model erred more."""
SYLLABLE = (ONSETS, VOWELS, CODAS)


def single(maker: Maker, kind: str, phrasing: str) -> Episode:
    """One request in the given phrasing, as it stands."""
    maker.asks, maker.questions = {kind: (phrasing,)}, {}
    part: Part = maker.arithmetic(kind) if kind in ARITHMETIC else getattr(maker, kind)()
    return Episode(part.task, part.ask, (Step((part.call,), (part.result,)),), part.answer)


def episode(maker: Maker) -> Episode:
    """Draw one exchange of a kind that the demo asks for."""
    return episode_of(maker, maker.rng.choices(list(SHARES), list(SHARES.values()))[0])


def episode_of(maker: Maker, kind: str) -> Episode:
    """Draw one exchange of a kind."""
    phrasing = maker.rng.choice(ASKED[kind])
    if kind in CHAIN:
        return chain_of(maker, kind, phrasing)
    return single(maker, kind, phrasing)


class CrowdValues(Values):
    """Draws values of the demo's shapes: made-up words, one or two of them, files that end in txt."""

    def word(self) -> str:
        """A made-up word."""
        return self.pseudo_word()

    def identifier(self) -> str:
        """A key."""
        return self.pseudo_word()

    def number(self) -> str:
        """A whole number."""
        return self.integer()

    def phrase(self) -> str:
        """One or two words."""
        return " ".join(self.pseudo_word() for _ in range(self.rng.choice((1, 2, 2))))

    def sentence(self) -> str:
        """The same; the demo's files are short."""
        return self.phrase()

    def path(self) -> str:
        """A file name."""
        return f"{self.pseudo_word()}.txt"


class CrowdMaker(Maker):
    """Makes exchanges as the demo writes them, without quotation marks."""

    def quoted(self, text: str) -> str:
        """Leave the text as it is."""
        return text


class KeptOutValues(CrowdValues):
    """Draws only made-up words that training kept out, as the demo does."""

    def pseudo_word(self) -> str:
        """A made-up word of two syllables."""
        while not kept_out(word := "".join(self.rng.choice(part) for part in SYLLABLE * 2)):
            pass
        return word


def _maker(rng: random.Random) -> Maker:
    """Two in three exchanges have the demo's shapes, the others those of all training."""
    digits = rng.choice(((1, 6), (3, 6)))
    if rng.random() < 0.67:
        return CrowdMaker(CrowdValues(rng, digits=digits), error_rate=0.03)
    return Maker(Values(rng, digits=digits, made_up=rng.choice((0.4, 0.8))), error_rate=0.03)


def conversation(rng: random.Random) -> Conversation:
    """Draw a conversation like one of the demo's; one in four has its tools in another order."""
    maker = _maker(rng)
    tools = [Tool(name, PARAMS[name], text) for name, text in TOOLS]
    if rng.random() < 0.25:
        rng.shuffle(tools)
        tools = [Tool(t.name, t.params, rng.choice(DESCRIPTIONS[t.name])) for t in tools]
    return Conversation(system_content(SYSTEM, tools), (episode(maker),))


def eval_rows(seed: int, per_kind: int) -> Iterator[dict[str, Any]]:
    """Rows of the set `demo`: the demo's tools, system turn and kinds, in words that training kept out."""
    rng = random.Random(seed)  # noqa: S311  # reproducible data, not secrets
    tools = [Tool(name, PARAMS[name], text) for name, text in TOOLS]
    for kind in ASKED:
        for _ in range(per_kind):
            maker = CrowdMaker(KeptOutValues(rng), error_rate=0.0)
            talk = Conversation(system_content(SYSTEM, tools), (episode_of(maker, kind),))
            yield eval_row(talk, "demo", kind)


def main() -> None:
    """Write an evaluation set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--eval", type=Path, required=True)
    parser.add_argument("--per-kind", type=int, default=40)
    parser.add_argument("--seed", type=int, default=7_000_004)
    args = parser.parse_args()
    rows = eval_rows(args.seed, args.per_kind)
    lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    args.eval.write_text("".join(lines))


if __name__ == "__main__":
    main()
