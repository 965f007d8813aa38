"""The interface every policy implements, and the parts most of them share."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Final, Protocol

from services.scheduler.core.heap import Key, LazyHeap
from services.scheduler.core.scheduled_call import ScheduledCall
from services.scheduler.core.settings import CostModel
from services.scheduler.errors import PolicyParamsInvalid
from services.scheduler.model import ParamValue

LARGEST: Final = 1e12
"""Largest parameter of a policy, unless it says otherwise."""

Explanation = Mapping[str, float | int | str]
"""A policy key spelled out: part name to value, most significant part first."""


class PolicyContext(Protocol):
    """What a policy may ask about the state. Answers are cheap and change over time."""

    @property
    def cost(self) -> CostModel:
        """Shape of the backend, to turn tokens into seconds."""

    def attained(self, job: ScheduledCall) -> float:
        """Backend seconds the call's program has received."""

    def born(self, job: ScheduledCall) -> int:
        """Sequence number of the first call of the call's program."""


class Policy(ABC):
    """Orders the waiting calls of one class in one pool.

    Pure and synchronous: no clock, no randomness, no I/O. The core tells it everything that
    happens; it answers `pick`. Ties are broken by `job.seq`. A policy never writes to a job.

    The life of a call: on_submit, then (on_dispatch, on_tokens*, on_yield)*, then either
    on_dispatch, on_tokens*, on_finish, or on_cancel while it waits.
    """

    name: ClassVar[str] = ""

    in_arrival_order: ClassVar[bool] = False
    """True: no call is ever passed by a later one, so the core keeps no lane and no bypass."""

    preempts: bool = False
    """Whether `victims` can ever answer anything."""

    quantum_tokens: int = 0
    """Tokens between two chances to preempt; 0: calls run to their end."""

    def __init__(self, params: Mapping[str, ParamValue], context: PolicyContext) -> None:
        self.context = context
        reader = ParamReader(self.name, params)
        self.configure(reader)
        reader.done()

    def configure(self, params: "ParamReader") -> None:  # noqa: B027 - optional hook
        """Read the parameters. Called once; every one not read here is refused."""

    @abstractmethod
    def on_submit(self, job: ScheduledCall, now: float) -> None:
        """Note that a call starts to wait."""

    @abstractmethod
    def on_dispatch(self, job: ScheduledCall, now: float, uncached_tokens: int) -> None:
        """Note that a waiting call starts to run. It need not be the one `pick` named (lane, fit)."""

    @abstractmethod
    def on_cancel(self, job: ScheduledCall) -> None:
        """Note that a waiting call leaves without running."""

    @abstractmethod
    def on_yield(self, job: ScheduledCall, now: float) -> None:
        """Note that a running call waits again."""

    @abstractmethod
    def pick(self, now: float) -> ScheduledCall | None:
        """Return the call to run next, still waiting afterwards; the core commits with on_dispatch."""

    @abstractmethod
    def candidates(self, now: float) -> Iterator[ScheduledCall]:
        """Return waiting calls in the order of service, the picked one first."""

    @abstractmethod
    def explain(self, job: ScheduledCall, now: float) -> Explanation:
        """Return the key that places a waiting call, spelled out."""

    def on_adopt(self, job: ScheduledCall, now: float) -> None:  # noqa: B027 - optional hook
        """Note that a call that already runs comes under this policy (restart, policy change)."""

    def on_tokens(self, job: ScheduledCall, tokens: int, now: float) -> None:  # noqa: B027 - optional hook
        """Note that a running call brought forth tokens."""

    def on_finish(self, job: ScheduledCall, now: float) -> None:  # noqa: B027 - optional hook
        """Note that a running call ended, in whatever way."""

    def victims(
        self,
        candidate: ScheduledCall,  # noqa: ARG002 - hook
        running: Iterable[ScheduledCall],  # noqa: ARG002 - hook
        now: float,  # noqa: ARG002 - hook
    ) -> list[ScheduledCall]:
        """Return running calls that may be stopped in favour of `candidate`, best first."""
        return []

    def snapshot(self) -> bytes:
        """Learned state (counters), to be carried over a restart; not the waiting calls."""
        return b"{}"

    def restore(self, state: bytes) -> None:  # noqa: B027 - optional hook
        """Take over what `snapshot` gave."""

    def stats(self) -> Mapping[str, float]:
        """Gauges of the policy's own, by name."""
        return {}


class KeyedPolicy(Policy):
    """A policy whose order is one key per call. O(log n) amortised for every operation.

    The key may grow while a call waits (service of its program, levels): it is read again when
    the call comes to the front. It must not shrink.
    """

    def __init__(self, params: Mapping[str, ParamValue], context: PolicyContext) -> None:
        super().__init__(params, context)
        self.waiting: LazyHeap[ScheduledCall] = LazyHeap(self.key)

    @abstractmethod
    def key(self, job: ScheduledCall) -> Key:
        """Least is served first. Ends in `job.seq`."""

    def on_submit(self, job: ScheduledCall, now: float) -> None:  # noqa: ARG002 - the order needs no clock
        """Queue the call."""
        self.waiting.push(job)

    def on_dispatch(self, job: ScheduledCall, now: float, uncached_tokens: int) -> None:  # noqa: ARG002 - interface
        """Take the call out of the queue."""
        self.waiting.discard(job)

    def on_cancel(self, job: ScheduledCall) -> None:
        """Take the call out of the queue."""
        self.waiting.discard(job)

    def on_yield(self, job: ScheduledCall, now: float) -> None:  # noqa: ARG002 - the order needs no clock
        """Queue the call again."""
        self.waiting.push(job)

    def pick(self, now: float) -> ScheduledCall | None:  # noqa: ARG002 - the order needs no clock
        """Return the call with the least key."""
        return self.waiting.peek()

    def candidates(self, now: float) -> Iterator[ScheduledCall]:  # noqa: ARG002 - the order needs no clock
        """Return calls by growing key."""
        return self.waiting.ordered()


class ParamReader:
    """Reads a policy's parameters and collects everything wrong with them."""

    def __init__(self, policy: str, params: Mapping[str, ParamValue]) -> None:
        self._policy = policy
        self._left = dict(params)
        self._problems: list[str] = []

    def number(self, name: str, default: float, *, least: float = -LARGEST, most: float = LARGEST) -> float:
        """Return a number within bounds.

        Where `most` is infinite, infinity may be written as the text "inf"; elsewhere a key that is made of
        it would order nothing.
        """
        if name not in self._left:
            return default
        value = self._left.pop(name)
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            self._problems.append(f"{name} must be a number, not {value!r}")
            return default
        if not least <= number <= most:
            self._problems.append(f"{name} must lie in {least:g}..{most:g}, not {value!r}")
            return default
        return number

    def count(self, name: str, default: int, *, least: int = 1, most: int = 1_000_000_000) -> int:
        """Return a whole number within bounds."""
        number = self.number(name, default, least=least, most=most)
        if number != int(number):
            self._problems.append(f"{name} must be a whole number, not {number:g}")
            return default
        return int(number)

    def flag(self, name: str, *, default: bool) -> bool:
        """Return true or false; texts and 0/1 are understood."""
        value = self._left.pop(name, default)
        texts = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
        known = texts.get(str(value).lower())
        if known is None:
            self._problems.append(f"{name} must be true or false, not {value!r}")
            return default
        return known

    def choice(self, name: str, options: tuple[str, ...]) -> str:
        """One of `options`; the first is the default."""
        value = self._left.pop(name, options[0])
        if value not in options:
            self._problems.append(f"{name} must be one of {', '.join(options)}, not {value!r}")
            return options[0]
        return str(value)

    def done(self) -> None:
        """Raise PolicyParamsInvalid if anything was wrong or left over."""
        self._problems += [f"unknown parameter {name}" for name in self._left]
        if self._problems:
            raise PolicyParamsInvalid(self._policy, tuple(self._problems))


def dump(state: Mapping[str, object]) -> bytes:
    """Encode a policy's learned state."""
    return json.dumps(state, sort_keys=True, separators=(",", ":")).encode()


def load_numbers(state: bytes, field: str) -> dict[str, float]:
    """Decode one table of numbers out of `dump`; missing or foreign state is an empty table."""
    table = json.loads(state or b"{}").get(field, {})
    return {str(k): float(v) for k, v in table.items()} if isinstance(table, dict) else {}
