"""Run the access manager: `python -m services.access`."""

from services.access.config import AccessConfig
from services.access.main import NAME, assemble
from services.chassis.process import run

if __name__ == "__main__":
    raise SystemExit(run(NAME, assemble, AccessConfig))
