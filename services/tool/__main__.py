"""`python -m services.tool` runs the tool manager; `--help-config` prints every variable."""

from services.chassis.runtime.process import run
from services.tool.config import ToolConfig
from services.tool.main import NAME, assemble

raise SystemExit(run(NAME, assemble, ToolConfig))
