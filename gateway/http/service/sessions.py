"""The agents below a key's agent that clients' sessions become: joined when they call, retired when idle.

A retired agent has ended for good; when its session comes back it gets the next epoch's agent. One that a
person killed has not been retired, and its session stays refused.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from gateway.http.core.sessions import Session, parent_of
from gateway.http.model import Exchanged, Identity
from gateway.http.ports import Child, Children
from gateway.http.service.kept_tokens import RENEW_AT, KeptTokens, condemned
from services.chassis.auth.tokens import Authenticator
from services.chassis.rpc.errors import CredentialRevoked, KernelError
from services.chassis.runtime.clock import Clock
from services.chassis.runtime.logs import logger

_log = logger(__name__)

LABEL: Final = "door"
SESSION: Final = "session"
RETIRED: Final = "retired"
SEEN: Final = "door-seen"
"""Unix seconds of the last call that some gateway saw, told at most every so often."""
_TELL_SEEN_SECONDS: Final = 900.0
_TOLD_WHILE_IDLE: Final = 4
"""How often use is told at least in the time after which a session counts as idle."""
_EPOCHS: Final = 64
_FALLBACK_SECONDS: Final = 60.0
"""How long a session whose agent cannot be made calls as the key's own agent before that is tried again."""
_TO_THE_KEY: Final = frozenset({"AGENT_TREE_LIMIT", "PERMISSION_DENIED", "AGENT_NOT_FOUND"})
"""Why no agent can be made. An administrator's token names no agent that could have a child."""
_TAKEN: Final = frozenset({"AGENT_EXISTS", "AGENT_INACTIVE", "IDEMPOTENCY_MISMATCH"})
"""What says that an id cannot be joined. The last: a gateway of another version registered it."""

_UNSEEN: Final = frozenset({"AGENT_NOT_FOUND", "PERMISSION_DENIED"})
_MAX_WITHOUT: Final = 10_000

Root = tuple[str, str]
"""Tenant and agent of a key."""


class _NoPlace(Exception):
    """No agent can be made for a session."""


@dataclass(slots=True)
class _Used:
    child: str
    root: Root
    digest: bytes
    last: float
    """On the steady clock."""
    told: float
    """When its label was last set."""


@dataclass(slots=True)
class _RootToken:
    token: str
    renew_at: float


@dataclass(slots=True)
class Sessions:
    """The sessions that this gateway has seen, and the calls that run for them."""

    children: Children
    kept: KeptTokens
    authenticator: Authenticator
    clock: Clock
    idle_seconds: float = 3600.0
    _used: dict[bytes, _Used] = field(default_factory=dict)
    _roots: dict[Root, _RootToken] = field(default_factory=dict)
    _without: "OrderedDict[bytes, float]" = field(default_factory=OrderedDict)
    """Until when a session without an agent of its own is the key's. Apart from the tokens that are kept: a
    client can name any number of sessions, and must not push out with them what others need."""
    _running: "dict[asyncio.Task[object], Identity]" = field(default_factory=dict)
    _background: "set[asyncio.Task[None]]" = field(default_factory=set)

    async def identity(self, root: Identity, session: Session) -> Identity:
        """Return the identity of a session's agent; the root's own where none can be made.

        Raises AgentInactive when a person killed it, and what a call to access can end with.
        """
        key = (root.tenant, root.agent)
        self._know(key, root.token)
        digest = _digest(root, session)
        if self._without.get(digest, 0.0) > self.clock.monotonic():
            return root
        try:
            given = await self.kept.get(digest, partial(self._join, root, session), self._renew)
        except _NoPlace:
            self._note_without(digest)
            return root
        self._note_use(digest, key, given.agent)
        return Identity(
            given.agent,
            given.tenant,
            given.token,
            root=root.agent,
            root_token=root.token,
            key_digest=root.key_digest,
            session_digest=digest,
        )

    def forget(self, identity: Identity) -> None:
        """Drop the token of a session, because a call was refused for it."""
        self.kept.drop(identity.session_digest, identity.token)

    def run(self, identity: Identity, task: "asyncio.Task[object]") -> None:
        """Note that a task works for a session: it is cancelled when the key's token is revoked."""
        self._running[task] = identity
        task.add_done_callback(lambda done: self._running.pop(done, None))

    def rest(self, task: "asyncio.Task[object]") -> None:
        """Note that a task works for no session any more."""
        self._running.pop(task, None)

    async def check_running(self) -> None:
        """Cancel what runs below keys whose tokens were revoked: a child's own token does not tell."""
        for identity in set(self._running.values()):
            if await self._withdrawn(identity):
                for task in [task for task, of in self._running.items() if of == identity]:
                    task.cancel()

    async def retire_idle(self) -> None:
        """End the agents of sessions that have been idle for long, on every gateway."""
        await self._renew_roots()
        for running in set(self._running.values()):  # a call that lasts is use
            known = self._used.get(running.session_digest)
            if known is not None:
                self._note_use(known.digest, known.root, known.child)
        now = self.clock.monotonic()
        for used in [used for used in self._used.values() if now - used.last >= self.idle_seconds]:
            root = self._roots.get(used.root)
            if root is None:
                self._drop(used)
                continue
            try:
                child = await self.children.get(root.token, used.child)
                seen = await self._retire(root.token, child, used)
            except KernelError as error:
                _log.warning("an idle session's agent was not retired", agent=used.child, reason=error.reason)
                continue
            if seen is None:
                self._drop(used)
            else:
                used.last = max(used.last, now - (self._now() - seen))
        busy = {used.root for used in self._used.values()}
        busy |= {(running.tenant, running.root) for running in self._running.values()}
        self._roots = {root: known for root, known in self._roots.items() if root in busy}

    async def close(self) -> None:
        """End what is under way."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    async def _join(self, root: Identity, session: Session) -> Exchanged:
        """Register the session's agent, or find it registered. Raises _NoPlace."""
        parent = await self._parent_token(root, session)
        for epoch in range(_EPOCHS):
            child = session.child_id(root.tenant, root.agent, epoch)
            try:
                return await self.children.register(
                    parent, child, kind=session.kind, name=session.display_name, labels=self._labels()
                )
            except KernelError as error:
                if error.reason in _TO_THE_KEY:
                    break
                if error.reason not in _TAKEN or not await self._passed(root.token, child):
                    raise
        raise _NoPlace

    async def _parent_token(self, root: Identity, session: Session) -> str:
        """Return the token of the agent that registers the session's.

        A parent that is not known here yet is joined at once, not asked for with those who wait for it: two
        sessions that name each other as parent would wait for ever.
        """
        above = parent_of(session)
        if above is None:
            return root.token
        digest = _digest(root, above)
        try:
            given = await self.kept.peek(digest) or self.kept.put(digest, await self._join(root, above))
        except _NoPlace:
            return root.token
        self._note_use(digest, (root.tenant, root.agent), given.agent)
        return given.token

    async def _passed(self, token: str, child: str) -> bool:
        """Whether a taken id belongs to an epoch that has passed: retired, or too old to be joined again.

        One that is not to be seen is an agent of somebody else, who knew the session's name.
        """
        try:
            found = await self.children.get(token, child)
        except KernelError as error:
            if error.reason in _UNSEEN:
                return True
            raise
        return not found.killed or found.labels.get(LABEL) == RETIRED

    async def _renew(self, given: Exchanged) -> Exchanged:
        return await self.children.renew(given.token)

    def _know(self, key: Root, token: str) -> None:
        known = self._roots.get(key)
        if known is None:
            self._start(self._retire_left_over(key, token))
        if known is None or known.token != token:
            self._roots[key] = _RootToken(token, self.clock.monotonic() + _TELL_SEEN_SECONDS / 2)

    def _note_without(self, digest: bytes) -> None:
        self._without[digest] = self.clock.monotonic() + _FALLBACK_SECONDS
        self._without.move_to_end(digest)
        while len(self._without) > _MAX_WITHOUT:
            self._without.popitem(last=False)

    def _note_use(self, digest: bytes, root: Root, child: str) -> None:
        now = self.clock.monotonic()
        used = self._used.get(digest)
        if used is None or used.child != child:
            self._used[digest] = _Used(child, root, digest, now, now)
            return
        used.last = now
        if now - used.told >= min(_TELL_SEEN_SECONDS, self.idle_seconds / _TOLD_WHILE_IDLE):
            used.told = now
            self._start(self._tell_seen(root, child))

    async def _tell_seen(self, root: Root, child: str) -> None:
        known = self._roots.get(root)
        if known is None:
            return
        try:
            await self.children.label(known.token, child, self._labels())
        except KernelError as error:
            _log.warning("a session's agent was not marked as seen", agent=child, reason=error.reason)

    async def _retire_left_over(self, root: Root, token: str) -> None:
        """Retire what a gateway that is gone has left below a key's agent."""
        try:
            for child in await self.children.below(token):  # thousands, most of which have ended
                if child.killed or child.labels.get(LABEL) != SESSION:
                    continue
                if all(used.child != child.id for used in self._used.values()):
                    await self._retire(token, child)
        except KernelError as error:
            _log.warning("left-over agents were not retired", agent=root[1], reason=error.reason)

    async def _retire(self, token: str, child: Child, used: _Used | None = None) -> float | None:
        """End an agent, unless it or one below it was seen lately: return when, in Unix seconds; None: ended.

        Its end is that of all below it. Each is labelled before: an end that nothing explains is a person's
        doing, and its session is refused for ever.
        """
        if child.killed:
            return None
        tree = await self.children.below(token, child.id)
        below = [each for each in tree if not each.killed and each.id != child.id]
        seen = max(_seen(each) for each in (child, *below))
        if self._now() - seen < self.idle_seconds:
            return seen
        last = used.last if used is not None else 0.0
        going = [*(each for each in below if each.labels.get(LABEL) == SESSION), child]
        for each in going:
            await self.children.label(token, each.id, {**each.labels, LABEL: RETIRED})
        if used is not None and used.last != last:  # a call came meanwhile
            for each in going:
                await self.children.label(token, each.id, {**each.labels, **self._labels()})
            return self._now()
        await self.children.end(token, child.id)
        return None

    async def _renew_roots(self) -> None:
        now = self.clock.monotonic()
        for root, known in list(self._roots.items()):
            if now < known.renew_at:
                continue
            try:
                given = await self.children.renew(known.token)
            except KernelError as error:
                if condemned(error):
                    self._roots.pop(root, None)
                continue
            if self._roots.get(root) is known:
                self._roots[root] = _RootToken(given.token, now + RENEW_AT * given.seconds)

    async def _withdrawn(self, identity: Identity) -> bool:
        """Whether the credential that began some work was revoked; the agent's latest once it has expired."""
        known = self._roots.get((identity.tenant, identity.root))
        for token in filter(None, (identity.root_token, known.token if known is not None else "")):
            try:
                await self.authenticator.authenticate(token)
            except CredentialRevoked:
                return True
            except KernelError:  # expired, or not to be verified now: no withdrawal
                continue
            return False
        return False

    def _drop(self, used: _Used) -> None:
        self.kept.drop(used.digest)
        self._used.pop(used.digest, None)

    def _labels(self) -> Mapping[str, str]:
        return {LABEL: SESSION, SEEN: str(int(self._now()))}

    def _now(self) -> float:
        return self.clock.now().timestamp()

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _digest(root: Identity, session: Session) -> bytes:
    return hashlib.sha256(f"session\0{root.tenant}\0{root.agent}\0{session.value}".encode()).digest()


def _seen(child: Child) -> float:
    text = child.labels.get(SEEN, "0")
    return float(text) if text.isascii() and text.isdigit() else 0.0
