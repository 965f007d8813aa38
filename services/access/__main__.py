"""Run the access manager: `python -m services.access`; `rotate-keys` makes a new signing key instead."""

import sys

from services.access.config import AccessConfig
from services.access.main import NAME, assemble, rotate_keys
from services.chassis.runtime.process import run

if __name__ == "__main__":
    if sys.argv[1:] == ["rotate-keys"]:
        raise SystemExit(rotate_keys())
    raise SystemExit(run(NAME, assemble, AccessConfig))
