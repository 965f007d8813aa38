"""Each layer of the sandbox taken out in turn: the self-test notices, and nothing is run."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from services.chassis.sandbox.errors import SandboxUnavailable
from services.chassis.sandbox.terms import SandboxLevel
from tests.fakes.isolation import isolated, launcher, need, python

pytestmark = pytest.mark.torture_tools

NAMESPACES, LANDLOCK, SINGLE = (level.value for level in list(SandboxLevel)[:3])
NO_FILES = "kernel.hold_files = lambda *_: None"
NO_FILTER = "kernel.filter_calls = lambda _program: None"
NO_NAMESPACE_FILTER = "filter_of = lambda _plan: struct.pack('=HBBI', 6, 0, 0, 0x7FFF0000)"
NO_LIMITS = "limit = lambda _plan: None"
AS_ROOT = "become = lambda _plan: None"
A_DESCRIPTOR = """
placed = _place_descriptors
def _place_descriptors(*given):
    placed(*given)
    os.dup2(0, 300)
    os.set_inheritable(300, True)
"""
A_VARIABLE = """
prepared = prepare
def prepare(plan):
    prepared(plan)
    plan.environment["AIOS_KEY"] = "secret"
"""
NO_SCRATCH = """
prepared = prepare
def prepare(plan):
    prepared(plan)
    plan.scratch = "/nowhere"
"""
THE_HOSTS_FILES = """
view = options_of_namespaces
def options_of_namespaces(*given, **numbers):
    options = view(*given, **numbers)
    begin, end = options.index("--size"), options.index("--chdir")
    return [*options[:begin], "--bind", "/tmp", "/tmp", *options[end:]]
"""
NO_DOMAIN = "kernel.hold_signals = lambda: None"
OLD_LANDLOCK = "kernel.landlock_abi = lambda: 5"
NO_LANDLOCK = "kernel.landlock_abi = lambda: 0"
ANOTHER_MACHINE = "MACHINES = {}"


@pytest.fixture
def directory() -> Iterator[Path]:
    """Make a directory for changed launchers, where every user gets to."""
    with TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.mark.parametrize(
    ("level", "change", "why"),
    [
        (LANDLOCK, NO_FILES, "could read the data of the kernel"),
        (LANDLOCK, NO_FILES, "could write outside of its scratch"),
        (LANDLOCK, NO_FILTER, "could make a socket"),
        (LANDLOCK, NO_LIMITS, "the self-test of landlock failed"),
        (LANDLOCK, A_DESCRIPTOR, "could find an inherited descriptor"),
        (LANDLOCK, A_VARIABLE, "could find a variable of the kernel"),
        (LANDLOCK, NO_SCRATCH, "No such file or directory"),
        (LANDLOCK, NO_DOMAIN, "the domain does not hold signals"),
        (LANDLOCK, OLD_LANDLOCK, "Landlock cannot hold signals"),
        (LANDLOCK, NO_LANDLOCK, "Landlock cannot hold signals"),
        (LANDLOCK, ANOTHER_MACHINE, "KeyError"),
        (SINGLE, NO_FILES, "could read the data of the kernel"),
        (SINGLE, NO_FILTER, "could make a socket"),
        (SINGLE, A_DESCRIPTOR, "could find an inherited descriptor"),
        (SINGLE, A_VARIABLE, "could find a variable of the kernel"),
        (SINGLE, NO_LANDLOCK, "there is no Landlock"),
        (SINGLE, ANOTHER_MACHINE, "KeyError"),
        (NAMESPACES, NO_NAMESPACE_FILTER, "could make a socket"),
        (NAMESPACES, NO_LIMITS, "the self-test of namespaces failed"),
        (NAMESPACES, A_VARIABLE, "could find a variable of the kernel"),
        (NAMESPACES, THE_HOSTS_FILES, "could read the data of the kernel"),
        (NAMESPACES, NO_SCRATCH, "nowhere"),
        (NAMESPACES, ANOTHER_MACHINE, "KeyError"),
    ],
)
async def test_without_a_layer_nothing_is_run(level: str, change: str, why: str, directory: Path) -> None:
    await need(level)

    async with isolated(level, launcher=launcher(directory, change)) as sandbox:
        assert why in sandbox.problem
        assert sandbox.level is SandboxLevel.NONE
        with pytest.raises(SandboxUnavailable):
            await python(sandbox, "print(1)")


@pytest.mark.parametrize("level", [NAMESPACES, LANDLOCK, SINGLE])
@pytest.mark.skipif(os.getuid() != 0, reason="only root can forget to become somebody else")
async def test_as_root_nothing_is_run(level: str, directory: Path) -> None:
    await need(level)

    async with isolated(level, launcher=launcher(directory, AS_ROOT)) as sandbox:
        assert "not as root" in sandbox.problem


async def test_a_level_that_lets_something_through_is_not_followed_by_a_weaker_one(directory: Path) -> None:
    await need(NAMESPACES)
    await need(LANDLOCK)

    async with isolated("", launcher=launcher(directory, NO_NAMESPACE_FILTER)) as sandbox:
        assert sandbox.level is SandboxLevel.NONE
        assert "the self-test of namespaces failed" in sandbox.problem


async def test_a_level_that_cannot_be_started_is(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await need(LANDLOCK)
    await need(SINGLE)
    monkeypatch.setattr("shutil.which", lambda *_args, **_named: None)

    async with isolated("", launcher=launcher(directory, "")) as sandbox:
        assert sandbox.level is SandboxLevel.LANDLOCK
    async with isolated("", launcher=launcher(directory, OLD_LANDLOCK)) as sandbox:
        assert sandbox.level is SandboxLevel.SINGLE
        assert (await python(sandbox, "print(1)")).stdout == b"1\n"
    async with isolated("", launcher=launcher(directory, NO_LANDLOCK)) as sandbox:
        assert sandbox.level is SandboxLevel.NONE


async def test_a_layer_that_goes_missing_later_ends_all_running(directory: Path) -> None:
    await need(LANDLOCK)
    changed = launcher(directory, "")
    async with isolated(LANDLOCK, launcher=changed, warm=0) as sandbox:
        assert (await python(sandbox, "print(1)")).stdout == b"1\n"

        launcher(directory, NO_FILTER)
        await sandbox.test()
        with pytest.raises(SandboxUnavailable):
            await python(sandbox, "print(1)")

        launcher(directory, "")
        await sandbox.test()
        assert (await python(sandbox, "print(2)")).stdout == b"2\n"


async def test_a_job_that_cannot_be_locked_in_is_refused_and_never_run_without(directory: Path) -> None:
    await need(LANDLOCK)
    changed = launcher(directory, "")
    async with isolated(LANDLOCK, launcher=changed, warm=0) as sandbox:
        launcher(directory, "lock = None")
        with pytest.raises(SandboxUnavailable, match="could not be locked in"):
            await python(sandbox, "print(1)")

        assert sandbox.problem != ""


@pytest.mark.skipif(os.getuid() != 0, reason="only as root jobs are somebody else")
async def test_an_interpreter_that_jobs_do_not_get_to_is_not_used(directory: Path) -> None:
    hidden = directory / "hidden"
    hidden.mkdir(mode=0o700)
    (hidden / "python3").symlink_to("/usr/bin/python3")

    async with isolated("", python=str(hidden / "python3")) as sandbox:
        assert sandbox.level is SandboxLevel.NONE
