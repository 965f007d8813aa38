"""Between the messages of AgentService and what the access manager knows."""

import dataclasses
from typing import Any, Final

from aios.api.agent.v1 import agent_pb2
from services.access.core.agent_tree import vouched_texts
from services.access.model.agents import Agent, AgentState, Purge, Token
from services.access.service.agent_keys import OldKeys, Rekeyed
from services.access.service.agents import Change, Changes, NewAgent, Registered
from services.chassis.auth.identity import Caller, Kind
from services.chassis.dispatch.scheduling import Caps, Hints, SchedulingClass
from services.chassis.rpc import names, wire
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.rpc.wire import stamp

CLASSES: Final = {
    agent_pb2.SCHEDULING_CLASS_UNSPECIFIED: SchedulingClass.NORMAL,
    agent_pb2.SCHEDULING_CLASS_REALTIME: SchedulingClass.REALTIME,
    agent_pb2.SCHEDULING_CLASS_INTERACTIVE: SchedulingClass.INTERACTIVE,
    agent_pb2.SCHEDULING_CLASS_NORMAL: SchedulingClass.NORMAL,
    agent_pb2.SCHEDULING_CLASS_BATCH: SchedulingClass.BATCH,
    agent_pb2.SCHEDULING_CLASS_IDLE: SchedulingClass.IDLE,
}
STATES: Final = {
    AgentState.ACTIVE: agent_pb2.AGENT_STATE_ACTIVE,
    AgentState.SUSPENDED: agent_pb2.AGENT_STATE_SUSPENDED,
    AgentState.KILLED: agent_pb2.AGENT_STATE_KILLED,
}
_TO_CLASS: Final = {
    known: number for number, known in CLASSES.items() if number != agent_pb2.SCHEDULING_CLASS_UNSPECIFIED
}
_OLD_KEYS: Final = {
    agent_pb2.OLD_KEYS_KEEP: OldKeys.KEEP,
    agent_pb2.OLD_KEYS_END_WITH_TOKENS: OldKeys.END_WITH_TOKENS,
}
_MAX_KEY: Final = 63
_MAX_VALUE: Final = 256


def new_agent(request: agent_pb2.RegisterAgentRequest) -> NewAgent:
    """Read an agent that is to be registered."""
    return NewAgent(
        id=request.agent_id,
        parent=request.parent,
        tenant=request.tenant,
        display_name=request.display_name,
        kind=request.kind,
        hints=wire.hints(request.hints),
        caps=wire.caps(request.caps) if request.HasField("caps") else None,
        labels=_labels(request.labels, "labels"),
        ttl=request.ttl.ToTimedelta() if request.HasField("ttl") else None,
        exist_ok=request.exist_ok and bool(request.agent_id),
    )


def changes(request: agent_pb2.UpdateAgentRequest) -> Changes:
    """Read the fields of an agent that are to be changed. Raises InvalidRequest for any other field."""
    values: dict[str, Any] = {}
    given = request.agent
    for path in request.update_mask.paths:
        if path == "hints":
            values["hints"] = wire.hints(given.hints)
        elif path == "caps":
            values["caps"] = wire.caps(given.caps)
        elif path == "labels":
            values["labels"] = _labels(given.labels, "agent.labels")
        elif path in ("display_name", "kind"):
            values[path] = getattr(given, path)
        else:
            raise InvalidRequest.field("update_mask", f"{path!r} cannot be changed")
    if not values:
        raise InvalidRequest.field("update_mask", "names no field")
    return Changes(**values)


def agent(found: Agent, tenant_weight: int, reader: Caller) -> agent_pb2.Agent:
    """Write an agent for who reads it."""
    other = reader.kind is Kind.AGENT and reader.agent != found.id
    return agent_pb2.Agent(
        name=names.agent_name(found.id),
        parent=names.agent_name(found.parent) if found.parent else "",
        display_name=found.display_name,
        kind=found.kind,
        state=STATES[found.state],
        hints=_hints(found.hints),
        labels=found.labels,
        etag=found.etag,
        create_time=stamp(found.create_time),
        update_time=stamp(found.update_time),
        tenant=found.tenant,
        caps=_caps(found.caps),
        ancestors=found.ancestors,
        tenant_weight=tenant_weight,
        untrusted_since=stamp(found.untrusted_since),
        expire_time=stamp(found.expire_time),
        untrusted_source=_without_path(found.untrusted_source) if other else found.untrusted_source,
        untrusted_texts=reader.kind is Kind.AGENT and not vouched_texts(found, reader.agent),
    )


def _without_path(source: str) -> str:
    """Return the name of a resource without what its owner chose freely: who reads it is not marked."""
    parsed = names.parse(source, field="source") if source else None
    return str(dataclasses.replace(parsed, id="")) if parsed and parsed.owner else source


def purge(found: Purge) -> agent_pb2.Purge:
    """Write a purge that a manager is to do."""
    return agent_pb2.Purge(tenant=found.tenant, agent=names.agent_name(found.agent), number=found.number)


def registered(made: Registered, shown: agent_pb2.Agent) -> agent_pb2.RegisterAgentResponse:
    """Write a new agent, `shown` as it is, with its credentials."""
    return agent_pb2.RegisterAgentResponse(
        agent=shown,
        credential=_credential(made.token),
        agent_key=made.key,
        existed=made.existed,
    )


def old_keys(given: agent_pb2.OldKeys) -> OldKeys:
    """Read what becomes of an agent's keys."""
    return _OLD_KEYS.get(given, OldKeys.END)


def rekeyed(made: Rekeyed, shown: agent_pb2.Agent) -> agent_pb2.IssueAgentKeyResponse:
    """Write an agent, `shown` as it is, with its new credentials."""
    return agent_pb2.IssueAgentKeyResponse(
        agent=shown, credential=_credential(made.token), agent_key=made.key
    )


def _credential(token: Token) -> agent_pb2.Credential:
    return agent_pb2.Credential(token=token.text, expire_time=stamp(token.expire_time))


def change(event: Change, shown: agent_pb2.Agent) -> agent_pb2.WatchAgentsResponse:
    """Write one event of the watch of agents; the agent is `shown` as it is after it."""
    return agent_pb2.WatchAgentsResponse(agent=shown, initial=event.initial, revision=event.agent.revision)


def _hints(found: Hints) -> agent_pb2.SchedulingHints:
    message = wire.hints_message(found)
    for field in ("priority", "policy"):  # an agent's default is shown as not set
        if not getattr(message, field):
            message.ClearField(field)
    return message


def _caps(found: Caps) -> agent_pb2.SchedulingCaps:
    policies = None if found.policies is None else agent_pb2.PolicyNames(names=sorted(found.policies))
    return agent_pb2.SchedulingCaps(
        highest_class=_TO_CLASS[found.highest_class],
        highest_weight=found.highest_weight,
        lowest_priority=found.lowest_priority,
        policies=policies,
        shortest_deadline=wire.duration(found.shortest_deadline),
    )


def _labels(given: Any, field: str) -> dict[str, str]:
    labels = dict(given)
    if any(len(key) > _MAX_KEY or len(value) > _MAX_VALUE for key, value in labels.items()):
        raise InvalidRequest.field(field, f"keys have at most {_MAX_KEY}, values {_MAX_VALUE} characters")
    return labels
