"""Episodes of several assistant turns, where each call needs the result of the one before."""

# Shares of a mixture are read best where they are drawn; docstrings name what is made.
# ruff: noqa: PLR2004, D401

from collections.abc import Iterator
from dataclasses import replace

from services.tgi_local.demo_model.chat import Call
from services.tgi_local.demo_model.episodes import Episode, Maker, Step, evaluate, failed, number_text
from services.tgi_local.demo_model.scenes import CHAIN

Plan = Iterator[tuple[list[Call], list[str]]]


class Chain:
    """Builds one chain: takes calls with their results and stops at the first error."""

    def __init__(self, maker: Maker) -> None:
        self.maker = maker
        self.steps: list[Step] = []
        self.error: str | None = None

    def call(self, name: str, result: str, **arguments: object) -> str:
        """One call in a turn of its own. Returns the result; after an error nothing more is added."""
        return self.calls([(Call(name, arguments), result)])[0]

    def calls(self, pairs: list[tuple[Call, str]]) -> list[str]:
        """Several calls in one turn."""
        if self.error is not None:
            return [result for _, result in pairs]
        results = [self.maker.result(result) for _, result in pairs]
        self.steps.append(Step(tuple(call for call, _ in pairs), tuple(results)))
        errors = list(dict.fromkeys(e for e in map(failed, results) if e))
        if errors:
            self.error = errors[0]
            return [result for _, result in pairs]
        return results

    def calculate(self, expression: str) -> str:
        """A calculator call. Returns the value as text."""
        value = evaluate(expression)
        if value is not None:
            return self.call("calculator", number_text(value), expression=expression)
        if self.error is None:
            self.steps.append(
                Step((Call("calculator", {"expression": expression}),), ("error: division by zero",))
            )
            self.error = failed("error: division by zero")
        return "0"

    def stored(self) -> str:
        """What a tool says that stored something."""
        return self.maker.rng.choice(("ok", "ok", "done", "saved"))


def chain(maker: Maker) -> Episode:
    """A random chain."""
    kind = maker.rng.choice(list(CHAIN))
    episode = chain_of(maker, kind, maker.rng.choice(CHAIN[kind]))
    user = episode.user
    if maker.rng.random() < 0.25:
        user = maker.rng.choice(("Please ", "Now ", "Next, ", "Hey, ", "Ok, ")) + user[0].lower() + user[1:]
    if maker.rng.random() < 0.06:
        user = user[0].lower() + user[1:]
    return replace(episode, user=user)


def chain_of(maker: Maker, kind: str, phrasing: str) -> Episode:
    """One chain of a kind, asked for in the given phrasing."""
    build = Chain(maker)
    fill, answer = _BUILDERS[kind](maker, build)
    return Episode(f"chain:{kind}", phrasing.format(**fill), tuple(build.steps), build.error or answer)


Built = tuple[dict[str, str], str]


def _two_notes(maker: Maker, build: Chain, sign: str) -> Built:
    (k, said_k), (j, said_j) = maker.key(), maker.key()
    a, b = maker.values.number(), maker.values.number()
    got = build.calls([(Call("recall", {"key": k}), a), (Call("recall", {"key": j}), b)])
    total = build.calculate(f"{got[0]}{sign}{got[1]}")
    return {"k": said_k, "j": said_j}, f"The answer is {total}."


def _calc_remember(maker: Maker, build: Chain) -> Built:
    exact, said, _ = maker.expression()
    key, said_key = maker.key()
    total = build.calculate(exact)
    build.call("remember", build.stored(), key=key, value=total)
    return {"e": said, "k": said_key}, f"The answer is {total}, noted as {key}."


def _calc_write(maker: Maker, build: Chain) -> Built:
    exact, said, _ = maker.expression()
    path = maker.values.path()
    total = build.calculate(exact)
    build.call("write_file", build.stored(), path=path, content=total)
    return {"e": said, "p": maker.quoted(path)}, f"The answer is {total}, written to {path}."


def _calc_write_read(maker: Maker, build: Chain) -> Built:
    fill, _ = _calc_write(maker, build)
    path, total = (str(build.steps[-1].calls[0].arguments.get(name, "")) for name in ("path", "content"))
    content = build.call("read_file", total, path=path)
    return fill, f"The file {path} says: {content}"


def _write_read(maker: Maker, build: Chain) -> Built:
    path = maker.values.path()
    content, said = maker.phrase()
    build.call("write_file", build.stored(), path=path, content=content)
    got = build.call("read_file", content, path=path)
    return {"v": said, "p": maker.quoted(path)}, f"The file {path} says: {got}"


def _recall_write(maker: Maker, build: Chain) -> Built:
    key, said = maker.key()
    path = maker.values.path()
    value = build.call("recall", maker.values.phrase(), key=key)
    build.call("write_file", build.stored(), path=path, content=value)
    return {"k": said, "p": maker.quoted(path)}, f"Done, I wrote {path}."


def _read_remember(maker: Maker, build: Chain) -> Built:
    key, said = maker.key()
    path = maker.values.path()
    value = build.call("read_file", maker.values.phrase(), path=path)
    build.call("remember", build.stored(), key=key, value=value)
    return {"k": said, "p": maker.quoted(path)}, f"Done, I noted {key}."


def _copy_file(maker: Maker, build: Chain) -> Built:
    source, target = maker.values.path(), maker.values.path()
    value = build.call("read_file", maker.values.phrase(), path=source)
    build.call("write_file", build.stored(), path=target, content=value)
    return {"p": maker.quoted(source), "r": maker.quoted(target)}, f"Done, I wrote {target}."


def _search_read(maker: Maker, build: Chain) -> Built:
    query, path = " ".join(maker.values.word() for _ in range(maker.rng.randint(1, 2))), maker.values.path()
    others = "".join(f", {maker.values.path()}" for _ in range(maker.rng.choice((0, 0, 1))))
    build.call("search_files", path + others, query=query)
    content = build.call("read_file", maker.values.phrase(), path=path)
    return {"q": maker.quoted(query)}, f"The file {path} says: {content}"


def _clock_remember(maker: Maker, build: Chain) -> Built:
    key, said = maker.key()
    now = build.call("clock", maker.values.moment())
    build.call("remember", build.stored(), key=key, value=now)
    return {"k": said}, f"Done, I noted {key}."


def _clock_write(maker: Maker, build: Chain) -> Built:
    path = maker.values.path()
    now = build.call("clock", maker.values.moment())
    build.call("write_file", build.stored(), path=path, content=now)
    return {"p": maker.quoted(path)}, f"Done, I wrote {path}."


def _note_with_number(maker: Maker, build: Chain, sign: str) -> Built:
    key, said = maker.key()
    number = maker.values.number()
    value = build.call("recall", maker.values.number(), key=key)
    total = build.calculate(f"{value}{sign}{number}")
    return {"k": said, "b": number}, f"The answer is {total}."


def _file_with_number(maker: Maker, build: Chain, sign: str) -> Built:
    path = maker.values.path()
    number = maker.values.number()
    value = build.call("read_file", maker.values.number(), path=path)
    total = build.calculate(f"{value}{sign}{number}")
    return {"p": maker.quoted(path), "b": number}, f"The answer is {total}."


def _converted(maker: Maker, build: Chain) -> tuple[dict[str, str], str]:
    part = maker.convert()
    arguments = part.call.arguments
    result = f"{maker.values.number()} {arguments['to']}"
    build.call("convert_units", result, **arguments)
    got = build.steps[-1].results[0]
    number = str(arguments["value"])
    return {"n": number, "x": str(arguments["from"]), "y": str(arguments["to"])}, got


def _convert_remember(maker: Maker, build: Chain) -> Built:
    fill, got = _converted(maker, build)
    key, said = maker.key()
    build.call("remember", build.stored(), key=key, value=got)
    return {**fill, "k": said}, f"That is {got}, noted as {key}."


def _convert_write(maker: Maker, build: Chain) -> Built:
    fill, got = _converted(maker, build)
    path = maker.values.path()
    build.call("write_file", build.stored(), path=path, content=got)
    return {**fill, "p": maker.quoted(path)}, f"That is {got}, written to {path}."


_BUILDERS = {
    "recall_add": lambda m, b: _two_notes(m, b, "+"),
    "recall_multiply": lambda m, b: _two_notes(m, b, "*"),
    "recall_subtract": lambda m, b: _two_notes(m, b, "-"),
    "calc_remember": _calc_remember,
    "calc_write": _calc_write,
    "calc_write_read": _calc_write_read,
    "write_read": _write_read,
    "recall_write": _recall_write,
    "read_remember": _read_remember,
    "copy_file": _copy_file,
    "search_read": _search_read,
    "clock_remember": _clock_remember,
    "clock_write": _clock_write,
    "recall_calc": lambda m, b: _note_with_number(m, b, "*"),
    "recall_plus": lambda m, b: _note_with_number(m, b, "+"),
    "read_calc": lambda m, b: _file_with_number(m, b, "*"),
    "read_plus": lambda m, b: _file_with_number(m, b, "+"),
    "convert_remember": _convert_remember,
    "convert_write": _convert_write,
}
