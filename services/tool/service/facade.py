"""All use cases of the tool manager in one place."""

from dataclasses import dataclass

from services.tool.service.calls import Calls
from services.tool.service.egress import EgressAdmin
from services.tool.service.leases import LeaseManager
from services.tool.service.making import Making
from services.tool.service.openapi import OpenApis
from services.tool.service.providers import Providers
from services.tool.service.purging import Purging
from services.tool.service.registry import Registry
from services.tool.service.secrets import SecretAdmin
from services.tool.service.servers import Servers
from services.tool.service.sharing import Sharing


@dataclass(frozen=True, slots=True)
class ToolService:
    """What the servicer calls."""

    registry: Registry
    calls: Calls
    providers: Providers
    leases: LeaseManager
    purging: Purging
    secrets: SecretAdmin
    egress: EgressAdmin
    making: Making
    sharing: Sharing
    apis: OpenApis
    servers: Servers
