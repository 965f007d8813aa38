"""Runs the tests that failed in the last run once more, one after the other, and names them.

Tests with real processes can lose against a machine that stands still for seconds. Few may: more than MOST
failures are no accident, and nothing that failed in the last run is left out. Whatever fails again fails.

Run:  python tests/again.py
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

MOST: Final = 5
FAILED: Final = Path(".pytest_cache/v/cache/lastfailed")


def failed(cache: Path = FAILED) -> list[str]:
    """Return the tests that failed in the last run."""
    return sorted(json.loads(cache.read_text())) if cache.is_file() else []


def main() -> int:
    """Run them and tell whether all pass."""
    again = failed()
    if not 0 < len(again) <= MOST:
        sys.stderr.write(f"{len(again)} failed: they are not run again\n")
        return 1
    status = subprocess.run([sys.executable, "-m", "pytest", "-n0", *again], check=False).returncode
    told = "fails again" if status else "passed alone and needs mending"
    sys.stderr.write("".join(f"UNSTEADY {name}: {told}\n" for name in again))
    return 1 if status else 0


if __name__ == "__main__":
    sys.exit(main())
