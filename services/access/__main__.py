"""Run the access manager: `python -m services.access`, or one of its commands instead.

`rotate-keys` makes a new signing key; `verify-audit [TENANT [FILE ...]]` verifies an audit log against heads
that were exported.
"""

import sys

from services.access.config import AccessConfig
from services.access.main import NAME, assemble, rotate_keys, verify_audit
from services.chassis.runtime.process import run

if __name__ == "__main__":
    if sys.argv[1:] == ["rotate-keys"]:
        raise SystemExit(rotate_keys())
    if sys.argv[1:2] == ["verify-audit"]:
        raise SystemExit(verify_audit(sys.argv[2:]))
    raise SystemExit(run(NAME, assemble, AccessConfig))
