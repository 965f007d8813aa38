"""The streams that run now, each authorised for as long as it lives.

A stream carries the credential and the permission it was opened with. What the process hears about the rules
is held against all of them before anything else is delivered: a stream whose credential was revoked ends, one
whose permission may have been withdrawn delivers nothing until the access manager has been asked again. One
event loop owns all of this; nothing here runs in a thread.
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from services.chassis.auth.authz_client import Authorizer, Permission, PermissionCheck
from services.chassis.auth.identity import Kind, Principal
from services.chassis.auth.rules import RulesChanged, RuleSource
from services.chassis.auth.tokens import LEEWAY_SECONDS, Revocations
from services.chassis.quotas import Cap, Owner
from services.chassis.rpc.errors import (
    AccessUnavailable,
    AgentInactive,
    CredentialExpired,
    CredentialRevoked,
    KernelError,
    SlowReader,
)
from services.chassis.runtime.clock import Clock
from services.chassis.runtime.logs import logger
from services.chassis.shares import Openings, Shares

_log = logger(__name__)

SWEEP_SECONDS: Final = 0.5
"""How often streams are looked at for credentials and permissions that have run out."""

PATIENCE_SECONDS: Final = 5.0
"""How long a stream in doubt waits for an access manager that cannot be asked; as long as reads are answered
from memory."""

_ASK_AGAIN_SECONDS: Final = 0.2

WATCHES: Final = Cap(256, 1024, 4096)
"""Watches that may be open at a process."""

READER_SECONDS: Final = 5.0
"""How long the reader of a stream may take nothing while the stream holds a place at a gate."""

_PAUSE_FACTOR: Final = 6
"""A stream that holds no place may rest so many times longer."""

UNREAD: Final = Cap(64, 128, 1024)
"""Streams that have ended and cannot say so: their reader takes nothing. Each still holds a message."""


class LiveStream:
    """One running stream: what it may do, and whether it may deliver right now."""

    __slots__ = (
        "_free",
        "_seen",
        "_seen_at",
        "_timer",
        "admitted",
        "checked_at",
        "doubted_at",
        "endless",
        "error",
        "holds_place",
        "missed",
        "once",
        "owner",
        "permitted_until",
        "principal",
        "question",
        "sending",
        "sent",
        "suspected",
        "unread",
    )

    def __init__(
        self, timer: asyncio.Timeout, *, endless: bool, holds_place: bool = False, once: bool = False
    ) -> None:
        self.endless = endless
        self.once = once
        """Whether it answers once. Such a call goes on as it was let in, unless its credential is revoked."""
        self.holds_place = holds_place
        """Whether it has a place at a gate for as long as it runs, as reads of files have."""
        self.sending = False
        """Whether a message is being handed to the transport, which takes it when the reader makes room."""
        self.sent = 0
        """Messages that were handed over."""
        self._seen = -1
        self._seen_at = 0.0
        self.owner: Owner | None = None
        """Whom it is charged to, where it counts as a watch."""
        self.unread: Owner | None = None
        """Whom it is charged to once it has ended unread."""
        self.principal: Principal | None = None
        self.admitted = False
        self.question: PermissionCheck | None = None
        """None for the kernel's own methods, which need no permission."""
        self.permitted_until = math.inf
        """Unix time in seconds."""
        self.checked_at = -math.inf
        """When its permission was confirmed last, on the monotonic clock."""
        self.doubted_at: float | None = None
        """Since when it delivers nothing; None: it may deliver."""
        self.suspected: KernelError | None = None
        """What it ends with in any case, unless the access manager knows a better reason."""
        self.missed = False
        """Whether rules changed while it was being let in."""
        self.error: KernelError | None = None
        """What ended it."""
        self._timer = timer
        self._free = asyncio.Event()

    async def may_deliver(self) -> None:
        """Return as soon as a message may be delivered. Raises what the stream ended with."""
        while self.error is None and self.doubted_at is not None:
            await self._free.wait()
        if self.error is not None:
            raise self.error

    def stalled(self, now: float) -> float:
        """Return how long the reader has taken nothing, as far as was looked. Call it again and again."""
        if not self.sending or self.sent != self._seen:
            self._seen, self._seen_at = (self.sent if self.sending else -1), now
            return 0.0
        return now - self._seen_at

    def doubt(self, now: float) -> None:
        """Deliver nothing until `trust` or `end`."""
        if self.doubted_at is None:
            self.doubted_at = now
            self._free.clear()

    def trust(self, now: float) -> None:
        """Deliver again: the permission stands."""
        self.checked_at, self.doubted_at = now, None
        self._free.set()

    def end(self, error: KernelError) -> None:
        """Interrupt the handler, now. The caller gets the first error that a stream ends with."""
        if self.error is None:
            self.error = error
            self._free.set()
            if not self._timer.expired():
                self._timer.reschedule(asyncio.get_running_loop().time())


class LiveStreams:
    """All running streams of a server, held against the rules as these change."""

    def __init__(
        self,
        authorizer: Authorizer,
        clock: Clock,
        *,
        watches: Cap = WATCHES,
        unread: Cap = UNREAD,
        reader_seconds: float = READER_SECONDS,
        ended: Callable[[str], None] = lambda _reason: None,
        openings: Openings | None = None,
    ) -> None:
        """Follow what `authorizer` hears; tell `ended` the reason of each stream that is ended from here."""
        self._authorizer = authorizer
        self._source = authorizer if isinstance(authorizer, RuleSource) else None
        self._clock = clock
        openings = Openings() if openings is None else openings
        self._watches = openings.add(Shares("watches", watches))
        self._unread = openings.add(Shares("unread_streams", unread))
        self._reader_seconds = reader_seconds
        self._ended = ended
        self._streams: set[LiveStream] = set()
        self._doubted: set[LiveStream] = set()
        self._revocations = Revocations()
        self._asking: asyncio.Task[None] | None = None
        if self._source is not None:
            self._source.subscribe(self.learn)

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, stream: LiveStream) -> None:
        """Follow a stream from its arrival on, so that no change is missed while it is being let in."""
        self._streams.add(stream)

    def identified(self, stream: LiveStream, principal: Principal) -> None:
        """Note who opened a stream."""
        stream.principal = principal

    def admitted(self, stream: LiveStream, question: PermissionCheck | None, permission: Permission) -> None:
        """Note the permission a stream was opened with, and count it.

        What changed while it was being let in is held against it now. Raises CredentialRevoked, and
        TooManyCalls when the agent, its tree or its tenant has too many watches or streams it does not read.
        """
        who, permitted_until = stream.principal, permission.until
        if who is not None and who.kind is not Kind.SERVICE:
            self._count(stream, Owner(who.tenant, who.agent, permission.tree or who.agent))
        if question is not None and who is not None:
            # Of the token only the verifier needs to know: streams of one agent ask the same question.
            bare = Principal(who.agent, who.tenant, who.kind, who.parent)
            stream.question = replace(question, principal=bare)
        stream.permitted_until = math.inf if permitted_until is None else permitted_until
        stream.checked_at = self._clock.monotonic()
        stream.admitted = True
        if not stream.missed:
            return
        if who is not None and self._revocations.covers(who):
            self._revoked(stream, who)
        if stream.error is not None:
            raise stream.error
        if stream.question is not None and (not stream.once or stream.suspected is not None):
            self._doubt([stream])

    def _count(self, stream: LiveStream, owner: Owner) -> None:
        if self._unread.held:
            self._unread.check(owner)
        if stream.endless:
            self._watches.take(owner)
        stream.owner = owner

    def close(self, stream: LiveStream) -> None:
        """Forget a stream that ended, however it ended. Its caller may have yet to be told: see `told`."""
        self._streams.discard(stream)
        self._doubted.discard(stream)
        owner, stream.owner = stream.owner, None
        if owner is None:
            return
        if stream.endless:
            self._watches.give_back(owner)
        if stream.sending:
            stream.unread = owner
            self._unread.add(owner)

    def told(self, stream: LiveStream) -> None:
        """Note that the caller has been told of the end, or is gone: nothing more is kept for it."""
        if stream.unread is not None:
            self._unread.give_back(stream.unread)
            stream.unread = None

    def learn(self, change: RulesChanged) -> None:
        """Hold a change against every stream. When this returns none delivers by the old rules."""
        self._revocations = change.revocations
        doubtful = []
        for stream in list(self._streams):
            who, question = stream.principal, stream.question
            if who is None or not stream.admitted:
                stream.missed = True
                continue
            if change.revocations.covers(who):
                self._revoked(stream, who)
            concerned = not stream.once and question is not None and change.concerns(who, question.resource)
            if stream.error is None and (concerned or stream.suspected is not None):
                doubtful.append(stream)
        self._doubt(doubtful)

    def _revoked(self, stream: LiveStream, who: Principal) -> None:
        """End a stream whose credential was revoked.

        When all of an agent's credentials were, as they are when it is killed, the access manager is asked
        for the reason first; the stream delivers nothing meanwhile.
        """
        error = CredentialRevoked("the credential that the stream was opened with was revoked")
        if stream.question is None or self._revocations.covers_token(who):
            self._end(stream, error)
        else:
            stream.suspected = error

    async def sweep(self) -> None:
        """End streams whose credential has run out or that nobody reads; ask again for permissions in doubt.

        In doubt are those that have run out, and all while the rules' changes go unheard.
        """
        now, wall = self._clock.monotonic(), self._clock.now().timestamp()
        deaf = self._source is not None and not self._source.live
        doubtful = []
        for stream in list(self._streams):
            who = stream.principal
            if who is None or stream.once:
                continue
            patience = self._reader_seconds * (1 if stream.holds_place else _PAUSE_FACTOR)
            if stream.stalled(now) >= patience:
                self._end(stream, SlowReader(f"nothing of the stream was taken for {patience:g} s"))
            elif wall >= who.ends_at + LEEWAY_SECONDS:
                self._end(stream, CredentialExpired("the credential that the stream was opened with expired"))
            elif stream.question is not None and (
                wall >= stream.permitted_until or (deaf and now - stream.checked_at > PATIENCE_SECONDS)
            ):
                doubtful.append(stream)
        self._doubt(doubtful)

    def _end(self, stream: LiveStream, error: KernelError) -> None:
        if stream.error is None:
            self._ended(error.reason)
            stream.end(error)
            self._doubted.discard(stream)

    def _doubt(self, streams: Iterable[LiveStream]) -> None:
        now = self._clock.monotonic()
        for stream in streams:
            stream.doubt(now)
            self._doubted.add(stream)
        if self._doubted and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask(), name="check streams again")

    async def _ask(self) -> None:
        """Ask for the permissions in doubt until none is, each distinct question once."""
        while self._doubted:
            batch, self._doubted = self._doubted, set()
            questions = {stream.question for stream in batch if stream.question is not None}
            asked = list(questions)
            answers = dict(zip(asked, await asyncio.gather(*map(self._answer, asked)), strict=True))
            undecided = False
            for stream in batch:
                # What changed while the question was on its way is asked for again.
                if stream.question is not None and stream not in self._doubted and stream in self._streams:
                    undecided |= not self._settle(stream, answers[stream.question])
            if undecided:
                await asyncio.sleep(_ASK_AGAIN_SECONDS)

    async def _answer(self, question: PermissionCheck) -> KernelError | float | None:
        """Return why not, or until when: None for as long as the rules stay."""
        try:
            return (await self._authorizer.authorize(question)).until
        except KernelError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whatever it is, the streams must not wait for ever
            _log.error("a permission could not be asked for", exc=error, action=question.action)
            return AccessUnavailable("the permission of the stream could not be asked for", retry_after=1.0)

    def _settle(self, stream: LiveStream, answer: KernelError | float | None) -> bool:
        """Let a stream go on or end it; False when that cannot be told yet."""
        now = self._clock.monotonic()
        if stream.suspected is not None:
            self._end(stream, answer if isinstance(answer, AgentInactive) else stream.suspected)
        elif isinstance(answer, AccessUnavailable):
            if stream.doubted_at is not None and now - stream.doubted_at < PATIENCE_SECONDS:
                self._doubted.add(stream)
                return False
            self._end(stream, answer)
        elif isinstance(answer, KernelError):
            self._end(stream, answer)
        else:
            stream.permitted_until = math.inf if answer is None else answer
            stream.trust(now)
        return True

    async def stop(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
