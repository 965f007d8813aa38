"""SchedulerService over gRPC: each method converts, calls a use case, converts back.

Called by the chassis' pipeline, on the event loop, once a call is authenticated, authorised and validated.
"""

from services.scheduler.servicer.scheduling import SchedulerServicer

__all__ = ["SchedulerServicer"]
