"""The gRPC face of the access manager: each method converts, calls a use case, converts back."""

from services.access.servicer.access import AccessServicer
from services.access.servicer.agents import AgentServicer

__all__ = ["AccessServicer", "AgentServicer"]
