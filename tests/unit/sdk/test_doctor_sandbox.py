"""What `aios doctor` says about the sandbox, by the tools that need one."""

import pytest

from aios.cli.doctor import sandbox_check

BOTH = {"tools/python": True, "tools/shell": True}


@pytest.mark.parametrize(
    ("tools", "bubblewrap", "ok", "says"),
    [
        (BOTH, True, True, "Python and commands are run"),
        (BOTH, False, True, "install it"),
        ({**BOTH, "tools/shell": False}, True, True, "no other programs"),
        ({"tools/python": False, "tools/shell": False}, True, False, "nothing keeps it in"),
        ({"tools/clock": True}, True, True, "no tools of its own that run code"),
    ],
)
def test_doctor_says_what_code_is_run_and_what_would_help(
    tools: dict[str, bool], *, bubblewrap: bool, ok: bool, says: str
) -> None:
    check = sandbox_check(tools, bubblewrap=bubblewrap)

    assert check.ok is ok
    assert says in check.detail
    assert ok or "bubblewrap" in check.hint


@pytest.mark.parametrize(
    ("level", "says"),
    [
        ("namespaces", "kept in by namespaces (bubblewrap), the strongest level"),
        ("landlock", "kept in by landlock and a keeper, the second level"),
        ("single", "in one process, the third level"),
        ("enclave", "kept in by enclave"),
    ],
)
def test_doctor_names_the_level_in_force(level: str, says: str) -> None:
    assert says in sandbox_check(BOTH, bubblewrap=True, level=level).detail
