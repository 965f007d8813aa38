"""Where tools may send to, between protobuf and the model."""

from aios.api.tool.v1 import egress_pb2
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.rpc.wire import stamp
from services.tool.service.egress import ShownEgress


def origins(policy: egress_pb2.EgressPolicy) -> tuple[str, ...] | None:
    """Return the origins that are left; None: all. Raises InvalidRequest."""
    if not policy.narrowed and policy.origins:
        raise InvalidRequest.field("policy.origins", "they hold only where `narrowed` is true")
    return tuple(policy.origins) if policy.narrowed else None


def write(shown: ShownEgress) -> egress_pb2.EgressPolicy:
    """Write where tools may send to."""
    kept = shown.narrowing
    return egress_pb2.EgressPolicy(
        narrowed=kept.origins is not None,
        origins=kept.origins or (),
        etag=str(kept.version) if kept.version else "",
        update_time=stamp(kept.updated_at),
        allowed=shown.allowed,
    )
