"""Caps: how they are written, and what an error tells."""

import pytest

from services.chassis.quotas import Cap, Level, Owner, exceeded

OWNER = Owner("acme", "child", "root")


@pytest.mark.parametrize(
    ("text", "cap"),
    [
        ("10", Cap(10, 40, 640)),
        ("10,20", Cap(10, 20, 640)),
        ("10,1000", Cap(10, 1000, 1000)),
        ("1,2,3", Cap(1, 2, 3)),
    ],
)
def test_a_setting_gives_the_agents_cap_and_may_give_those_above(text: str, cap: Cap) -> None:
    assert Cap.parse(text) == cap
    assert Cap.parse(str(cap)) == cap


@pytest.mark.parametrize("text", ["", "0", "-1", "5,4", "1,2,1", "1,2,3,4", "many", "1.5"])
def test_a_cap_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"cap|expected"):
        Cap.parse(text)


def test_an_error_tells_whose_cap_it_is_and_of_the_tenants_use_no_more() -> None:
    errors = {level: exceeded(OWNER, "notes", level, wanted=9, limit=8) for level in Level}

    subjects = [error.quota.subject for error in errors.values() if error.quota is not None]
    assert subjects == ["agents/child", "agents/root", "tenants/acme"]
    assert "wanted" not in errors[Level.TENANT].metadata
    assert errors[Level.TREE].metadata == {"quota": "notes", "level": "tree", "limit": "8", "wanted": "9"}
