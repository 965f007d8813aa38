"""The hostile programs once more where the host is no root: an ordinary user, and an emulated pod."""

import asyncio
import os
import platform
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.torture_tools, pytest.mark.timeout(590)]

REPOSITORY = Path(__file__).parents[2]
OTHERS = {"namespaces": "61234", "landlock": "61235", "single": "61236"}
"""A user each: the limit of processes counts all that a user has."""
POD_OTHERS = {"landlock": "61237", "single": "61238"}
SYSTEM_PYTHON = "/usr/bin/python3"


async def ran(*command: str, pick: str) -> str:
    """Run the tests of hostile programs by a command in front of them; return what they said."""
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    process = await asyncio.create_subprocess_exec(
        *command,
        *("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "torture_tools", "-k", pick),
        "tests/hostile/test_hostile_tools.py",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=REPOSITORY,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": "/tmp",  # noqa: S108 - nothing is kept there
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "sdk/python/src"), str(REPOSITORY), packages]),
        },
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode(errors="replace")[-8000:]
    return said.decode()


def needs_root() -> None:
    """Skip where there is no root to become others from, or no interpreter that they get to."""
    if os.getuid() != 0:
        pytest.skip("the tests beside this one run as an ordinary user already")
    version = ".".join(platform.python_version_tuple()[:2])
    if not Path(f"/usr/bin/python{version}").exists():
        pytest.skip(f"the system has no Python {version} that other users get to")
    if any(not path.stat().st_mode & 0o001 for path in REPOSITORY.parents):
        pytest.skip("other users do not get to this repository")


@pytest.mark.parametrize("level", ["namespaces", "landlock", "single"])
async def test_no_hostile_program_does_harm_to_an_ordinary_users_kernel(level: str) -> None:
    needs_root()
    as_user = ("setpriv", "--reuid", OTHERS[level], "--regid", OTHERS[level], "--clear-groups", SYSTEM_PYTHON)

    assert "passed" in await ran(*as_user, pick=f"{level} and (hostile_program or honest)")


@pytest.mark.parametrize("level", ["landlock", "single"])
async def test_no_hostile_program_does_harm_in_an_ordinary_pod(level: str) -> None:
    needs_root()
    if platform.machine() != "x86_64":
        pytest.skip("the emulated pod is for x86-64")
    in_pod = (sys.executable, "-m", "tests.fakes.pod", POD_OTHERS[level], SYSTEM_PYTHON)

    assert "passed" in await ran(*in_pod, pick=f"{level} and (hostile_program or honest)")
