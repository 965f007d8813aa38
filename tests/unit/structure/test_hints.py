"""Every error that the kernel can give says what to do next, with commands that exist."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from aios import errors
from aios.api.common.v1 import errors_pb2
from aios.cli import main as cli
from aios.hints import GRANTABLE, HINTS, hint_of
from services.access.core.actions import ACTIONS, is_grantable

REASONS = [name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()[1:]]
NEXT_STEPS = {
    "Add",
    "Allow",
    "Append",
    "Ask",
    "Begin",
    "Change",
    "Check",
    "Choose",
    "Come",
    "Correct",
    "Drop",
    "End",
    "Get",
    "Give",
    "Go",
    "Have",
    "Install",
    "Leave",
    "Look",
    "Make",
    "Read",
    "Restore",
    "Run",
    "See",
    "Send",
    "Set",
    "Shorten",
    "Show",
    "Simplify",
    "Start",
    "Try",
    "Update",
    "Use",
    "Wait",
    "Write",
}
"""What a hint may begin with: an order. One that begins otherwise names a command."""
QUOTED = re.compile(r"`aios ([^`]*)`")
TOP: Any = typer.main.get_command(cli.build(cli.plugins()))


def words(hint: str) -> Iterator[list[str]]:
    """Yield the words of each command of `aios` that a hint names."""
    for found in QUOTED.findall(hint):
        yield found.split()


def check(said: list[str]) -> None:
    """Fail when words name no command, or one without such an option."""
    at: Any = TOP
    while said and said[0] in getattr(at, "commands", {}):
        at, said = at.commands[said[0]], said[1:]
    assert at is not TOP or said[:1] == ["--version"], said
    options = {name for parameter in at.params for name in parameter.opts}
    assert {word for word in said if word.startswith("--")} <= options, said


def test_every_reason_has_a_hint_and_no_other_has() -> None:
    assert set(HINTS) == set(REASONS)


@pytest.mark.parametrize("reason", REASONS)
def test_a_hint_names_a_next_step(reason: str) -> None:
    hint = errors.BY_REASON[reason](reason=reason).hint

    assert hint.split()[0] in NEXT_STEPS or QUOTED.search(hint), hint
    assert hint.endswith(".")
    for said in words(hint):
        check(said)


def test_what_can_be_granted_is_what_access_grants() -> None:
    assert {action for action in ACTIONS if is_grantable(action)} == GRANTABLE


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_a_refused_permission_says_which_grant_gives_it_or_that_none_does(action: str) -> None:
    facts = {"agent": "agents/amy", "action": action, "resource": "agents/bob/notes/colour"}
    hint = hint_of("PERMISSION_DENIED", facts)

    given = f"`aios grants add amy agents/bob/notes/colour {action}`"
    assert (given in hint) is is_grantable(action)
    assert ("No grant gives" in hint) is not is_grantable(action)


def test_a_hint_is_as_exact_as_the_facts() -> None:
    assert "`aios agents key bob`" in hint_of("AGENT_EXISTS", {"agent": "agents/bob"})
    assert "at most 8" in hint_of("NEVER_FITS", {"gang_size": "9", "slots": "8"})
    assert hint_of("SOMETHING_NEW", {}) == ""
