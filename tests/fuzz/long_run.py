"""One target for as long as `make torture` gives it; what fails is kept, to be put into the corpus."""

import hashlib
import os
import secrets
import time
from pathlib import Path
from typing import Final

from tests.fuzz.target import LONG_BYTES, Target, TooDear, hunt

SECONDS: Final = float(os.environ.get("AIOS_FUZZ_SECONDS", "30"))
FOUND: Final = Path("build/fuzz")


def seed_chosen() -> int:
    """Return the seed that was asked for, or another one each time."""
    return int(os.environ.get("AIOS_FUZZ_SEED") or secrets.randbits(32))


def run_long(fuzzed: Target) -> None:
    """Fuzz a target. A failure names the seed, which repeats it (`AIOS_FUZZ_SEED`), and the file."""
    seed = seed_chosen()
    ends = time.monotonic() + SECONDS
    try:
        for _ in hunt(fuzzed, seed, LONG_BYTES):
            if time.monotonic() > ends:
                return
    except TooDear as error:
        FOUND.mkdir(parents=True, exist_ok=True)
        file = FOUND / f"{fuzzed.name}-{hashlib.sha256(error.given).hexdigest()[:12]}"
        file.write_bytes(error.given)
        raise AssertionError(f"{error} (AIOS_FUZZ_SEED={seed}; kept as {file})") from error
