"""`python -m gateway`."""

import sys

from gateway.config import BackendConfig, GatewayConfig, OpenAiBackendConfig
from gateway.http.config import DoorConfig
from gateway.main import build
from services.chassis.runtime.process import run

FURTHER = {"AIOS_GATEWAY_DOOR_": DoorConfig, "AIOS_TGI_": BackendConfig, "AIOS_OPENAI_": OpenAiBackendConfig}

sys.exit(run("gateway", build, GatewayConfig, further=FURTHER))
