"""Judges what outputs are bound to: what is light beside the event loop, all else in processes apart."""

import asyncio
import hashlib
import weakref
from functools import partial

from gateway.errors import ConstraintInvalid
from gateway.inference.core import judging
from gateway.inference.core.questions import Calls, Finding, Keeping, Question
from gateway.inference.model import Constraint
from services.chassis.aside import aside
from services.chassis.auth.identity import caller_or_none
from services.chassis.judges import Judges, TooDear, Verdicts
from services.chassis.runtime.worker_process import Blame

_TARGET = "gateway.inference.core.judging:judging"


class ProcessJudge:
    """Answers questions, each of a tenant's once. `close` it. All methods belong to one event loop."""

    def __init__(self, *, told: Blame = lambda _name, _cause: None) -> None:
        self.judges = Judges(_TARGET, "constraint-judge", told=told)
        self._verdicts: Verdicts[Finding] = Verdicts()
        self._under_way: weakref.WeakValueDictionary[tuple[str, bytes], asyncio.Lock] = (
            weakref.WeakValueDictionary()
        )

    async def find(self, question: Question) -> Constraint | None:
        """Return what a backend is to be given; see ConstraintJudge.

        Whoever comes with the same question meanwhile waits for the same answer.
        """
        caller = caller_or_none()
        tenant = caller.tenant if caller is not None else ""
        digest = hashlib.sha256(question.encoded).digest()
        found = self._verdicts.get(tenant, digest)
        if found is None:
            key = (tenant, digest)
            async with self._under_way.setdefault(key, asyncio.Lock()):
                found = self._verdicts.get(tenant, digest) or await self._find(question)
                self._verdicts.put(tenant, digest, found, found.size)
        if found.refused:
            raise ConstraintInvalid(found.refused)
        return found.constraint

    async def keep(self, question: Question, output: str | None, calls: Calls) -> Keeping:
        """Hold a finished output against what it was bound to; see ConstraintJudge."""
        if question.keeps_in_a_moment(output, calls):
            return await aside(partial(judging.keep, question.encoded, output, calls))
        try:
            answer = await self.judges.ask(judging.packed(question.encoded, output, calls))
        except TooDear:  # what cannot be held against its form is not known to keep it
            return Keeping(output=False, calls=(False,) * len(calls))
        return judging.keeping_of(answer)

    async def close(self) -> None:
        """End the processes."""
        await self.judges.close()

    async def _find(self, question: Question) -> Finding:
        if question.light:
            return await aside(partial(judging.find, question.encoded))
        try:
            return judging.finding_of(await self.judges.ask(judging.packed(question.encoded)))
        except TooDear as error:
            raise ConstraintInvalid(f"the constraint cannot be used: {error}") from error
