"""Responses that go on without a connection, in whatever process: jobs of this one.

What a job needs is stored before its client is told its id. A process that runs it holds a claim; one that is
asked about a response whose claim ran out takes it over, under the same request id, so that it goes on from
the last checkpoint. How it ended is told once: the one context that holds the end can be made only once.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common.hints import Tier
from gateway.http.kernel import Kernel
from gateway.http.model import Identity
from gateway.http.responses.answer import Head, Json, failure
from gateway.http.responses.encoder import Told
from gateway.http.responses.fitting import TOO_LONG, Fitter
from gateway.http.responses.ids import digits_of
from gateway.http.responses.model import Keeper, Record
from gateway.http.responses.offered import Offered
from gateway.http.responses.owner import Owner
from gateway.http.responses.request import shown_text
from gateway.http.responses.service.claims import Claims
from gateway.http.responses.service.keeping import Library, pending_name
from gateway.http.responses.stream import Composer
from services.chassis import quotas
from services.chassis.bodies import Root, own_root
from services.chassis.chat import ChatMessage
from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.quotas import Cap
from services.chassis.rpc import chat_wire
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import DataCorrupt, Internal, KernelError, ServiceUnavailable
from services.chassis.runtime.logs import logger
from services.chassis.shares import Shares

_log = logger(__name__)

_RENEWABLE: Final = frozenset({"CREDENTIAL_EXPIRED", "CREDENTIAL_REVOKED"})
_LATER: Final = frozenset(
    {
        "CREDENTIAL_EXPIRED",
        "CREDENTIAL_REVOKED",
        "CREDENTIAL_INVALID",
        "AGENT_INACTIVE",
        "ACCESS_UNAVAILABLE",
        "DRAINING",
    }
)
"""After these the agent, or another process, may go on; the response has not failed."""
_FOR_GOOD: Final = frozenset(
    {Code.NOT_FOUND, Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION, Code.ALREADY_EXISTS}
)
"""What says that a turn will never be taken, however often it is tried."""
_TRIES: Final = 5
_PAUSE: Final = 0.5
_LET_GO_SECONDS: Final = 3.0
_BLOCK: Final = 1024
"""Characters of a block of text that is full."""
_BEATS: Final = 3
"""Renewals in the time of a claim."""

Key = tuple[str, str, str]


@dataclass(slots=True)
class Job:
    """One response in the making, as those who follow it see it: its text as it grows, and its end."""

    owner: Owner
    record: Record
    digits: str
    admitted: bool = False
    result: Json | None = None
    """How it ended."""
    ended: bool = False
    """Whether this process is done with it; without a result another one may go on."""
    characters: int = 0
    """What the model has written so far, what its client does not see included."""
    task: "asyncio.Task[None] | None" = None
    _blocks: list[str] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def admit(self) -> None:
        """Note that it runs."""
        self.admitted = True
        self._tell()

    def say(self, text: str) -> None:
        """Add text. Pieces become blocks, so that a long answer takes hardly more than its text."""
        if self._blocks and len(self._blocks[-1]) < _BLOCK:
            self._blocks[-1] += text
        else:
            self._blocks.append(text)
        self._tell()

    def end(self) -> None:
        """Let go of those who follow."""
        self.ended = True
        self._tell()

    async def follow(self) -> AsyncGenerator[Told, None]:
        """Tell it from the beginning, and how it ended.

        Raises ServiceUnavailable when another process has to go on.
        """
        block = characters = 0
        begun = False
        while True:
            changed = self._changed
            if self.admitted and not begun:
                begun = True
                yield pb.StreamGenerateResponse(event=pb.GenerationEvent(admitted=pb.Admitted()))
            while block < len(self._blocks):
                text = self._blocks[block][characters:]
                if len(self._blocks[block]) < _BLOCK:
                    characters += len(text)
                    if text:
                        yield _delta(text)
                    break
                block, characters = block + 1, 0
                if text:
                    yield _delta(text)
            if self.ended:
                break
            await changed.wait()
        if self.result is None:
            raise ServiceUnavailable("the response goes on elsewhere; ask for it again", retry_after=1.0)
        yield self.result

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


@dataclass(frozen=True, slots=True)
class Limits:
    """How many jobs there may be, and how long one may take."""

    per_agent: int
    seconds: float
    total: int = 1024
    root: Root = own_root
    """Tells the root of an agent's tree."""


class Background:
    """The jobs of this process."""

    def __init__(
        self, kernel: Kernel, library: Library, claims: Claims, fitter: Fitter, limits: Limits
    ) -> None:
        self._kernel = kernel
        self._fitter = fitter
        self._library = library
        self._claims = claims
        self._limits = limits
        self._jobs: dict[Key, Job] = {}
        cap = Cap.of(limits.per_agent)
        self.shares = Shares("background_responses", cap, most=limits.total, retry_after=5.0)

    def job(self, keeper: Keeper, digits: str) -> Job | None:
        """Return the job of a response, if this process runs it."""
        return self._jobs.get((keeper.tenant, keeper.agent, digits))

    def check_room(self, keeper: Keeper) -> None:
        """Raise TooManyCalls when the agent, its tree, its tenant or this process has as many as it may."""
        self.shares.check(self._charged(keeper))

    def _charged(self, keeper: Keeper) -> quotas.Owner:
        return quotas.Owner(keeper.tenant, keeper.agent, self._limits.root(keeper.tenant, keeper.agent))

    async def ensure(
        self, owner: Owner, keeper: Keeper, record: Record, *, resume: bool = True
    ) -> Job | None:
        """Return the job of a response that has not ended.

        None while another process runs it, or this one has no room for it.
        """
        digits = digits_of(record.id) or ""
        running = self.job(keeper, digits)
        if running is not None:
            return running
        try:
            self.check_room(keeper)
        except TooManyCalls:
            return None  # who asks is told how it stands all the same
        if not await self._claims.take(keeper, pending_name(digits)):
            return None
        running = self.job(keeper, digits)  # two requests of this process may have asked at once
        return running if running is not None else self._start(owner, keeper, record, digits, resume=resume)

    async def end(self, keeper: Keeper, digits: str) -> None:
        """End a response's job, if it runs here, and wait for that."""
        job = self.job(keeper, digits)
        if job is not None and job.task is not None:
            job.task.cancel()
            await asyncio.wait({job.task}, timeout=_LET_GO_SECONDS)

    async def stop(self) -> None:
        """End all jobs; their claims are given back, so that another process goes on at once."""
        tasks = {job.task for job in self._jobs.values() if job.task is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_LET_GO_SECONDS)

    def _start(self, owner: Owner, keeper: Keeper, record: Record, digits: str, *, resume: bool) -> Job:
        job = Job(owner, record, digits)
        key = (keeper.tenant, keeper.agent, digits)
        self._jobs[key] = job
        charged = self._charged(keeper)
        self.shares.add(charged)
        job.task = asyncio.create_task(self._run(job, key, charged, resume=resume), name=f"response {digits}")
        return job

    async def _run(self, job: Job, key: Key, charged: quotas.Owner, *, resume: bool) -> None:
        """Generate while the claim holds; then let go of everything, whatever happened."""
        work = asyncio.create_task(self._work(job, resume=resume))
        beat = asyncio.create_task(self._beat(job))
        try:
            await asyncio.wait({work, beat}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, beat):
                task.cancel()
            await asyncio.wait({work, beat})
            if not work.cancelled() and (broken := work.exception()) is not None:
                _log.error("a response in the background broke", exc=broken)
            if job.result is None:
                await self._let_go(job)
            self._jobs.pop(key, None)
            self.shares.give_back(charged)
            job.end()

    async def _beat(self, job: Job) -> None:
        """Renew the claim; return when it is lost, because another process has it or the response is gone."""
        name = pending_name(job.digits)
        while True:
            await asyncio.sleep(self._claims.seconds / _BEATS)
            try:
                if not await self._claims.take(await job.owner.keeper(), name):
                    return
            except KernelError:
                continue  # the claim may hold longer than the trouble, and how it ends is told only once

    async def _let_go(self, job: Job) -> None:
        """Give the claim back, and look how another process ended it, if that is why it was lost."""
        with contextlib.suppress(KernelError, TimeoutError):
            async with asyncio.timeout(_LET_GO_SECONDS):
                keeper = await job.owner.keeper()
                await self._claims.release(keeper, pending_name(job.digits))
                found = await self._library.find(keeper, job.digits)
                job.result = found.response if found is not None else None

    async def _work(self, job: Job, *, resume: bool) -> None:
        """Generate and settle."""
        head = Head.of(job.record.response)
        try:
            request = request_of(job.record)
            composer = Composer(head, offered(job.record), shown_text(request), by_text=True)
            composer.created()
            await self._generate(job, composer, request, resume=resume)
        except KernelError as error:
            if error.reason in _LATER:
                return
            status = "cancelled" if error.reason == "CANCELLED" else "failed"
            told = {} if status == "cancelled" else {"error": failure(error)}
            await self._settle(job, head.response(status, **told), ())
            return
        made = composer.composed
        if made is None:
            raise Internal("a generation ended without an answer")
        response = made.response(head, self._library.now())
        await self._settle(job, response, (chat_wire.message(made.message),))

    async def _generate(
        self, job: Job, composer: Composer, request: pb.GenerateRequest, *, resume: bool
    ) -> None:
        """Follow the generation to its end, with fresh tokens as they run out. Raises what it ends with."""
        fitted = job.record.response.get("truncation") != "auto"
        tier = Tier(wanted=job.record.work is not None and job.record.work.tier)
        while True:
            if resume:
                request.resume.after_sequence = 0  # takes up the last checkpoint
            identity = await job.owner.identity()
            job.owner.identities.begin(identity)
            try:
                await self._follow(job, composer, request, identity)
            except KernelError as error:
                if error.reason in TOO_LONG and not fitted:
                    fitted = True
                    await self._fitter.fit(await job.owner.keeper(), request)
                    continue
                if tier.give_up(request, error):
                    composer.head.echo["service_tier"] = tier.applied
                    continue
                if error.reason not in _RENEWABLE or not job.owner.identities.forget(identity):
                    raise
                resume = True
            else:
                return
            finally:
                job.owner.identities.end()

    async def _follow(
        self, job: Job, composer: Composer, request: pb.GenerateRequest, identity: Identity
    ) -> None:
        """Follow one stream. It tells all text from the beginning, that of an earlier one too."""
        known = job.characters
        call = self._kernel.inference.StreamGenerate(
            pb.StreamGenerateRequest(generation=request),
            metadata=job.owner.metadata(identity),
            timeout=self._limits.seconds,
        )
        async for message in call:
            event = message.event
            if event.HasField("delta"):
                skipped = min(known, len(event.delta.text))
                known -= skipped
                event.delta.text = event.delta.text[skipped:]
                job.characters += len(event.delta.text)
            before = len(composer.pieces)
            composer.feed(event)
            if not job.admitted:
                job.admit()
            for piece in composer.pieces[before:]:
                job.say(piece)

    async def _settle(self, job: Job, response: Json, answer: tuple[ChatMessage, ...]) -> None:
        """Store how it ended, unless somebody has; tell that to those who follow."""
        for attempt in range(_TRIES):
            try:
                job.result = await self._library.settle(
                    await job.owner.keeper(), job.record, response, answer
                )
            except KernelError as error:
                if answer and error.code in _FOR_GOOD and error.reason not in _LATER:
                    # Its conversation takes no turn, since it was deleted or the like. That is how it ends:
                    # left open, it would be generated again for each who asks.
                    head = Head.of(job.record.response)
                    response, answer = head.response("failed", error=failure(error)), ()
                    continue
                if error.reason in _LATER or attempt == _TRIES - 1:
                    _log.warning("the end of a response could not be stored", reason=error.reason)
                    return
                await asyncio.sleep(_PAUSE * 2**attempt)
            else:
                return


def request_of(record: Record) -> pb.GenerateRequest:
    """Return the kernel's request of a response that has not ended. Raises DataCorrupt."""
    try:
        return pb.GenerateRequest.FromString(record.work.request if record.work is not None else b"")
    except DecodeError:
        raise DataCorrupt("what the response was to be made from cannot be read") from None


def offered(record: Record) -> Offered:
    """Return what tells its calls back."""
    return Offered.known(record.work.kinds if record.work is not None else {})


def _delta(text: str) -> pb.StreamGenerateResponse:
    return pb.StreamGenerateResponse(event=pb.GenerationEvent(delta=pb.Delta(text=text)))
