"""The users that jobs of the sandbox run as, where the kernel may become others."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from services.chassis.isolation.places import BLOCK, Users

FIRST = 1_700_000_000

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root becomes other users")


@pytest.fixture
def stray() -> Iterator[subprocess.Popen[bytes]]:
    """Leave a process behind as a user of the first block."""
    command = ["/bin/cat"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, user=FIRST + 3, group=FIRST + 3)
    yield process
    process.communicate()


def test_two_sandboxes_have_different_users() -> None:
    one, other = Users(FIRST), Users(FIRST)
    one.close()
    again = Users(FIRST)

    assert (one.first, other.first, again.first) == (FIRST, FIRST + BLOCK, FIRST)
    other.close()
    again.close()


def test_users_as_whom_something_runs_already_are_nobody_s(stray: subprocess.Popen[bytes]) -> None:
    assert stray.poll() is None
    users = Users(FIRST)

    assert users.first == FIRST + BLOCK
    users.close()
