"""What a model is shown of functions, however they are written, and is told of arguments that misfit."""

import datetime as dt
import enum
import functools
import pathlib
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType

import jsonschema_rs
import pydantic
import pytest

import aios
from aios import errors
from aios.schema import Misfit, build, schema_of, to_json

Euros = NewType("Euros", float)


class Size(enum.Enum):
    SMALL = 1
    LARGE = 2


class Spot(NamedTuple):
    x: int
    y: int = 0


@dataclass
class Box:
    size: Size
    when: dt.datetime
    where: pathlib.Path
    price: Euros
    spot: Spot
    pair: tuple[int, str]
    span: dt.timedelta = dt.timedelta(minutes=1)
    key: uuid.UUID | None = None
    amount: Decimal = Decimal("1.5")
    note: Annotated[str, "anything"] = field(default="", metadata={"description": "not shown"})
    label: str = field(default="", metadata={"description": "on its lid"})


class Wheel(pydantic.BaseModel):
    inches: int = pydantic.Field(gt=0, description="across")


class Bike(pydantic.BaseModel):
    wheels: list[Wheel]


BOX = {
    "size": 2,
    "when": "2030-01-31T12:00:00+00:00",
    "where": "a/b.txt",
    "price": 3,
    "spot": {"x": 1},
    "pair": [1, "a"],
    "span": 90,
    "key": "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    "amount": 2.5,
}


def test_what_is_written_in_another_form_comes_back_as_its_type() -> None:
    assert jsonschema_rs.is_valid(schema_of(Box), BOX)

    box = build(Box, BOX)

    assert (box.size, box.where, box.spot) == (Size.LARGE, pathlib.Path("a/b.txt"), Spot(1))
    assert box.when == dt.datetime(2030, 1, 31, 12, tzinfo=dt.UTC)
    assert (box.span, box.amount) == (dt.timedelta(seconds=90), Decimal("2.5"))
    assert (box.pair, box.key) == ((1, "a"), uuid.UUID(str(BOX["key"])))
    assert build(Box, to_json(box)) == box


def test_members_tell_their_defaults_and_descriptions() -> None:
    shown = schema_of(Box)["properties"]

    assert shown["span"] == {"type": "number", "description": "seconds", "default": 60.0}
    assert shown["when"] == {"type": "string", "format": "date-time"}
    assert shown["note"]["description"] == "anything"
    assert shown["label"] == {"type": "string", "description": "on its lid", "default": ""}


def test_a_model_of_pydantic_writes_and_reads_itself() -> None:
    form = schema_of(list[Bike])

    assert "$ref" not in str(form)
    assert form["items"]["properties"]["wheels"]["items"]["properties"]["inches"]["description"] == "across"
    assert build(list[Bike], [{"wheels": [{"inches": 28}]}]) == [Bike(wheels=[Wheel(inches=28)])]
    with pytest.raises(Misfit, match=r"\[0\]\.wheels\.0\.inches: Input should be greater than 0"):
        build(list[Bike], [{"wheels": [{"inches": -1}]}])


@dataclass
class Node:
    children: "list[Node]"


def test_a_type_that_holds_itself_is_refused_in_words() -> None:
    with pytest.raises(TypeError, match="holds itself"):
        schema_of(Node)


@pytest.mark.parametrize(
    ("annotation", "value", "told"),
    [
        (Box, {**BOX, "size": 3}, "size: 3 is not one of 1, 2"),
        (Box, {**BOX, "when": "soon"}, "when: 'soon' is not a date and time such as 2030-01-31T12:00:00"),
        (Box, {**BOX, "spot": {"x": "left"}}, "spot.x: 'left' is not an integer"),
        (Box, {**BOX, "pair": [1]}, "pair: [1] is not a list"),
        (Box, {**BOX, "span": True}, "span: True is not a number"),
        (Box, {k: v for k, v in BOX.items() if k != "price"}, "price: is missing"),
        (list[Spot], [{"x": 1}, {"x": 1, "z": 2}], "[1].z: is unknown"),
        (dict[str, int], {"a": "b"}, "a: 'b' is not an integer"),
        (Spot | None, {"x": "a"}, "x: 'a' is not an integer"),
        (Literal["a", "b"], "c", "'c' is not one of 'a', 'b'"),
        (Literal[1], True, "True is not one of 1"),
        (int | str, 1.5, "1.5 is not an integer or a string"),
    ],
)
def test_a_misfit_names_the_place_and_what_is_wrong(annotation: Any, value: Any, told: str) -> None:
    with pytest.raises(Misfit) as caught:
        build(annotation, value)

    assert told in str(caught.value)


def google(city: str, days: int = 2, units: Literal["c", "f"] = "c") -> str:
    """Tell the weather.

    It may be wrong.

    Args:
        city: Where, in
            its own language.
        days (int): How many days ahead.

    Returns:
        One line a day.
    """
    return f"{city} {days} {units}"


def numpy(city: str, days: int = 2) -> str:
    """Tell the weather.

    Parameters
    ----------
    city : str
        Where, in its own language.
    days
        How many days ahead.
    """
    return f"{city} {days}"


def rest(city: str, days: int = 2) -> str:
    """Tell the weather.

    :param city: Where, in its own language.
    :param int days: How many days ahead.
    """
    return f"{city} {days}"


@pytest.mark.parametrize("function", [google, numpy, rest])
def test_docstrings_of_all_styles_describe_the_parameters(function: Any) -> None:
    spec = aios.Tool(function).spec
    shown = spec.parameters["properties"]

    assert shown["city"] == {"type": "string", "description": "Where, in its own language."}
    assert shown["days"] == {"type": "integer", "description": "How many days ahead.", "default": 2}
    assert spec.description.startswith("Tell the weather.")
    assert "param" not in spec.description.lower()
    assert "city" not in spec.description


def test_a_docstring_of_prose_is_taken_as_it_stands() -> None:
    def plain(text: str) -> str:
        """Say it: loudly.

        Note: not at night.
            - twice
        """
        return text

    assert aios.Tool(plain).spec.description == "Say it: loudly.\n\nNote: not at night.\n    - twice"


class Shop:
    def __init__(self, name: str) -> None:
        self.name = name

    @aios.tool
    async def order(self, item: str) -> str:
        """Order something."""
        return f"{item} from {self.name}"

    @aios.tool(timeout=3.0)
    @classmethod
    def kind(cls, detail: str = "") -> str:
        """Tell what it is."""
        return f"{cls.__name__} {detail}".strip()

    @aios.tool
    @staticmethod
    def greet(name: str) -> str:
        """Say hello."""
        return f"hello {name}"

    def price(self, item: str) -> float:
        """Tell a price."""
        return float(len(item))

    def __call__(self, item: str) -> str:
        """Call the shop."""
        return f"{self.name} sends {item}"


async def test_methods_are_shown_without_self_and_bound_where_they_are_looked_up() -> None:
    shop = Shop("corner")

    assert [list(tool.spec.parameters["properties"]) for tool in (shop.order, shop.kind, shop.greet)] == [
        ["item"],
        ["detail"],
        ["name"],
    ]
    assert await shop.order.run({"item": "tea"}) == "tea from corner"
    assert await shop.kind.run({}) == await Shop.kind.run({}) == "Shop"
    assert shop.kind.timeout == 3.0
    assert await shop.greet.run({"name": "amy"}) == "hello amy"
    assert await aios.Tool(shop.price).run({"item": "tea"}) == 3.0
    assert (aios.Tool(shop).name, await aios.Tool(shop).run({"item": "a"})) == ("shop", "corner sends a")
    with pytest.raises(TypeError, match="take it from an object"):
        await Shop.order.run({"item": "tea"})


async def test_what_a_partial_application_fills_is_not_shown() -> None:
    tool = aios.Tool(functools.partial(google, units="f"))

    assert tool.name == "google"
    assert list(tool.spec.parameters["properties"]) == ["city", "days"]
    assert await tool.run({"city": "Rome"}) == "Rome 2 f"


async def test_none_as_the_default_lets_the_model_say_null() -> None:
    def find(text: str, before: str = None) -> str:  # type: ignore[assignment]  # noqa: RUF013  # as many write it
        """Find."""
        return f"{text} {before}"

    tool = aios.Tool(find)

    assert tool.spec.parameters["properties"]["before"] == {
        "anyOf": [{"type": "string"}, {"type": "null"}],
        "default": None,
    }
    assert await tool.run({"text": "a", "before": None}) == "a None"


async def test_arguments_that_misfit_name_every_field() -> None:
    with pytest.raises(errors.ToolArgumentsInvalid) as caught:
        await aios.Tool(google).run({"days": "two", "volume": 3})

    assert [(violation.field, violation.description) for violation in caught.value.violations] == [
        ("city", "is missing"),
        ("volume", "is unknown"),
        ("days", "'two' is not an integer"),
    ]


def test_a_type_hint_that_cannot_be_resolved_is_named() -> None:
    def lost(where: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821  # the point

    with pytest.raises(TypeError, match="lost: a type hint cannot be resolved"):
        aios.Tool(lost)


def test_a_parameter_without_a_json_form_is_named() -> None:
    def add(number: complex) -> None: ...

    with pytest.raises(TypeError, match="add: parameter number"):
        aios.Tool(add)


async def test_the_context_of_the_run_is_passed_and_not_shown() -> None:
    @aios.tool
    def spend(ctx: aios.RunContext[dict[str, int]], amount: int) -> int:
        """Spend."""
        return ctx.deps["purse"] - amount

    context = aios.RunContext(deps={"purse": 5}, kernel=None)  # type: ignore[arg-type]  # none is needed

    assert list(spend.spec.parameters["properties"]) == ["amount"]
    assert await spend.run_within(context, {"amount": 2}) == 3
    with pytest.raises(TypeError, match="only an agent can call it"):
        await spend.run({"amount": 2})
