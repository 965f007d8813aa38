"""Whose port it is: found also while the process that holds it opens and closes other files."""

from pathlib import Path

from services.chassis.runtime import ports


def process_with(directory: Path, *, closing: int, sockets: tuple[str, ...]) -> Path:
    """Lay out a process of which some files vanish between being listed and being read."""
    files = directory / "7" / "fd"
    files.mkdir(parents=True)
    for number in range(closing):
        (files / str(number)).touch()  # no link: reading it fails
    for number, socket in enumerate(sockets):
        (files / f"s{number}").symlink_to(f"socket:[{socket}]")
    return files.parent


def test_a_file_that_vanishes_hides_none_of_the_others(tmp_path: Path) -> None:
    process = process_with(tmp_path, closing=30, sockets=("5", "6"))

    assert ports._holds(process, {"socket:[6]"})
    assert not ports._holds(process, {"socket:[9]"})


def test_a_process_that_may_not_be_looked_into_holds_nothing(tmp_path: Path) -> None:
    assert not ports._holds(tmp_path / "gone", {"socket:[6]"})
