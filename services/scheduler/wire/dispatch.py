"""Between the messages of the Dispatch stream and the core's events and decisions."""

from google.protobuf.duration_pb2 import Duration

from aios.api.agent.v1 import agent_pb2
from aios.api.scheduler.v1 import dispatch_pb2
from services.chassis.dispatch.scheduling import Completion, SchedulingClass
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.rpc.wire import duration
from services.scheduler.core.events import (
    BackendDown,
    BackendLimits,
    BackendUp,
    Cancelled,
    DispatchGrant,
    Event,
    Finished,
    Preempt,
    Progress,
    Reject,
    Revoke,
    Submit,
    Yielded,
)
from services.scheduler.model import (
    Attempt,
    Call,
    Lock,
    Prefix,
    ResourceKind,
    SnapshotInfo,
)

CLASSES = {
    agent_pb2.SCHEDULING_CLASS_REALTIME: SchedulingClass.REALTIME,
    agent_pb2.SCHEDULING_CLASS_INTERACTIVE: SchedulingClass.INTERACTIVE,
    agent_pb2.SCHEDULING_CLASS_NORMAL: SchedulingClass.NORMAL,
    agent_pb2.SCHEDULING_CLASS_BATCH: SchedulingClass.BATCH,
    agent_pb2.SCHEDULING_CLASS_IDLE: SchedulingClass.IDLE,
}


def call_id(tenant: str, agent: str, call: str) -> str:
    """Build the id that names a call in the core. None of the parts holds a slash."""
    return f"{tenant}/{agent}/{call}"


def scoped(tenant: str, agent: str) -> str:
    """Build the name of an agent or program in the core: ids are unique within a tenant only."""
    return f"{tenant}/{agent}" if agent else ""


def lane(name: str) -> ResourceKind:
    """Read a lane; empty: inference."""
    return ResourceKind(name) if name else ResourceKind.INFERENCE


# From the gateway


def event(message: dispatch_pb2.DispatchRequest, gateway: str, now: float) -> Event | list[Event]:
    """Read one report of a gateway. Raises InvalidRequest for a second hello or an empty message."""
    match message.WhichOneof("message"):
        case "submit":
            return _submit(message.submit, gateway, now)
        case "progress":
            body = message.progress
            cached = body.cached_prompt_tokens if body.HasField("cached_prompt_tokens") else None
            return Progress(_id(body.key), body.tokens, body.number, cached, Attempt(gateway, body.attempt))
        case "yielded":
            return _yielded(message.yielded, gateway)
        case "ended":
            return _ended(message.ended, gateway)
        case "withdraw":
            return Cancelled(_id(message.withdraw.key), Attempt(gateway, message.withdraw.attempt))
        case "replica":
            return _replica(message.replica)
        case _:
            raise InvalidRequest.field("message", "expected a report; hello comes once, first")


def _submit(body: dispatch_pb2.Submit, gateway: str, now: float) -> Submit:
    hints, arrived_at = body.hints, now - _seconds(body.age)
    call = Call(
        id=call_id(body.tenant, body.agent, body.call),
        gateway=gateway,
        attempt=body.attempt,
        agent=scoped(body.tenant, body.agent),
        tenant=body.tenant,
        agent_kind=body.agent_kind,
        agent_path=tuple(scoped(body.tenant, each) for each in body.agent_path),
        program=scoped(body.tenant, body.program or body.agent),
        step_index=body.step,
        lane=lane(body.lane),
        resource=body.model,
        scheduling_class=CLASSES.get(hints.scheduling_class, SchedulingClass.NORMAL),
        priority=hints.priority,
        policy=hints.policy,
        weight=float(hints.weight or 1),
        tree_weight=float(body.tree_weight) or None,
        tenant_weight=float(body.tenant_weight or 1),
        arrived_at=arrived_at,
        due=arrived_at + _seconds(hints.deadline) if _seconds(hints.deadline) else None,
        deadline=now + _seconds(body.time_left) if body.HasField("time_left") else None,
        max_wait=_seconds(hints.max_wait) if hints.HasField("max_wait") else None,
        prompt_tokens=body.prompt_tokens,
        max_new_tokens=body.max_new_tokens,
        tokens_done=body.tokens_done,
        attained_seconds=_seconds(body.attained),
        waiting_since=now - _seconds(body.waiting_for) if body.HasField("waiting_for") else None,
        preemptions=body.preemption_count,
        preemptible=body.preemptible,
        prefixes=tuple(Prefix(each.key, each.tokens) for each in body.prefixes),
        locks=tuple(Lock(scoped(body.tenant, each.name), each.limit or 1) for each in body.locks),
        gang=body.gang,
        gang_size=body.gang_size,
    )
    return Submit(call, body.running_on or None, body.number, body.resubmission)


def _yielded(body: dispatch_pb2.Yielded, gateway: str) -> Yielded:
    snapshot = SnapshotInfo(replica=body.kv_replica, has_kv=bool(body.kv_replica))
    attempt = Attempt(gateway, body.attempt)
    return Yielded(_id(body.key), body.tokens_done, snapshot, body.number, body.replica_lost, attempt)


def _ended(body: dispatch_pb2.Ended, gateway: str) -> Finished:
    cached = body.cached_prompt_tokens if body.HasField("cached_prompt_tokens") else None
    completion, attempt = Completion(body.completion), Attempt(gateway, body.attempt)
    return Finished(_id(body.key), completion, body.tokens_done, body.number, cached, attempt)


def _replica(body: dispatch_pb2.ReplicaState) -> list[Event]:
    if not body.up:
        return [BackendDown(body.name)]
    up = BackendUp(
        replica=body.name,
        resource=body.model,
        slots=body.slots,
        lane=lane(body.lane),
        max_batch_total_tokens=body.max_batch_total_tokens or None,
        kv_snapshot=body.kv_snapshot,
    )
    if not body.HasField("queue_size"):
        return [up]
    return [up, BackendLimits(body.name, queue_size=body.queue_size)]


# To the gateway


def instruction(decision: DispatchGrant | Preempt | Revoke | Reject) -> dispatch_pb2.DispatchResponse:
    """Write one decision."""
    key, attempt = _key(decision.call_id), decision.attempt
    match decision:
        case DispatchGrant():
            grant = dispatch_pb2.Grant(
                key=key,
                replica=decision.replica,
                quantum_tokens=decision.quantum_tokens,
                max_new_tokens=decision.max_new_tokens,
                number=decision.epoch,
                wait=duration(decision.wait_seconds),
                attained=duration(decision.attained_seconds),
                attempt=attempt,
            )
            return dispatch_pb2.DispatchResponse(grant=grant)
        case Preempt():
            preempt = dispatch_pb2.Preempt(key=key, number=decision.epoch, attempt=attempt)
            return dispatch_pb2.DispatchResponse(preempt=preempt)
        case Revoke():
            revoke = dispatch_pb2.Revoke(
                key=key, number=decision.epoch, outcome=decision.outcome.value, attempt=attempt
            )
            return dispatch_pb2.DispatchResponse(revoke=revoke)
        case Reject():
            reject = dispatch_pb2.Reject(
                key=key,
                outcome=decision.outcome.value,
                message=decision.detail,
                attempt=attempt,
                facts=decision.facts,
            )
            if decision.retry_after:
                reject.retry_after.CopyFrom(duration(decision.retry_after))
            return dispatch_pb2.DispatchResponse(reject=reject)


def _id(key: dispatch_pb2.CallKey) -> str:
    return call_id(key.tenant, key.agent, key.call)


def _key(identifier: str) -> dispatch_pb2.CallKey:
    tenant, agent, call = identifier.split("/", 2)
    return dispatch_pb2.CallKey(tenant=tenant, agent=agent, call=call)


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9
