"""What the twelve agents do, and the truth that their answers are held against. Pure."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.tgi_local.demo_model.asked import ASKED, TOOLS
from services.tgi_local.demo_model.words import kept_out

OFFERED: Final = tuple(name for name, _ in TOOLS)
"""Tools that every agent has, in the order in which the demo model knows them."""
DRAWS: Final = 3
"""Seeds that a demo draws unless it is given some."""
SEEDS: Final = 1_000_000
"""Drawn seeds lie below this."""
SECRET: Final = "secret"  # noqa: S105 - the name of a note
"""Key of the note that mallory may not read."""
KEEPER: Final = "cleo"
"""Whose note that is."""
_ONSETS = ("b", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "t", "v", "z", "br", "kl", "st", "tr")
_VOWELS = ("a", "e", "i", "o", "u", "ai", "io")
_CODAS = ("", "n", "r", "l", "t", "m", "k", "x")
_CONVERSIONS = (("km", "m", 1000), ("kg", "g", 1000), ("h", "min", 60), ("min", "s", 60))


@dataclass(frozen=True, slots=True)
class Task:
    """One thing an agent is asked to do."""

    prompt: str
    sentence: str
    """The demo model's whole right answer, as its model card says; of a search its beginning."""
    says: tuple[str, ...]
    """What the answer of any model must say: numbers, words, phrases, each whole."""
    found: str = ""
    """Path of the file that a search must find; the answer names exactly the files that the search told."""
    refused: bool = False
    """Whether the kernel must refuse what the task takes; else it must refuse nothing."""
    forbidden: str = ""
    """Must not be part of the answer."""
    note: tuple[str, str] | None = None
    """Key and content of a note that must be in the agent's memory afterwards."""
    file: tuple[str, str] | None = None
    """Path and content of a file that must be among the agent's files afterwards."""


@dataclass(frozen=True, slots=True)
class Cast:
    """One agent of the demo."""

    name: str
    role: str
    tasks: Sequence[Task]
    files: Mapping[str, str] = field(default_factory=dict)
    """Files it finds when it starts: path and content."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Notes it finds when it starts."""


def draw_seeds() -> list[int]:
    """Draw the seeds of a demo. Nobody chooses them."""
    return random.SystemRandom().sample(range(SEEDS), DRAWS)


def deal(seeds: Sequence[int]) -> list[Cast]:
    """Deal the tasks of all twelve agents, a hand for each seed; the same seeds give the same tasks.

    Raises ValueError without a seed.
    """
    hands = [_hand(random.Random(seed)) for seed in seeds]  # noqa: S311 - reproducible tasks, no secret
    if not hands:
        raise ValueError("no seed, no tasks")
    return [_together(list(parts)) for parts in zip(*hands, strict=True)]


def _together(parts: Sequence[Cast]) -> Cast:
    """Join what several hands hold for one agent. Files, and searches in them, are those of the first hand.

    A search tells files that are alike, too, and long lists are beyond the demo model. Of notes with the same
    key the first counts.
    """
    first = parts[0]
    files = first.files
    notes = {key: text for part in reversed(parts) for key, text in part.notes.items()}
    tasks = [task for part in parts for task in part.tasks if part is first or not task.found]
    return Cast(first.name, first.role, tasks, files, notes)


def _hand(rng: random.Random) -> list[Cast]:
    secret = _word(rng)
    return [
        Cast("ada", "arithmetic", _times(3, _sum, rng)),
        Cast("ben", "arithmetic", _times(3, _product, rng)),
        Cast(KEEPER, "notes", _notes(rng), notes={SECRET: secret}),
        Cast("dev", "notes", _notes(rng)),
        Cast("eli", "files", _files(rng)),
        Cast("fay", "files", _files(rng)),
        Cast("gus", "units", _times(3, _conversion, rng)),
        _searcher(rng),
        Cast("ida", "several steps", [_product_to_note(rng)]),
        Cast("jo", "several steps", [_product_to_file(rng)]),
        _adder(rng),
        Cast("mallory", "curious", [_forbidden(rng, secret), _sum(rng)]),
    ]


def _times(count: int, make: Callable[[random.Random], Task], rng: random.Random) -> list[Task]:
    return [make(rng) for _ in range(count)]


def _word(rng: random.Random) -> str:
    return _words(rng, 1)[0]


def _words(rng: random.Random, count: int) -> list[str]:
    """Make words up that training kept out: an answer shows what was read, not what was learnt.

    No two of their syllables begin alike: where they do, the demo model takes one for the other.
    """
    words: list[str] = []
    begun: set[str] = set()
    while len(words) < count:
        syllables = [tuple(rng.choice(part) for part in (_ONSETS, _VOWELS, _CODAS)) for _ in range(2)]
        beginnings = {onset + vowel[0] for onset, vowel, _ in syllables}
        word = "".join("".join(syllable) for syllable in syllables)
        if kept_out(word) and len(beginnings) == len(syllables) and not beginnings & begun:
            words.append(word)
            begun |= beginnings
    return words


def _ask(rng: random.Random, kind: str, **values: str) -> str:
    return rng.choice(ASKED[kind]).format(**values)


def _sum(rng: random.Random) -> Task:
    left, right = rng.randint(10, 99_999), rng.randint(10, 99_999)
    return _calculation(rng, f"{left} + {right}", left + right)


def _product(rng: random.Random) -> Task:
    left, right = rng.randint(11, 999), rng.randint(11, 999)
    return _calculation(rng, f"{left} * {right}", left * right)


def _calculation(rng: random.Random, expression: str, value: int) -> Task:
    return Task(_ask(rng, "arithmetic", e=expression), f"The answer is {value}.", (str(value),))


def _notes(rng: random.Random) -> list[Task]:
    key, value = _words(rng, 2)
    asked = _ask(rng, "recall", k=key)
    return [
        Task(_ask(rng, "remember", k=key, v=value), f"Done, I noted {key}.", (key,), note=(key, value)),
        Task(asked, f"The note {key} says: {value}", (value,)),
    ]


def _files(rng: random.Random) -> list[Task]:
    name, *words = _words(rng, 3)
    path, text = f"{name}.txt", " ".join(words)
    asked = _ask(rng, "read_file", p=path)
    return [
        Task(_ask(rng, "write_file", p=path, v=text), f"Done, I wrote {path}.", (path,), file=(path, text)),
        Task(asked, f"The file {path} says: {text}", (text,)),
    ]


def _conversion(rng: random.Random) -> Task:
    large, small, factor = rng.choice(_CONVERSIONS)
    value = 10 * rng.randint(0, 89) + rng.randint(1, 9)  # rows of zeros are beyond the demo model
    asked, told = _ask(rng, "convert", n=str(value), x=large, y=small), str(value * factor)
    return Task(asked, f"That is {told} {small}.", (told,))


def _searcher(rng: random.Random) -> Cast:
    """Two files to look for one of them in, and a note to look up."""
    name, other, subject, key, value, *fill = _words(rng, 9)
    path = f"{name}.txt"
    files = {path: f"{fill[0]} {subject} {fill[1]}", f"{other}.txt": f"{fill[2]} {fill[3]}"}
    tasks = [
        Task(_ask(rng, "search", q=subject), "Found: ", (path,), found=path),
        Task(_ask(rng, "recall", k=key), f"The note {key} says: {value}", (value,)),
    ]
    return Cast("hal", "librarian", tasks, files=files, notes={key: value})


def _product_to_note(rng: random.Random) -> Task:
    left, right, key = rng.randint(11, 99), rng.randint(11, 99), _word(rng)
    product = str(left * right)
    return Task(
        _ask(rng, "calc_remember", e=f"{left}*{right}", k=key),
        f"The answer is {product}, noted as {key}.",
        (product, key),
        note=(key, product),
    )


def _product_to_file(rng: random.Random) -> Task:
    left, right, path = rng.randint(11, 99), rng.randint(11, 99), f"{_word(rng)}.txt"
    product = str(left * right)
    return Task(
        _ask(rng, "calc_write", e=f"{left}*{right}", p=path),
        f"The answer is {product}, written to {path}.",
        (product, path),
        file=(path, product),
    )


def _adder(rng: random.Random) -> Cast:
    first, second = _words(rng, 2)
    left, right = rng.randint(100, 9_999), rng.randint(100, 9_999)
    asked = _ask(rng, "recall_add", k=first, j=second)
    task = Task(asked, f"The answer is {left + right}.", (str(left + right),))
    return Cast("kim", "several steps", [task], notes={first: str(left), second: str(right)})


def _forbidden(rng: random.Random, secret: str) -> Task:
    return Task(
        _ask(rng, "recall_agent", k=SECRET, g=KEEPER),
        "I could not do that: permission denied.",
        ("permission denied",),
        refused=True,
        forbidden=secret,
    )
