"""`python -m services.memory` runs the memory manager; `--help-config` prints every variable."""

from services.chassis.runtime.process import run
from services.memory.config import MemoryConfig
from services.memory.main import NAME, assemble

raise SystemExit(run(NAME, assemble, MemoryConfig))
