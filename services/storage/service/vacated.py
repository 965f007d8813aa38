"""Names that lost their file: their grants are revoked, and let nobody in until then.

A share is given for a file, but access knows only the file's name. A change that takes a file away from its
name records the name as vacated, in its own transaction (`UnitOfWork.vacate`). Then, and again with each
change of the owner until it succeeds, the grants on the name are revoked and the record is forgotten: only
the owner's token can revoke. While access cannot be reached, or after the process died between the two, the
record stands, and whom a grant from a vacated name would let in is refused here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import KernelError, PermissionDenied, ServiceUnavailable
from services.chassis.rpc.names import in_agent
from services.chassis.runtime.clock import Clock
from services.chassis.runtime.logs import logger
from services.storage.core.unit_of_work import NameVacated
from services.storage.model import RequestContext, VacatedName
from services.storage.ports import Access, FileIndex, Transaction

T = TypeVar("T")

_ATTEMPTS = 5
_BATCH = 200
_LANES = 64
_RETRY_SECONDS = 5.0
_MOST_KNOWN = 100_000

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Visit:
    """The paths that a call uses; another agent than the owner may use them by a grant."""

    call: RequestContext
    paths: tuple[str, ...]


class VacatedNames:
    """Ends the grants on vacated names, and keeps out whom they would let in."""

    def __init__(self, index: FileIndex, access: Access, clock: Clock) -> None:
        self._index = index
        self._access = access
        self._clock = clock
        self._settled: set[Scope] = set()
        """Scopes in which this process left no vacated name."""
        self._retry_at: dict[Scope, float] = {}
        self._lanes = [asyncio.Lock() for _ in range(_LANES)]

    def lane(self, scope: Scope) -> asyncio.Lock:
        """Return the lock under which grants of a scope are given and ended, so that no new one is ended."""
        return self._lanes[hash(scope) % _LANES]

    async def admit(
        self,
        visit: Visit,
        work: Callable[[Transaction], T],
        run: Callable[[Callable[[Transaction], T]], Awaitable[T]],
    ) -> T:
        """Let `run` run `work`, unless a grant from a vacated name may have let the caller in.

        The names are looked at in the transaction of `work`, so that no new file slips in between. A caller
        that holds no grant from there got in by other rights and is let in. Raises PermissionDenied, and what
        access raises when it cannot be asked.
        """
        if visit.call.agent == visit.call.scope.agent:
            return await run(work)
        cleared: set[VacatedName] = set()

        def admitted(tx: Transaction) -> T:
            found = set(tx.vacated_over(visit.paths)) - cleared
            if found:
                raise NameVacated(found)
            return work(tx)

        for _ in range(_ATTEMPTS):
            try:
                return await run(admitted)
            except NameVacated as vacated:
                self._settled.discard(visit.call.scope)
                await self._check_received(visit, vacated.names)
                cleared |= vacated.names
        raise ServiceUnavailable("the name is vacated again and again", retry_after=1.0)

    async def after_change(self, call: RequestContext, *, vacated: bool) -> None:
        """End what is to end, if the caller is the owner; what access cannot do now stays recorded."""
        scope = call.scope
        if vacated:
            self._settled.discard(scope)
        if call.agent != scope.agent or scope in self._settled:
            return
        if self._clock.monotonic() < self._retry_at.get(scope, 0.0):
            return  # access did not answer a moment ago; the caller need not wait for that again
        try:
            async with self.lane(scope):
                await self.end(scope)
        except KernelError as error:
            _log.warning("grants on vacated names still stand", agent=scope.agent, problem=error.message)
            self._bound(self._retry_at)
            self._retry_at[scope] = self._clock.monotonic() + _RETRY_SECONDS

    async def end(self, scope: Scope) -> None:
        """Revoke the grants on all vacated names and forget the names. The caller is the owner, in its lane.

        Raises what access raises; names that were not done stay recorded.
        """
        self._bound(self._settled)
        self._settled.add(scope)  # a name vacated from here on takes the scope out again
        try:
            while names := await self._index.read(scope, lambda tx: tx.vacated(limit=_BATCH)):
                await self._revoke(scope, names)
        except BaseException:
            self._settled.discard(scope)
            raise
        self._retry_at.pop(scope, None)

    async def _revoke(self, scope: Scope, names: list[VacatedName]) -> None:
        for grant in await self._access.grants():
            if _is_below(grant.resource, scope, names):
                await self._access.revoke(grant.name)
        await self._index.write(scope, lambda tx: tx.drop_vacated(names))

    async def _check_received(self, visit: Visit, names: Iterable[VacatedName]) -> None:
        for path in visit.paths:
            for grant in await self._access.received(file_name(visit.call.scope, path)):
                if _is_below(grant.resource, visit.call.scope, names):
                    raise PermissionDenied(
                        f"{path!r} was shared for a file that is no longer there", metadata={"path": path}
                    )

    @staticmethod
    def _bound(known: set[Scope] | dict[Scope, float]) -> None:
        if len(known) >= _MOST_KNOWN:
            known.clear()


def visit(caller: RequestContext | None, path: str) -> Visit | None:
    """Return the visit of a call to a path; None when storage reads for itself."""
    return Visit(caller, (path,)) if caller else None


def file_name(scope: Scope, path: str) -> str:
    """Return the resource name of a path."""
    return in_agent(scope.agent, "files", path).rstrip("/")


def _is_below(resource: str, scope: Scope, names: Iterable[VacatedName]) -> bool:
    vacated = (file_name(scope, name.path) for name in names)
    return any(resource == name or resource.startswith(name + "/") for name in vacated)
