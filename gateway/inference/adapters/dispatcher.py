"""How generations are put before the scheduler: the Dispatcher port on the process's Dispatch stream."""

from aios.api.scheduler.v1 import dispatch_pb2 as pb
from gateway.inference.model import ReplicaInfo
from gateway.inference.ports import CallTerms
from services.chassis.dispatch.client import DispatchClient, DispatchTicket, Submission


class InferenceDispatcher:
    """Says in the scheduler's words what a generation needs and what a replica can take."""

    def __init__(self, client: DispatchClient) -> None:
        self._client = client

    def submit(self, terms: CallTerms) -> DispatchTicket:
        """Put a call into the queue, now or as soon as the scheduler is there."""
        return self._client.submit(_submission(terms))

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


def _submission(terms: CallTerms) -> Submission:
    details = pb.Submit(
        program=terms.agent.program,
        agent_kind=terms.agent.kind,
        model=terms.model,
        prompt_tokens=terms.prompt_tokens,
        max_new_tokens=terms.max_new_tokens,
        preemptible=terms.preemptible,
        step=terms.step,
        agent_path=terms.agent.path,
        tree_weight=terms.agent.tree_weight,
        tenant_weight=terms.agent.tenant_weight,
        gang=terms.gang.id if terms.gang is not None else "",
        gang_size=terms.gang.size if terms.gang is not None else 0,
        prefixes=[pb.Prefix(key=each.key, tokens=each.tokens) for each in terms.prefixes],
    )
    return Submission(
        key=terms.key,
        hints=terms.agent.hints,
        arrived_at=terms.arrived_at,
        deadline=terms.deadline,
        details=details,
        tokens_done=terms.tokens_done,
    )
