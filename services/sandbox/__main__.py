"""`python -m services.sandbox` runs the sandbox; `--help-config` prints every variable."""

from services.chassis.runtime.process import run
from services.sandbox.config import SandboxConfig
from services.sandbox.main import NAME, assemble

raise SystemExit(run(NAME, assemble, SandboxConfig))
