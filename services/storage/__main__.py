"""`python -m services.storage` runs the storage manager; `--help-config` prints every variable."""

from services.chassis.runtime.process import run
from services.storage.config import StorageConfig
from services.storage.main import NAME, assemble

raise SystemExit(run(NAME, assemble, StorageConfig))
