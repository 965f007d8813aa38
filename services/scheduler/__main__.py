"""`python -m services.scheduler`."""

import sys

from services.chassis.runtime.process import run
from services.scheduler.config import SchedulerConfig
from services.scheduler.main import build

sys.exit(run("scheduler", build, SchedulerConfig))
