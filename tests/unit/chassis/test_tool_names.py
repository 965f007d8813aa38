"""What models call tools: a name that every model API takes, for each tool its own, and the way back."""

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.chassis.tool_names import ModelNames, fits
from tests.fakes.examples import examples

NAMES = st.lists(st.text(alphabet="ab._-/ä", min_size=1, max_size=128), max_size=8, unique=True)
API = re.compile(r"[A-Za-z0-9_-]{1,64}")


@settings(max_examples=examples(25))
@given(NAMES)
@example(["a.b", "a_b", "a-b", "a/b", "a b"])
@example(["x" * 128, "x" * 127 + "y", "x" * 64, "x" * 65])
@example(
    [
        "s.t",
        ModelNames(["s.t"]).shown("s.t"),
        ModelNames(["s.t", ModelNames(["s.t"]).shown("s.t")]).shown("s.t"),
    ]
)
def test_each_name_of_a_request_has_one_that_apis_take_and_comes_back_as_itself(names: list[str]) -> None:
    table = ModelNames(names)
    shown = [table.shown(name) for name in names]

    assert all(API.fullmatch(name) for name in shown)
    assert len(set(shown)) == len(names)
    assert [table.real(name) for name in shown] == names
    assert all(table.shown(name) == name for name in names if fits(name))


@settings(max_examples=examples(25))
@given(NAMES, NAMES)
def test_a_name_is_the_same_in_every_request_and_every_order(names: list[str], others: list[str]) -> None:
    table, turned = ModelNames(names), ModelNames([*reversed(names)])
    more = ModelNames([*names, *others])

    assert [table.shown(name) for name in names] == [turned.shown(name) for name in names]
    taken = {name for name in [*names, *others] if fits(name)}
    alone = {name: ModelNames([name]).shown(name) for name in names}
    assert all(more.shown(name) == shown for name, shown in alone.items() if shown not in taken - {name})


def test_a_name_that_a_model_makes_up_stays_what_it_is() -> None:
    table = ModelNames(["maps.find"])

    assert table.real("maps_find") == "maps_find"
    assert table.real("maps.find") == "maps.find"
    assert table.shown("calculator") == "calculator"
    assert API.fullmatch(table.shown("an.unheard.of.tool"))
