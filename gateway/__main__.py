"""`python -m gateway`."""

import sys

from gateway.config import BackendConfig, GatewayConfig, OpenAiBackendConfig
from gateway.http.config import DoorConfig
from gateway.http.console.settings import ConsoleSettings
from gateway.http.mcp.settings import McpSettings
from gateway.main import build
from services.chassis.runtime.process import run

FURTHER = {
    "AIOS_GATEWAY_DOOR_": DoorConfig,
    "AIOS_GATEWAY_CONSOLE_": ConsoleSettings,
    "AIOS_GATEWAY_MCP_": McpSettings,
    "AIOS_TGI_": BackendConfig,
    "AIOS_OPENAI_": OpenAiBackendConfig,
}

sys.exit(run("gateway", build, GatewayConfig, further=FURTHER))
