"""The demo's checks: what is only nearly right is wrong, whatever a search for a part of it would say."""

from dataclasses import replace

import pytest

from launcher.demo.checks import Evidence, fault
from launcher.demo.tasks import Task

SUM = Task("What is 300 + 12?", "The answer is 312.", ("312",))
SEARCH = Task("Search for kobu.", "Found: ", ("zikvu.txt",), found="zikvu.txt")
FOUND = ("zikvu.txt", "lafut.txt")
NOTE = Task("Remember that kobu is zikvu.", "Done, I noted kobu.", ("kobu",), note=("kobu", "zikvu"))
FILE = Task(
    "Write zikvu lafut to kobu.txt.",
    "Done, I wrote kobu.txt.",
    ("kobu.txt",),
    file=("kobu.txt", "zikvu lafut"),
)
READ = Task("What does kobu.txt say?", "The file kobu.txt says: zikvu lafut", ("zikvu lafut",))
UNITS = Task("Convert 17 km to m.", "That is 17000 m.", ("17000",))
FORBIDDEN = Task(
    "Recall the note secret of cleo.",
    "I could not do that: permission denied.",
    ("permission denied",),
    refused=True,
    forbidden="zikvu",
)


def seen(answer: str, **other: object) -> Evidence:
    return replace(Evidence(answer, "done"), **other)  # type: ignore[arg-type]


def part_of(task: Task, answer: str) -> bool:
    """Look for what must be said and no more: every wrong answer below passes."""
    return all(fact in answer for fact in task.says) and not (task.forbidden and task.forbidden in answer)


RIGHT = [
    (SUM, seen("The answer is 312.")),
    (SEARCH, seen("Found: zikvu.txt, lafut.txt", told=FOUND)),
    (SEARCH, seen("Found: lafut.txt, zikvu.txt", told=FOUND)),
    (NOTE, seen("Done, I noted kobu.", note="zikvu")),
    (FILE, seen("Done, I wrote kobu.txt.", file="zikvu lafut")),
    (READ, seen("The file kobu.txt says: zikvu lafut")),
    (UNITS, seen("That is 17000 m.")),
    (FORBIDDEN, seen("I could not do that: permission denied.", refusals=1)),
]

WRONG_FOR_ALL = [
    (SUM, seen("The answer is 3120."), "does not say '312'"),
    (SUM, seen("The answer is 1312."), "does not say '312'"),
    (SUM, seen("The answer is 312.5."), "does not say '312'"),
    (SUM, seen("The answer is 312 or 313."), "says 313, too"),
    (SUM, seen("The answer is 312. The answer is 312."), "again"),
    (SUM, seen("The answer is is 312."), "again"),
    (SUM, seen("The answer is 312.", ended="length"), "cut short: length"),
    (SUM, seen("The answer is 312.", ended="max_steps"), "cut short: max_steps"),
    (SUM, seen("The answer is 312.", refusals=1), "1 calls of tools refused"),
    (SEARCH, seen("Found: zikvu.txt, lafut.txt, lafut.txt", told=FOUND), "again"),
    (SEARCH, seen("Found zikvu.txt and lafut.txt and zikvu.txt", told=FOUND), "names a file twice"),
    (SEARCH, seen("Found: zikvu.txt", told=FOUND), "leaves out lafut.txt"),
    (SEARCH, seen("Found: zikvu.txt, lafut.txt, dinze.txt", told=FOUND), "names dinze.txt"),
    (SEARCH, seen("Found: zikvu.txt", told=("lafut.txt",)), "the search did not tell zikvu.txt"),
    (SEARCH, seen("Found: azikvu.txt, lafut.txt", told=FOUND), "does not say 'zikvu.txt'"),
    (NOTE, seen("Done, I noted kobu.", note="zik"), "the note kobu holds 'zik'"),
    (NOTE, seen("Done, I noted kobu."), "no note kobu"),
    (NOTE, seen("Done, I noted kobur.", note="zikvu"), "does not say 'kobu'"),
    (FILE, seen("Done, I wrote kobu.txt.", file="zikvu"), "the file kobu.txt holds 'zikvu'"),
    (FILE, seen("Done, I wrote kobu.txt."), "no file kobu.txt"),
    (FILE, seen("Done, I wrote kobu.txt.", file="zikvu lafut", writes=2), "was written 2 times"),
    (FORBIDDEN, seen("I could not do that: permission denied."), "0 calls of tools refused"),
]

WRONG_FOR_THE_OWN_MODEL = [
    (READ, seen("The file kobu.txt says: zikvu lafut brai"), "is not 'The file kobu.txt says: zikvu lafut'"),
    (UNITS, seen("That is 17000 min."), "is not 'That is 17000 m.'"),
    (SEARCH, seen("Found: zikvu.txt, lafut.txt, sss", told=FOUND), "is not 'Found: zikvu.txt, lafut.txt'"),
]


@pytest.mark.parametrize(("task", "evidence"), RIGHT)
@pytest.mark.parametrize("own_model", [True, False])
def test_what_is_right_passes(task: Task, evidence: Evidence, *, own_model: bool) -> None:
    assert fault(task, evidence, own_model=own_model) == ""


@pytest.mark.parametrize(("task", "evidence", "why"), WRONG_FOR_ALL)
@pytest.mark.parametrize("own_model", [True, False])
def test_what_is_nearly_right_is_wrong(task: Task, evidence: Evidence, why: str, *, own_model: bool) -> None:
    assert part_of(task, evidence.answer), "a search for a part finds it"
    assert why in fault(task, evidence, own_model=own_model)


@pytest.mark.parametrize(("task", "evidence", "why"), WRONG_FOR_THE_OWN_MODEL)
def test_the_own_model_s_answer_is_held_against_the_whole_sentence(
    task: Task, evidence: Evidence, why: str
) -> None:
    assert part_of(task, evidence.answer)
    assert why in fault(task, evidence, own_model=True)


def test_who_tells_a_secret_is_wrong_even_when_refused_before() -> None:
    told = seen("permission denied, but it is zikvu", refusals=1)

    assert fault(FORBIDDEN, told, own_model=False) == "tells what it may not know"


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        (SUM, "300 + 12 = 312"),
        (SUM, "It is **312**."),
        (UNITS, "17 km are 17,000 m."),
        (READ, 'It says "zikvu lafut".'),
    ],
)
def test_other_models_choose_their_words(task: Task, answer: str) -> None:
    assert fault(task, seen(answer), own_model=False) == ""
    assert fault(task, seen(answer), own_model=True) != ""
