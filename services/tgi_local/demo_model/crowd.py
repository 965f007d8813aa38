"""Conversations like those of `make demo`, to train on.

The values are drawn as everywhere in training; the words that the demo itself asks about are kept out
(`words.kept_out`).
"""

# Shares of a mixture are read best where they are drawn; docstrings name what is made.
# ruff: noqa: PLR2004, D401

import random

from services.tgi_local.demo_model.asked import ASKED, SYSTEM, TOOLS
from services.tgi_local.demo_model.chains import chain_of
from services.tgi_local.demo_model.chat import Tool, system_content
from services.tgi_local.demo_model.episodes import Episode, Maker, Part, Step
from services.tgi_local.demo_model.generate import PARAMS, Conversation
from services.tgi_local.demo_model.scenes import CHAIN, DESCRIPTIONS
from services.tgi_local.demo_model.words import Values

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


def single(maker: Maker, kind: str, phrasing: str) -> Episode:
    """One request in the given phrasing, as it stands."""
    maker.asks, maker.questions = {kind: (phrasing,)}, {}
    part: Part = maker.arithmetic(kind) if kind in ARITHMETIC else getattr(maker, kind)()
    return Episode(part.task, part.ask, (Step((part.call,), (part.result,)),), part.answer)


def episode(maker: Maker) -> Episode:
    """Draw one exchange of a kind that the demo asks for."""
    kind = maker.rng.choices(list(SHARES), list(SHARES.values()))[0]
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
