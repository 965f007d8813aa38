"""One exchange of a conversation: what the user asks, which calls answer it, what is said in the end."""

# Shares of a mixture are read best where they are drawn; docstrings name what is made.
# ruff: noqa: PLR2004, D401, PLR0917

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.tgi_local.demo_model.chat import Call, Param, Tool
from services.tgi_local.demo_model.phrases import (
    ASK,
    HELD_OUT,
    QUESTION,
    QUESTION_OPENERS,
    TASK_CLOSERS,
    TASK_OPENERS,
)
from services.tgi_local.demo_model.scenes import TALK
from services.tgi_local.demo_model.words import Values

ERRORS = (
    "permission denied",
    "permission denied",
    "permission denied",
    "not found",
    "file not found",
    "no such note",
    "invalid argument",
    "division by zero",
    "quota exceeded",
    "timed out",
    "unavailable",
    "unknown unit",
    "deadline exceeded",
)
STORED = ("ok", "ok", "ok", "done", "saved", "stored", "written")


@dataclass(frozen=True, slots=True)
class Step:
    """Calls made in one assistant turn, and the result of each."""

    calls: tuple[Call, ...]
    results: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Episode:
    """A user turn with everything up to the final answer."""

    task: str
    user: str
    steps: tuple[Step, ...]
    answer: str

    @property
    def tools(self) -> set[str]:
        """Names of the tools it needs."""
        return {call.name for step in self.steps for call in step.calls}

    def messages(self) -> list[dict[str, str]]:
        """The exchange as chat messages."""
        turns = [{"role": "user", "content": self.user}]
        for step in self.steps:
            turns.append({"role": "assistant", "content": "\n".join(map(str, step.calls))})
            turns += [{"role": "tool", "content": result} for result in step.results]
        return [*turns, {"role": "assistant", "content": self.answer}]


@dataclass(frozen=True, slots=True)
class Part:
    """One request that a single call answers: its imperative, question, call, result and answer."""

    task: str
    ask: str
    questions: tuple[str, ...]
    call: Call
    result: str
    answer: str


def failed(result: str) -> str | None:
    """The answer to a result that reports an error, else None."""
    if not result.startswith("error: "):
        return None
    return f"I could not do that: {result.removeprefix('error: ').rstrip('.')}."


def number_text(value: float) -> str:
    """A number as the calculator writes it: whole numbers without a fraction, ten significant digits."""
    return str(int(value)) if value == int(value) else f"{value:.10g}"


def literal(text: str) -> int | float:
    """A number as the JSON value that prints the same."""
    return float(text) if "." in text else int(text)


@dataclass
class Maker:
    """Makes episodes from drawn values; `held_out` takes phrasings that training never sees."""

    values: Values
    held_out: bool = False
    error_rate: float = 0.08
    asks: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: ASK)
    questions: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: QUESTION)
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = self.values.rng

    # Values as they stand in a sentence.

    def quoted(self, text: str) -> str:
        """The text as users write it: mostly bare, sometimes in one of three quotation marks."""
        kind = self.rng.random()
        if kind < 0.76:
            return text
        mark = '"' if kind < 0.88 else "'" if kind < 0.96 else "`"
        return f"{mark}{text}{mark}"

    def key(self) -> tuple[str, str]:
        """A key and how it stands in the sentence."""
        key = self.values.identifier()
        return key, self.quoted(key)

    def phrase(self) -> tuple[str, str]:
        """A value and how it stands in the sentence."""
        value = self.values.phrase()
        return value, self.quoted(value)

    def result(self, normal: str) -> str:
        """The normal result, or now and then an error."""
        if self.rng.random() >= self.error_rate:
            return normal
        error = self.rng.choice(ERRORS) if self.rng.random() < 0.7 else self.values.phrase()
        return f"error: {error}"

    def expression(self) -> tuple[str, str, float | None]:
        """An expression, how it stands in the sentence, and its value (None when it divides by zero)."""
        rng, v = self.rng, self.values
        count = rng.choices((2, 3, 4), (7, 3, 0.5))[0]
        terms = [v.number() for _ in range(count)]
        signs = [rng.choice("+-*/" if rng.random() < 0.5 else "+-*") for _ in range(count - 1)]
        bracket = rng.randrange(count - 1) if count > 2 and rng.random() < 0.35 else None
        if bracket is not None:
            terms[bracket] = "(" + terms[bracket]
            terms[bracket + 1] += ")"
        exact = "".join(t + s for t, s in zip(terms, [*signs, ""], strict=True))
        spoken = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
        style = rng.random()
        if style < 0.45:
            shown = [f" {s} " for s in signs]
        elif style < 0.7:
            shown = signs
        else:
            shown = [f" {spoken[s]} " for s in signs]
        said = "".join(t + s for t, s in zip(terms, [*shown, ""], strict=True))
        return exact, said, evaluate(exact)

    # Single requests.

    def arithmetic(self, kind: str | None = None) -> Part:
        """An expression, or two numbers in words."""
        rng, v = self.rng, self.values
        if kind is None and (self.held_out or rng.random() < 0.6):
            kind = "arithmetic"
        if kind == "arithmetic":
            exact, said, value = self.expression()
            fill = {"e": said}
        else:
            a, b = v.number(), v.number()
            kind = kind or rng.choice(("add", "subtract", "multiply", "divide", "percent"))
            exact = {
                "add": f"{a}+{b}",
                "subtract": f"{a}-{b}",
                "multiply": f"{a}*{b}",
                "divide": f"{a}/{b}",
            }.get(kind, f"{a}*{b}/100")
            fill, value = {"a": a, "b": b}, evaluate(exact)
        result = "error: division by zero" if value is None else self.result(number_text(value))
        call = Call("calculator", {"expression": exact})
        return self.part("arithmetic", kind, fill, call, result, f"The answer is {result}.")

    def remember(self) -> Part:
        """Store a note."""
        (key, k), (value, v) = self.key(), self.phrase()
        result = self.result(self.rng.choice(STORED))
        call = Call("remember", {"key": key, "value": value})
        return self.part("remember", "remember", {"k": k, "v": v}, call, result, f"Done, I noted {key}.")

    def recall(self) -> Part:
        """Read an own note."""
        key, k = self.key()
        result = self.result(self.values.phrase())
        return self.part(
            "recall",
            "recall",
            {"k": k},
            Call("recall", {"key": key}),
            result,
            f"The note {key} says: {result}",
        )

    def recall_agent(self) -> Part:
        """Read a note of another agent, which is refused more often than not."""
        key, k = self.key()
        agent = self.values.agent()
        result = "error: permission denied" if self.rng.random() < 0.6 else self.result(self.values.phrase())
        call = Call("recall", {"key": key, "agent": agent})
        answer = f"The note {key} of {agent} says: {result}"
        return self.part("recall_agent", "recall_agent", {"k": k, "g": agent}, call, result, answer)

    def write_file(self) -> Part:
        """Write a file."""
        path = self.values.path()
        content = self.values.sentence() if self.rng.random() < 0.12 else self.values.phrase()
        result = self.result(
            f"wrote {len(content)} bytes" if self.rng.random() < 0.3 else self.rng.choice(STORED)
        )
        call = Call("write_file", {"path": path, "content": content})
        said = f'"{content}"' if content.endswith(".") else self.quoted(content)
        return self.part(
            "write_file",
            "write_file",
            {"p": self.quoted(path), "v": said},
            call,
            result,
            f"Done, I wrote {path}.",
        )

    def read_file(self) -> Part:
        """Read a file."""
        path = self.values.path()
        content = self.values.sentence() if self.rng.random() < 0.3 else self.values.phrase()
        result = self.result(content)
        call = Call("read_file", {"path": path})
        return self.part(
            "read_file",
            "read_file",
            {"p": self.quoted(path)},
            call,
            result,
            f"The file {path} says: {result}",
        )

    def search(self) -> Part:
        """Search in files; the result is a list of paths, or nothing found."""
        rng, v = self.rng, self.values
        query = " ".join(v.word() for _ in range(rng.choices((1, 2, 3), (6, 3, 1))[0]))
        files = rng.choices((1, 2, 3, 4, 5, 6, 8), (6, 5, 4, 3, 3, 3, 1))[0]
        found = rng.choice((", ", "\n", "\n")).join(v.path() for _ in range(files))
        result = self.result(
            found if rng.random() < 0.85 else rng.choice(("no matches", "nothing found", "none"))
        )
        answer = f"Found: {result.replace(chr(10), ', ')}"
        return self.part(
            "search",
            "search",
            {"q": self.quoted(query)},
            Call("search_files", {"query": query}),
            result,
            answer,
        )

    def convert(self) -> Part:
        """Convert units, written as the user wrote them."""
        v = self.values
        n, x, y = v.number(), v.unit(), v.unit()
        result = self.result(f"{v.number()} {y}")
        call = Call("convert_units", {"value": literal(n), "from": x, "to": y})
        return self.part("convert", "convert", {"n": n, "x": x, "y": y}, call, result, f"That is {result}.")

    def clock(self) -> Part:
        """Tell the time."""
        result = self.result(self.values.moment())
        return self.part("clock", "clock", {}, Call("clock", {}), result, f"It is {result}.")

    def part(self, task: str, kind: str, fill: dict[str, str], call: Call, result: str, answer: str) -> Part:
        """One request with a phrasing of its kind filled in."""
        asks = self.asks.get(kind, ())
        ask = self.rng.choice(asks).format(**fill) if asks else ""
        questions = HELD_OUT[task] if self.held_out else self.questions.get(kind, ())
        return Part(
            task, ask, tuple(q.format(**fill) for q in questions), call, result, failed(result) or answer
        )

    # Requests as users put them.

    def wrap(self, ask: str) -> str:
        """An imperative with a polite or bossy frame, capital and full stop."""
        rng = self.rng
        opener, closer = rng.choice(TASK_OPENERS), rng.choice(TASK_CLOSERS)
        if closer == " and tell me" and not ask.startswith(("work out", "compute", "calculate", "look up")):
            closer = ""
        text = opener + ask + closer
        text = text[0].upper() + text[1:] if rng.random() < 0.88 else text
        if opener in ("could you ", "can you ", "would you "):
            return text + "?"
        return text + rng.choices((".", "", "!"), (8, 2, 0.3))[0]

    def single(self, part: Part) -> Episode:
        """An episode of one request."""
        if part.questions and (self.held_out or not part.ask or self.rng.random() < 0.4):
            user = self.rng.choice(part.questions)
            if not self.held_out:
                user = self.rng.choice(QUESTION_OPENERS) + user
            if self.rng.random() < 0.08 and not self.held_out:
                user = user[0].lower() + user[1:]
        else:
            user = self.wrap(part.ask)
        return Episode(part.task, user, (Step((part.call,), (part.result,)),), part.answer)

    def parallel(self) -> Episode:
        """Two or three independent requests, answered by as many calls in one turn."""
        rng = self.rng
        parts: list[Part] = []
        makers: tuple[Callable[[], Part], ...] = (
            self.arithmetic,
            self.arithmetic,
            self.remember,
            self.recall,
            self.write_file,
            self.read_file,
            self.convert,
            self.clock,
            self.search,
            self.recall_agent,
        )
        same = rng.choice(makers) if rng.random() < 0.4 else None
        wanted = rng.choices((2, 3), (8, 2))[0]
        while len(parts) < wanted:
            part = (same or rng.choice(makers))()
            if part.task == "clock" and any(p.task == "clock" for p in parts):
                same = None
            elif part.ask:
                parts.append(part)
        joints = rng.choice(
            (
                (", ", " and "),
                (", then ", " and then "),
                (", ", ", then "),
                ("; ", "; "),
                (" and ", " and also "),
                (". ", ". "),
            )
        )
        user = parts[0].ask
        for i, part in enumerate(parts[1:], start=2):
            joint = joints[1] if i == len(parts) else joints[0]
            user += joint + (part.ask[0].upper() + part.ask[1:] if joint == ". " else part.ask)
        step = Step(tuple(p.call for p in parts), tuple(p.result for p in parts))
        return Episode("parallel", self.wrap(user), (step,), "\n".join(p.answer for p in parts))

    def talk(self) -> Episode:
        """Small talk without tools."""
        rng, v = self.rng, self.values
        kind = rng.choices(list(TALK), (2, 3, 6, 1, 1, 4))[0]
        ask, answer = rng.choice(TALK[kind])
        fill = {"w": v.name(), "v": v.phrase(), "v1": v.word(), "v2": v.word()}
        end = (
            ""
            if kind == "echo"
            else "?"
            if ask.startswith(("Wh", "How", "Is "))
            else rng.choice((".", "!", ""))
        )
        return Episode(
            "echo" if kind == "echo" else "talk", ask.format(**fill) + end, (), answer.format(**fill)
        )

    def custom(self, tool: Tool) -> Episode:
        """A call of a tool that only the tool list describes."""
        rng, v = self.rng, self.values
        param = tool.params[0]
        value = v.number() if param.type == "number" else v.phrase()
        result = self.result(v.phrase())
        call = Call(tool.name, {param.name: literal(value) if param.type == "number" else value})
        ask = rng.choice(ASK["custom"]).format(
            t=tool.name, c=param.name, v=value if param.type == "number" else self.quoted(value)
        )
        answer = failed(result) or f"The tool {tool.name} says: {result}"
        return Episode("custom", self.wrap(ask), (Step((call,), (result,)),), answer)

    def unknown_tool(self) -> Tool:
        """A made-up tool for the tool list."""
        rng, v = self.rng, self.values
        name = (
            v.pseudo_word()
            if rng.random() < 0.6
            else f"{v.pseudo_word()}_{v.rng.choice(('file', 'note', 'text', 'list'))}"
        )
        params = tuple(
            Param(v.pseudo_word(), rng.choice(("string", "string", "number")), i > 0)
            for i in range(rng.randint(1, 2))
        )
        return Tool(name, params, f"{v.word().capitalize()} {v.word()} the {v.word()}.")


def evaluate(expression: str) -> float | None:
    """Value of an expression of numbers, + - * / and brackets; None when it divides by zero."""
    try:
        return float(eval(expression, {"__builtins__": {}}))  # noqa: S307  # our own digits and signs only
    except ZeroDivisionError:
        return None
