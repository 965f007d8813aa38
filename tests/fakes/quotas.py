"""Managers in this process without a socket, for agents of one tenant whose trees are known."""

from typing import Any, Final

from prometheus_client import CollectorRegistry

from services.chassis.auth.authz_client import Permission, PermissionCheck
from services.chassis.quotas import Cap, caps_of
from services.chassis.rpc.local import LocalChannel
from services.chassis.rpc.methods import table
from services.chassis.rpc.pipeline import Pipeline
from services.chassis.runtime.metrics import RpcMetrics
from services.chassis.runtime.server import Servicer
from tests.fakes.access import AllowOwner
from tests.fakes.tokens import ISSUER_FOR_TESTS

ROOT: Final = "root"
CHILD: Final = "child"
"""Registered below ROOT: of its tree."""
OTHER: Final = "other"
"""Of the same tenant, and a tree of its own."""
TREES: Final = {ROOT: ROOT, CHILD: ROOT, OTHER: OTHER}


class WithTrees(AllowOwner):
    """Permits as the rules of ownership do, and knows the tree of each agent."""

    async def authorize(self, question: PermissionCheck) -> Permission:
        """Return the permission, or raise PermissionDenied."""
        await super().authorize(question)
        collection, _, rest = question.resource.partition("/")
        owner = rest.partition("/")[0] if collection == "agents" else ""
        return Permission(tree=TREES.get(question.principal.agent, ""), owner_tree=TREES.get(owner, ""))


def tight(config: Any, quota: str, unit: int = 1) -> Any:
    """Return a config with loose caps but of one quota: two units an agent, three a tree, four a tenant."""
    loose = dict.fromkeys(caps_of(config), Cap.of(1 << 40))
    caps = {**loose, quota: Cap(2 * unit, 3 * unit, 4 * unit)}
    changed = {f"quota_{name}": cap for name, cap in caps.items()}
    return type(config)(**changed)


def local_channel(*servicers: Servicer) -> Any:
    """Return a channel to servicers behind the pipeline that every call passes."""
    pipeline = Pipeline(
        table(*(descriptor for _, _, descriptor in servicers)),
        authenticator=ISSUER_FOR_TESTS.verifier(),
        authorizer=WithTrees(),
        metrics=RpcMetrics(CollectorRegistry()),
    )
    for add, servicer, _ in servicers:
        add(servicer, pipeline)
    return LocalChannel(pipeline)
