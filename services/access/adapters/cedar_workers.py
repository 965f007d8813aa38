"""Decides in worker processes wherever a tenant's own policies count.

The kernel's own rules over data of a fixed shape are decided in this process. What a tenant wrote is read and
followed by native code elsewhere: a check that ends its worker, or takes too long, is refused as one that
cannot be decided, and the others of its batch are decided without it. A check that has ended two workers
is refused at once, and a set of policies that goes on ending them is not followed any more until it changes:
only what an administrator always keeps, which the kernel's rules alone decide, is permitted then.
"""

import asyncio
import json
import marshal
import pickle
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from services.access.adapters.cedar import CedarEngine, Evaluation, Question, decision_of, in_force
from services.access.adapters.cedar_handlers import UNKNOWN_SET
from services.access.core.decision_input import DecisionInput, Target
from services.access.model.rules import Check, Decision, Policy, Reason
from services.access.ports.outside import Case
from services.chassis.rpc.errors import AccessUnavailable
from services.chassis.runtime.blocking_workers import BlockingWorkers
from services.chassis.runtime.clock import Clock
from services.chassis.runtime.logs import logger
from services.chassis.runtime.poison import PoisonList, digest_of
from services.chassis.runtime.worker_process import MIB, Blame
from services.chassis.runtime.workers import WorkerDied, WorkerError, WorkerPool, WorkerSpec

_log = logger(__name__)

_MOST_IN_ONE: Final = 32
_INLINE: Final = 16
"""Checks by the kernel's rules alone that are decided on the event loop."""
SET_ENDS: Final = 8
"""Workers that the decisions under one set of policies may end before it is not followed any more."""
_Asked = tuple[Check, Target, DecisionInput]
_TROUBLE: Final = (WorkerError, ValueError, TypeError)


def spec_of(kernel_tenant: str, options: Iterable[str]) -> WorkerSpec:
    """Return what workers run that decide."""
    return WorkerSpec(
        name="policy-decisions",
        target="services.access.adapters.cedar_handlers:deciding",
        args=(kernel_tenant, ",".join(options)),
        memory=256 * MIB,
        cpu=1.5,
        wall=3.0,
        grace=1.0,
        longest_answer=MIB,
        stack=4 * MIB,
    )


class WorkerEngine:
    """A PolicyEngine. `decide` may be called from any thread, the rest belongs to one event loop."""

    def __init__(
        self,
        *,
        kernel_tenant: str,
        clock: Clock,
        options: Iterable[str] = (),
        poison: PoisonList | None = None,
        told: Blame = lambda _name, _cause: None,
        size: int = 2,
        set_ends: int = SET_ENDS,
        spec: WorkerSpec | None = None,
    ) -> None:
        options = tuple(options)
        self._base = CedarEngine(kernel_tenant=kernel_tenant, options=options)
        self._clock = clock
        poison = poison or PoisonList()
        self._ended_by_set = PoisonList(ends=set_ends)
        made = spec or spec_of(kernel_tenant, options)
        self._pool = WorkerPool(made, poison=poison, size=size, told=told, most_waiting=256, most_of_one=64)
        self._blocking = BlockingWorkers(lambda: WorkerPool(made, poison=poison, told=told))

    async def warm(self) -> None:
        """Start a worker, so that the first check need not wait for it. Raises AccessUnavailable."""
        try:
            await self._pool.warm()
        except WorkerError as error:
            raise AccessUnavailable("decisions cannot be made right now", retry_after=1.0) from error

    async def close(self) -> None:
        """End the workers."""
        await self._pool.close()
        await asyncio.to_thread(self._blocking.close)

    async def decide_all(self, cases: Sequence[Case]) -> list[Decision]:
        """Decide many checks, those under one set of policies together; see PolicyEngine."""
        found: list[Decision | None] = [None] * len(cases)
        groups: dict[tuple[Policy, ...], list[int]] = {}
        for at, case in enumerate(cases):
            groups.setdefault(in_force(case[0], case[3]), []).append(at)
        for policies, places in groups.items():
            for start in range(0, len(places), _MOST_IN_ONE):
                some = places[start : start + _MOST_IN_ONE]
                decided = await self._decide_some(policies, [cases[at][:3] for at in some])
                for at, decision in zip(some, decided, strict=True):
                    found[at] = decision
        return [decision for decision in found if decision is not None]

    def decide(
        self,
        check: Check,
        target: Target,
        given: DecisionInput,
        policies: tuple[Policy, ...],
        *,
        by_text: bool = False,
    ) -> Decision:
        """Decide one check, inside a transaction; see PolicyEngine."""
        case = (check, target, given)
        policies = in_force(check, policies, by_text=by_text)
        if not policies:
            return self._base.decide(*case, ())
        if self._is_given_up(policies):
            return self._refusal(given)
        question = self._base.question(check, target, given)
        message = _message(policies, [question], with_texts=True)
        digest = _digest(_message(policies, [question]))
        try:
            answer = self._blocking.call(message, source=_source(check), digest=digest)
            return _read(answer, [case])[0]
        except _TROUBLE as error:
            return self._undecided(case, policies, error)

    async def _decide_some(self, policies: tuple[Policy, ...], cases: list[_Asked]) -> list[Decision]:
        if not policies:
            if len(cases) > _INLINE:
                return await asyncio.to_thread(self._decide_plain, cases)
            return self._decide_plain(cases)
        if self._is_given_up(policies):
            return [self._refusal(given) for _, _, given in cases]
        if len(cases) > 1:
            try:
                return _read(await self._asked(policies, cases), cases)
            except _TROUBLE:
                pass  # one of them is to blame, and only alone it can be told which
        return [await self._decide_one(policies, case) for case in cases]

    async def _decide_one(self, policies: tuple[Policy, ...], case: _Asked) -> Decision:
        try:
            return _read(await self._asked(policies, [case]), [case])[0]
        except _TROUBLE as error:
            return self._undecided(case, policies, error)

    async def _asked(self, policies: tuple[Policy, ...], cases: Sequence[_Asked]) -> bytes:
        """Name the set of policies, and tell it only to a worker that does not have it."""
        source = _source(cases[0][0])
        questions = [self._base.question(*case) for case in cases]
        message = _message(policies, questions)
        digest = _digest(message) if len(cases) == 1 else None
        answer = await self._pool.call(message, source=source, digest=digest)
        if answer != UNKNOWN_SET:
            return answer
        message = _message(policies, questions, with_texts=True)
        return await self._pool.call(message, source=source, digest=digest)

    def _decide_plain(self, cases: Sequence[_Asked]) -> list[Decision]:
        return [self._base.decide(*case, ()) for case in cases]

    def _is_given_up(self, policies: tuple[Policy, ...]) -> bool:
        return bool(len(self._ended_by_set)) and self._ended_by_set.holds(_key(policies), time.monotonic())

    def _undecided(self, case: _Asked, policies: tuple[Policy, ...], error: Exception) -> Decision:
        _log.warning(
            "a check could not be decided",
            tenant=case[0].principal.tenant,
            action=case[0].action,
            why=type(error).__name__,
        )
        if isinstance(error, WorkerDied) and self._ended_by_set.blame(_key(policies), time.monotonic()):
            _log.error("policies are not followed any more", tenant=case[0].principal.tenant)
        return self._refusal(case[2])

    def _refusal(self, given: DecisionInput) -> Decision:
        """Refuse for now: the next time it is asked it is tried again."""
        return Decision(
            allowed=False,
            reason=Reason.POLICY_ERROR,
            revision=given.revision,
            expire_time=self._clock.now(),
            effect_matters=True,
        )


def _message(
    policies: tuple[Policy, ...], questions: Sequence[Question], *, with_texts: bool = False
) -> bytes:
    texts = pickle.dumps(policies) if with_texts else None
    return marshal.dumps((_key(policies), texts, list(questions)))


def _read(answer: bytes, cases: Sequence[_Asked]) -> list[Decision]:
    """Read what the policies say to each check. Raises ValueError or TypeError for anything else."""
    told: list[Any] = json.loads(answer)
    if not isinstance(told, list) or len(told) != len(cases):
        raise ValueError("another number of answers")
    return [
        decision_of(check, given, _evaluation(each))
        for (check, _, given), each in zip(cases, told, strict=True)
    ]


def _evaluation(told: list[Any]) -> Evaluation:
    allowed, broken, named, once_approved, unreadable, mentions_effect, deciders = told
    flags = (allowed, broken, once_approved, mentions_effect)
    if any(flag is not True and flag is not False for flag in flags) or (allowed and broken):
        raise ValueError("an answer at odds with itself")
    return Evaluation(
        allowed=allowed,
        broken=broken,
        named=tuple(map(str, named)),
        once_approved=once_approved,
        unreadable=tuple(map(str, unreadable)),
        mentions_effect=mentions_effect,
        deciders=tuple((str(who), str(since)) for who, since in deciders),
    )


def _source(check: Check) -> tuple[str, str]:
    return (check.principal.tenant, check.principal.agent)


def _digest(message: bytes) -> bytes:
    """Return what one check under one set of policies is recognised by."""
    return digest_of("decision", message)


@lru_cache(maxsize=512)
def _key(policies: tuple[Policy, ...]) -> bytes:
    fields = ((each.id, each.text, each.author_kind, each.create_time) for each in policies)
    return digest_of("policies", *("\n".join(map(str, each)).encode() for each in fields))
