"""Types as JSON Schema and back; tools made of functions."""

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import aios
from aios import errors
from aios.schema import build, parameters_of, schema_of


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Point:
    x: float
    y: float = 0.0


class Trip(TypedDict):
    city: Annotated[str, "where to"]
    days: NotRequired[int]


@dataclass
class Everything:
    name: str
    count: int
    share: float
    on: bool
    colour: Colour
    kind: Literal["a", "b"]
    points: list[Point]
    by_name: dict[str, int]
    trip: Trip
    maybe: str | None = None
    pair: tuple[int, ...] = ()
    anything: Any = None
    tags: set[str] = field(default_factory=set)


def everything() -> st.SearchStrategy[Everything]:
    finite = st.floats(allow_nan=False, allow_infinity=False)
    trips = st.fixed_dictionaries({"city": st.text()}, optional={"days": st.integers()})
    return st.builds(
        Everything,
        name=st.text(),
        share=finite,
        points=st.lists(st.builds(Point, finite, finite), max_size=2),
        by_name=st.dictionaries(st.text(), st.integers(), max_size=2),
        trip=trips,
        anything=st.none() | st.integers(),
        pair=st.lists(st.integers(), max_size=2).map(tuple),
        tags=st.sets(st.text(), max_size=2),
    )


def as_json(value: Everything) -> dict[str, Any]:
    plain = dict(vars(value))
    plain["colour"] = value.colour.value
    plain["points"] = [vars(point) for point in value.points]
    plain["pair"] = list(value.pair)
    plain["tags"] = sorted(value.tags)
    back: dict[str, Any] = json.loads(json.dumps(plain))
    return back


@given(everything())
def test_what_the_schema_describes_is_what_build_reads(value: Everything) -> None:
    sent = as_json(value)

    assert jsonschema_rs.is_valid(schema_of(Everything), sent)
    assert build(Everything, sent) == value


def test_a_schema_names_fields_types_and_requirements() -> None:
    assert schema_of(Point) == {
        "type": "object",
        "properties": {"x": {"type": "number"}, "y": {"type": "number", "default": 0.0}},
        "required": ["x"],
        "additionalProperties": False,
    }
    assert schema_of(Point, defaults=False)["properties"]["y"] == {"type": "number"}
    assert schema_of(Trip)["properties"]["city"] == {"type": "string", "description": "where to"}
    assert schema_of(Trip)["required"] == ["city"]
    assert schema_of(int | None) == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert schema_of(Sequence[int]) == {"type": "array", "items": {"type": "integer"}}
    assert schema_of(Mapping[str, float])["additionalProperties"] == {"type": "number"}
    assert schema_of(Annotated[int, 7]) == {"type": "integer"}
    assert schema_of(list) == {"type": "array", "items": {}}


def test_a_type_without_a_json_form_is_refused() -> None:
    with pytest.raises(TypeError, match="no JSON form"):
        schema_of(complex)


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (int, "1"),
        (int, True),
        (int, 1.5),
        (str, 1),
        (bool, 1),
        (float, True),
        (type(None), 0),
        (Literal["a"], "b"),
        (int | None, "x"),
        (list[int], {"a": 1}),
        (Point, {"y": 1}),
        (Point, {"x": 1, "z": 1}),
        (Point, 3),
        (Colour, "green"),
        (dict[str, int], [1]),
    ],
)
def test_a_value_that_does_not_fit_is_refused(form: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        build(form, value)


def test_numbers_are_taken_where_they_are_equal() -> None:
    assert build(float, 1) == 1.0
    assert build(int, 2.0) == 2


@aios.tool
async def plan(city: str, days: Annotated[int, "how long"] = 1, from_: str = "") -> str:
    """Plan a trip. Takes a while."""
    return f"{city} {days} {from_}"


@aios.tool(name="add-up", description="Sum.")
def total(points: list[Point]) -> float:
    return sum(point.x for point in points)


async def test_a_tool_is_shown_and_run_by_its_signature() -> None:
    assert plan.spec.description == "Plan a trip. Takes a while."
    assert list(plan.spec.parameters["properties"]) == ["city", "days", "from"]
    assert plan.spec.parameters["required"] == ["city"]
    assert await plan.run({"city": "Rome", "from": "Bonn"}) == "Rome 1 Bonn"
    assert total.name == "add-up"
    assert await total.run({"points": [{"x": 1}, {"x": 2.5}]}) == 3.5
    assert total([Point(1)]) == 1


@pytest.mark.parametrize("arguments", [{}, {"city": 1}, {"city": "a", "more": 1}])
async def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(errors.ToolArgumentsInvalid):
        await plan.run(arguments)


def test_a_function_with_open_parameters_is_no_tool() -> None:
    def loose(*parts: str) -> None: ...

    with pytest.raises(TypeError, match="by name"):
        parameters_of(loose)
