"""The vocabulary of scheduling on the Dispatch stream."""

from aios.api.scheduler.v1 import dispatch_pb2 as pb
from services.chassis.dispatch.scheduling import Submission
from services.chassis.rpc.wire import hints_message


def submit_message(call: Submission) -> pb.Submit:
    """Write what never changes about a call; the stream adds where it stands."""
    gang = call.gang
    return pb.Submit(
        tenant=call.key.tenant,
        agent=call.key.agent,
        call=call.key.call,
        hints=hints_message(call.agent.hints),
        program=call.agent.program,
        agent_kind=call.agent.kind,
        agent_path=call.agent.path,
        tree_weight=call.agent.tree_weight,
        tenant_weight=call.agent.tenant_weight,
        model=call.model,
        lane=call.lane,
        prompt_tokens=call.prompt_tokens,
        max_new_tokens=call.max_new_tokens,
        preemptible=call.preemptible,
        step=call.step,
        gang=gang.id if gang is not None else "",
        gang_size=gang.size if gang is not None else 0,
        prefixes=[pb.Prefix(key=each.key, tokens=each.tokens) for each in call.prefixes],
        locks=[
            *(pb.Lock(name=name, limit=1) for name in call.locks),
            *(pb.Lock(name=name, limit=limit) for name, limit in call.allowances),
        ],
    )
