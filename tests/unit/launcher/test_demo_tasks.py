"""How the demo's tasks are dealt."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.demo.tasks import DRAWS, KEEPER, SEEDS, deal, draw_seeds
from services.tgi_local.demo_model.asked import ASKED
from services.tgi_local.demo_model.words import Values, kept_out


@given(st.lists(st.integers(0, SEEDS - 1), min_size=1, max_size=4))
def test_twelve_agents_get_tasks_with_known_answers(seeds: list[int]) -> None:
    agents = deal(seeds)

    assert len({agent.name for agent in agents}) == 12
    assert all(agent.tasks for agent in agents)
    assert all(task.sentence and task.says for agent in agents for task in agent.tasks)


def test_the_same_seeds_deal_the_same_tasks_and_others_deal_others() -> None:
    assert deal([7, 8, 9]) == deal([7, 8, 9])
    assert deal([7, 8, 9]) != deal([7, 8, 10])


def test_nobody_chooses_the_seeds_of_a_demo() -> None:
    drawn = {seed for _ in range(20) for seed in draw_seeds()}

    assert len(drawn) > DRAWS * 10
    assert all(0 <= seed < SEEDS for seed in drawn)


def test_a_demo_deals_a_hand_of_each_seed() -> None:
    alone = [deal([seed]) for seed in (1, 2, 3)]
    together = deal([1, 2, 3])

    for number, each in enumerate(together):
        parts = [hands[number] for hands in alone]
        later = [task for part in parts[1:] for task in part.tasks if not task.found]
        assert list(each.tasks) == [*parts[0].tasks, *later]
        assert each.files == parts[0].files, "searches are those of the first hand, and so are files"
        assert set(each.notes) == {key for part in parts for key in part.notes}


def test_the_secret_that_is_forbidden_first_is_the_one_that_is_kept() -> None:
    casts = {each.name: each for each in deal([4, 5])}
    forbidden = [task.forbidden for task in casts["mallory"].tasks if task.forbidden]

    assert casts[KEEPER].notes["secret"] == forbidden[0]


def test_no_seed_is_no_demo() -> None:
    with pytest.raises(ValueError, match="no seed"):
        deal([])


def test_the_demo_asks_in_the_model_s_phrasings() -> None:
    shapes = [
        re.compile(re.sub(r"\\\{\w\\\}", "(.+)", re.escape(phrasing)))
        for phrasings in ASKED.values()
        for phrasing in phrasings
    ]

    for task in (task for cast in deal(range(5)) for task in cast.tasks):
        assert any(shape.fullmatch(task.prompt) for shape in shapes), task.prompt


def test_what_the_demo_asks_about_was_kept_out_of_training() -> None:
    notes = [task.note for cast in deal(range(20)) for task in cast.tasks if task.note is not None]
    files = [task.file for cast in deal(range(20)) for task in cast.tasks if task.file is not None]
    drawn = Values(random.Random(1))  # noqa: S311 - reproducible
    trained = {drawn.pseudo_word() for _ in range(2_000)}

    assert all(kept_out(key) for key, _ in notes)
    assert all(kept_out(path.removesuffix(".txt")) for path, _ in files)
    assert not any(map(kept_out, trained))
