"""Changes that a repeat of the request does not do twice. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from services.chassis import codec
from services.chassis.quotas import Owner

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RequestIdentity:
    """Who does it, and how a repeat of it is recognised."""

    agent: str
    """Id of the calling agent: the owner of the scope, or one that it shares with."""
    method: str
    request_id: str = ""
    """Chosen by the caller; empty makes every call a new one."""
    digest: bytes = b""
    """Of the request: the same id with another digest is a mistake of the caller."""
    admin: bool = False
    """Whether it administers the tenant."""
    tree: str = field(default="", compare=False)
    """Id of the root above the agent, to charge the kept answer; empty where it is not known."""
    untrusted: bool = field(default=False, compare=False)
    """Whether nobody vouches for what the request leaves: its agent is marked, or not the owner's own."""

    def charged(self, tenant: str) -> Owner:
        """Whom the kept answer is charged to."""
        return Owner(tenant, self.agent, self.tree)


REPLIES: Final = "replies"
"""The quota of kept answers."""


class Replies(Protocol):
    """What a transaction knows of earlier requests."""

    def recall(self, actor: RequestIdentity) -> bytes | None:
        """Return the answer to this request; None when it is new.

        Raises IdempotencyMismatch.
        """
        ...

    def remember(self, actor: RequestIdentity, reply: bytes) -> None:
        """Keep the answer to a request."""
        ...


R = TypeVar("R", bound=Replies)


def run_once(tx: R, actor: RequestIdentity, kind: type[T], work: Callable[[R], T]) -> tuple[T, bool]:
    """Run a change; a repeat of the request gets the first answer, of type `kind`, and changes nothing.

    Returns the answer and whether it is the first. Raises IdempotencyMismatch and what `work` raises.
    """
    known = tx.recall(actor)
    if known is not None:
        return codec.decode(kind, known), False
    answer = work(tx)
    if actor.request_id:
        tx.remember(actor, codec.encode(answer))
    return answer, True
