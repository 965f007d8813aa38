"""The gRPC face of the access manager: each method converts, calls a use case, converts back.

Called by the chassis' pipeline, on the event loop, once a call is authenticated, authorised and validated.
"""

from services.access.servicer.access import AccessServicer
from services.access.servicer.agents import AgentServicer

__all__ = ["AccessServicer", "AgentServicer"]
