"""`python -m services.context` runs the context manager; `--help-config` prints every variable."""

from services.chassis.runtime.process import run
from services.context.config import ContextConfig
from services.context.main import NAME, assemble

raise SystemExit(run(NAME, assemble, ContextConfig))
