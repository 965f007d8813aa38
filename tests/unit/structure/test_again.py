"""What failed is run once more alone: few tests, all of them, and what fails again fails the run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

AGAIN = Path(__file__).parents[2] / "again.py"


def again(folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    """Run tests, and then those that failed once more."""
    (folder / "test_it.py").write_text(source)
    for command in (["-m", "pytest", "-q", "test_it.py"], [str(AGAIN)]):
        done = subprocess.run(
            [sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False, timeout=60
        )
    return done


UNSTEADY = """
from pathlib import Path

def test_a():
    mark = Path("ran")
    assert mark.exists() or mark.touch()

def test_b():
    pass
"""


@pytest.mark.parametrize(
    ("source", "status"), [(UNSTEADY, 0), (f"{UNSTEADY}\ndef test_c():\n    assert 0\n", 1)]
)
def test_who_passes_alone_is_named_and_who_fails_again_fails_the_run(
    tmp_path: Path, source: str, status: int
) -> None:
    done = again(tmp_path, source)

    assert done.returncode == status
    assert "UNSTEADY test_it.py::test_a" in done.stderr


def test_many_failures_are_no_accident(tmp_path: Path) -> None:
    cache = tmp_path / ".pytest_cache/v/cache/lastfailed"
    cache.parent.mkdir(parents=True)
    cache.write_text(json.dumps({f"test_it.py::test_{number}": True for number in range(6)}))

    done = again(tmp_path, "def test_it(): pass")

    assert done.returncode == 1
    assert "not run again" in done.stderr


def test_no_failure_is_nothing_to_run_again(tmp_path: Path) -> None:
    assert again(tmp_path, "def test_it(): pass").returncode == 1
