"""How generations are put before the scheduler: the Dispatcher port on the process's Dispatch stream."""

from aios.api.scheduler.v1 import dispatch_pb2 as pb
from gateway.inference.model import ReplicaInfo
from services.chassis.dispatch.client import DispatchClient, DispatchTicket
from services.chassis.dispatch.scheduling import Submission


class InferenceDispatcher:
    """Says in the scheduler's words what a generation needs and what a replica can take."""

    def __init__(self, client: DispatchClient) -> None:
        self._client = client

    def submit(self, call: Submission) -> DispatchTicket:
        """Put a call into the queue, now or as soon as the scheduler is there."""
        return self._client.submit(call)

    def announce(self, replica: str, info: ReplicaInfo, *, up: bool, queue_size: int | None = None) -> None:
        """Tell what a replica can take, and how many calls were seen to wait inside it."""
        self._client.announce(
            pb.ReplicaState(
                name=replica,
                model=info.model,
                up=up,
                slots=info.slots,
                max_batch_total_tokens=info.max_batch_total_tokens,
                max_total_tokens=info.max_total_tokens,
                kv_snapshot=info.capabilities.kv_snapshot,
                queue_size=queue_size,
            )
        )
