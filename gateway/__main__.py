"""`python -m gateway`."""

import sys

from gateway.config import GatewayConfig
from gateway.main import build
from services.chassis.process import run

sys.exit(run("gateway", build, GatewayConfig))
