"""Where names, words, numbers and paths of the training and evaluation data come from.

Real words are a small part; most values are made up, so that the model learns to copy what it reads
instead of recalling what it saw. `Values(rng, held_out=True)` draws from words and word shapes that
training never sees.
"""

# Shares of a mixture are read best where they are drawn; docstrings name what is made.
# ruff: noqa: PLR2004, D401, SIM905

import random
import zlib

TRAIN_WORDS = (
    "blue red green amber silver golden quiet rapid gentle bright heavy light narrow broad early late "
    "apple bread butter carrot cheese coffee honey lemon mango onion pepper rice salad sugar tomato water "
    "river mountain forest desert island harbour valley meadow bridge castle garden market station tower "
    "monday tuesday wednesday thursday friday spring summer autumn winter morning noon evening midnight "
    "budget invoice report summary agenda meeting project release deadline schedule ticket order price "
    "total amount balance salary profit revenue cost discount payment account customer supplier contract "
    "server client socket packet router kernel memory buffer cache thread process signal token cursor "
    "engine wheel motor battery sensor camera screen printer keyboard laptop tablet phone cable charger "
    "piano violin guitar trumpet drum melody rhythm chorus poem novel letter journal article chapter page "
    "doctor teacher farmer pilot sailor baker painter writer singer lawyer judge captain soldier nurse "
    "dog cat horse rabbit tiger eagle falcon dolphin turtle spider beetle salmon sparrow donkey camel "
    "circle square triangle matrix vector graph table column row index label colour size weight height "
    "buy sell call send check clean build test deploy review write draw paint carry open close start stop "
    "milk eggs flour soap paper pencil ruler hammer ladder bucket rope candle mirror pillow blanket lamp "
    "city country street house room door window floor roof wall kitchen office school hospital library "
    "alpha beta gamma delta omega north south east west left right upper lower inner outer first second "
    "with and for from the of in at on by before after near under over between without during until"
).split()

HELD_OUT_WORDS = (
    "crimson turquoise velvet marble copper walnut cinnamon pumpkin spinach oyster lobster cabbage ginger "
    "glacier volcano lagoon canyon prairie orchard lighthouse monastery cathedral windmill aqueduct "
    "saturday sunday january october december twilight equinox solstice fortnight decade "
    "telescope compass anchor lantern saddle chisel anvil bellows trowel sextant abacus hourglass "
    "penguin walrus giraffe leopard hedgehog pelican octopus squirrel buffalo mosquito lizard "
    "plumber jeweller botanist surgeon diplomat acrobat carpenter librarian geologist astronomer "
    "quartz granite obsidian sapphire topaz emerald basalt pumice cobalt mercury helium argon "
    "dividend mortgage warranty voucher passport itinerary manifesto blueprint heirloom souvenir "
    "harpsichord bassoon clarinet oboe xylophone sonnet ballad fugue overture symphony"
).split()

TRAIN_NAMES = (
    "Anna Ben Carla David Emma Felix Grace Hugo Ida Jonas Karin Leo Maria Nils Olga Paul Rosa Simon Tina "
    "Umar Vera Walter Yara Zoe Alice Bob Carol Dan Erik Fiona Georg Helen Ivan Julia Kofi Lena Marco Nina"
).split()
HELD_OUT_NAMES = "Ingrid Matteo Saoirse Dmitri Beatrix Ravi Noor Thaddeus Wilhelm Xenia Quentin Priya".split()

TRAIN_AGENTS = (
    "planner worker critic writer researcher coder tester scout helper manager analyst editor reviewer"
).split()
HELD_OUT_AGENTS = "archivist navigator treasurer sentinel concierge broker curator auditor".split()

EXTENSIONS = ("txt", "md", "csv", "json", "log", "py", "dat", "yaml")
HELD_OUT_EXTENSIONS = ("ini", "toml", "html", "cfg", "tsv")
FOLDERS = ("notes", "docs", "data", "reports", "tmp", "out", "src", "home", "work", "shared")
UNITS = (
    "m km cm mm mi ft in yd kg g mg lb oz l ml C F K h min s day week GB MB KB kWh J W Pa bar "
    "metres kilometres centimetres miles feet inches yards kilograms grams pounds ounces litres hours "
    "minutes seconds days weeks celsius fahrenheit kelvin gigabytes megabytes meters kilometers liters"
).split()
HELD_OUT_UNITS = "parsecs furlongs knots tonnes fathoms acres joules watts stone pints nmi cal psi".split()

ONSETS = "b c d f g h j k l m n p r s t v w z br cr dr fl gr kl pl sh st th tr sk".split()
VOWELS = "a e i o u ai ea io ou".split()
CODAS = ["", "", "", "n", "r", "l", "s", "t", "m", "k", "x", "nd", "rt"]
HELD_OUT_ONSETS = "bl ch cl fr gl pr qu sch sl sm sn sp spr str sw tw wh y".split()
HELD_OUT_VOWELS = "a e i o u ee oo au ie ei ue".split()
HELD_OUT_CODAS = ["", "", "b", "d", "f", "g", "p", "mp", "lt", "sk", "ng", "ck", "lf"]

KEPT_OUT = 10
"""One made-up word in so many is kept out of training: what the demo asks about."""


def kept_out(word: str) -> bool:
    """Whether training never draws a made-up word, told by its checksum."""
    return zlib.crc32(word.lower().encode()) % KEPT_OUT == 0


class Values:
    """Draws the values that make one example differ from another."""

    def __init__(
        self,
        rng: random.Random,
        *,
        held_out: bool = False,
        plain: bool = False,
        digits: tuple[int, int] = (1, 6),
        made_up: float = 0.4,
    ) -> None:
        self.rng = rng
        self.made_up = made_up
        self.plain = plain
        self.held_out = held_out
        self.digits = digits
        self._odd = held_out and not plain
        self._words = HELD_OUT_WORDS if held_out else TRAIN_WORDS

    def pseudo_word(self) -> str:
        """A pronounceable word of one to four made-up syllables, none that is kept out."""
        while kept_out(word := self._syllables()):
            pass
        return word

    def _syllables(self) -> str:
        rng = self.rng
        if self.plain:
            return rng.choice(self._words)
        parts = (
            (HELD_OUT_ONSETS, HELD_OUT_VOWELS, HELD_OUT_CODAS) if self.held_out else (ONSETS, VOWELS, CODAS)
        )
        syllables = rng.choices((1, 2, 3, 4), (2, 5, 4, 1))[0]
        return "".join(rng.choice(part) for _ in range(syllables) for part in parts)

    def noise(self) -> str:
        """A random string of letters and digits."""
        rng = self.rng
        if self.held_out or rng.random() < 0.5:
            alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
        else:
            alphabet = "abcdefghijklmnopqrstuvwxyz"
        return "".join(rng.choice(alphabet) for _ in range(rng.randint(2, 8)))

    def word(self) -> str:
        """A real word, a pseudo word or noise, sometimes capitalised."""
        rng = self.rng
        if self.plain:
            return rng.choice(self._words)
        kind = rng.random()
        if kind < 0.85 - self.made_up:
            word = rng.choice(self._words)
        elif kind < 0.85:
            word = self.pseudo_word()
        else:
            word = self.noise()
        if rng.random() < 0.12:
            word = word.upper() if rng.random() < 0.25 else word.capitalize()
        return word

    def identifier(self) -> str:
        """A key such as `total`, `total_cost`, `q3-plan` or `favourite colour`."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.6:
            return self.word()
        if kind < 0.8:
            return f"{self.word()}_{self.word()}"
        if kind < 0.86:
            return f"{self.word()}-{self.word()}"
        if kind < 0.92:
            return f"{self.word()}{rng.randint(1, 99)}"
        return f"{self.word()} {self.word()}"

    def integer(self) -> str:
        """A whole number, each length from one to six digits alike often."""
        rng = self.rng
        length = rng.randint(*self.digits)
        return str(rng.randint(10 ** (length - 1) if length > 1 else 0, 10**length - 1))

    def number(self) -> str:
        """A whole number or, one time in eight, a decimal fraction."""
        rng = self.rng
        if rng.random() < 0.875:
            return self.integer()
        whole = rng.randint(0, 999)
        fraction = rng.choice(
            ("5", "25", "75", str(rng.randint(1, 9)), str(rng.randint(1, 9) * 10 + rng.randint(1, 9)))
        )
        return f"{whole}.{fraction}"

    def phrase(self) -> str:
        """A value worth noting: a word, a number, a few words, a list, a date."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.35:
            return self.word()
        if kind < 0.5:
            return self.number()
        if kind < 0.85:
            return " ".join(self.word() for _ in range(rng.randint(2, 5)))
        if kind < 0.92:
            return ", ".join(self.word() for _ in range(rng.randint(2, 4)))
        if kind < 0.96:
            return self.date()
        return f"{self.number()} {self.word()}"

    def sentence(self) -> str:
        """Six to twenty words with commas and stops, as a file may hold."""
        rng = self.rng
        words = [self.word() for _ in range(rng.randint(6, 20))]
        for i in range(len(words) - 1):
            if rng.random() < 0.1:
                words[i] += rng.choice(",,.;:")
        text = " ".join(words)
        return text.capitalize() + "." if rng.random() < 0.6 else text

    def date(self) -> str:
        """A day as YYYY-MM-DD."""
        rng = self.rng
        return f"{rng.randint(1990, 2039)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"

    def moment(self) -> str:
        """A point in time in one of the ways clocks write it."""
        rng = self.rng
        clock = f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
        return rng.choice(
            (
                f"{self.date()}T{clock}:{rng.randint(0, 59):02d}Z",
                f"{self.date()}T{clock}:{rng.randint(0, 59):02d}+00:00",
                f"{self.date()} {clock}",
                f"{self.date()} {clock}:{rng.randint(0, 59):02d} UTC",
                clock,
            )
        )

    def path(self) -> str:
        """A file name, in a folder one time in three."""
        rng = self.rng
        stem = self.word() if rng.random() < 0.75 else self.identifier().replace(" ", "_")
        name = f"{stem}.{rng.choice(HELD_OUT_EXTENSIONS if self._odd else EXTENSIONS)}"
        if rng.random() < 0.67:
            return name
        folder = self.word() if self._odd or rng.random() < 0.5 else rng.choice(FOLDERS)
        return f"{'/' if rng.random() < 0.15 else ''}{folder}/{name}"

    def name(self) -> str:
        """A person's name, real or made up."""
        if self.rng.random() < 0.5:
            return self.rng.choice(HELD_OUT_NAMES if self._odd else TRAIN_NAMES)
        return self.pseudo_word().capitalize()

    def agent(self) -> str:
        """An agent's name: a role, a made-up word, sometimes numbered."""
        rng = self.rng
        roles = HELD_OUT_AGENTS if self._odd else TRAIN_AGENTS
        base = rng.choice(roles) if rng.random() < 0.5 else self.pseudo_word()
        return f"{base}{rng.choice(('-', '_', ''))}{rng.randint(1, 99)}" if rng.random() < 0.25 else base

    def unit(self) -> str:
        """A unit, in words or as a symbol."""
        if self._odd:
            return self.rng.choice(HELD_OUT_UNITS)
        return self.rng.choice(UNITS) if self.rng.random() < 0.85 else self.pseudo_word()
