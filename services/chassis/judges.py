"""Judgements in processes apart: what native code is given from outside keeps no interpreter from others.

Compilers of schemas and patterns do not let go of the interpreter: in a thread beside the event loop they
stop it all the same. So they work in few processes, by turns of trees of agents. What was found is kept by
tenant, so that an honest agent's schema is judged once.
"""

from collections import OrderedDict
from typing import Final, Generic, TypeVar

from services.chassis.auth.identity import caller_or_none
from services.chassis.gate import FairGate, GateConfig, Visitor
from services.chassis.rpc.errors import RequestPoisoned, ServiceUnavailable
from services.chassis.runtime.poison import PoisonList
from services.chassis.runtime.worker_process import MIB, Blame
from services.chassis.runtime.workers import (
    Poisoned,
    WorkerDied,
    WorkerError,
    WorkerFailed,
    WorkerPool,
    WorkerSpec,
)

V = TypeVar("V")

PROCESSES: Final = 2
_TURNS: Final = GateConfig(
    running=PROCESSES, running_per_tenant=PROCESSES, running_per_tree=1, running_per_agent=1
)
_PLACES: Final = 256
"""What an entry weighs beside what is said of it, in bytes."""


class TooDear(Exception):
    """A judgement takes more time or memory than it may; in plain words."""


class Judges:
    """Processes that answer questions, a tree of agents one at a time. `close` them.

    They start with the first question. All methods belong to one event loop.
    """

    def __init__(
        self, target: str, name: str, *, told: Blame = lambda _name, _cause: None, cpu: float = 2.0
    ) -> None:
        """`target`: what makes the handler in a process, as `module:function`."""
        spec = WorkerSpec(
            name=name,
            target=target,
            memory=256 * MIB,
            cpu=cpu,
            wall=10.0,
            longest_answer=4 * MIB,
            site=False,
            niceness=1,
        )
        self._pool = WorkerPool(spec, poison=PoisonList(), size=PROCESSES, told=told)
        self._gate = FairGate(_TURNS)
        self.asked = 0
        """Questions that a process was given so far."""

    async def ask(self, question: bytes) -> bytes:
        """Return the answer to a question of the running call.

        Raises TooDear, RequestPoisoned for what has ended two processes, TooManyCalls or QueueFull when too
        many questions wait, DeadlineExceeded, ServiceUnavailable when no process starts or gets on.
        """
        async with self._gate.admit(Visitor.of(caller_or_none())):
            self.asked += 1
            try:
                return await self._pool.call(question)
            except Poisoned as error:
                raise RequestPoisoned("it has ended the process that judges it twice") from error
            except (WorkerDied, WorkerFailed) as error:
                raise TooDear("it takes too much time or memory to be judged") from error
            except WorkerError as error:
                raise ServiceUnavailable("schemas cannot be judged right now", retry_after=1.0) from error

    async def close(self) -> None:
        """End the processes."""
        await self._pool.close()


class Verdicts(Generic[V]):
    """What was found of texts, by tenant and digest: what was asked for last is kept longest.

    One tenant's verdicts crowd out its own alone; how many tenants have some is bounded too.
    """

    def __init__(self, *, tenant_bytes: int = 512 * 1024, tenants: int = 64) -> None:
        """Keep so many bytes of each of so many tenants."""
        self._tenant_bytes = tenant_bytes
        self._tenants = tenants
        self._kept: OrderedDict[str, OrderedDict[bytes, tuple[V, int]]] = OrderedDict()
        self._bytes: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    def get(self, tenant: str, digest: bytes) -> V | None:
        """Return a verdict; None: none is kept."""
        own = self._kept.get(tenant)
        found = own.get(digest) if own is not None else None
        if own is None or found is None:
            return None
        own.move_to_end(digest)
        self._kept.move_to_end(tenant)
        return found[0]

    def put(self, tenant: str, digest: bytes, verdict: V, size: int = 0) -> None:
        """Keep a verdict that weighs `size` bytes; one that weighs more than a tenant's share is not kept."""
        weight = size + len(digest) + _PLACES
        if weight > self._tenant_bytes:
            return
        own = self._kept.setdefault(tenant, OrderedDict())
        self._kept.move_to_end(tenant)
        _, before = own.pop(digest, (verdict, 0))
        own[digest] = verdict, weight
        self._bytes[tenant] = self._bytes.get(tenant, 0) + weight - before
        while self._bytes[tenant] > self._tenant_bytes:
            _, (_, gone) = own.popitem(last=False)
            self._bytes[tenant] -= gone
        if len(self._kept) > self._tenants:
            oldest, _ = self._kept.popitem(last=False)
            del self._bytes[oldest]
