"""Exchanges a caller's token for one that counts at another process alone, to go on there on its behalf.

The token that an agent holds counts at the gateway. What a manager is shown names the same agent and family,
but no other process takes it, so a manager that is broken into holds nothing that opens another. A token is
exchanged once for each process and kept, so that a call costs no question more.
"""

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Protocol

import grpc

from aios.api.access.v1 import access_pb2, access_pb2_grpc
from services.chassis.auth.identity import Caller, Principal
from services.chassis.auth.rules import RulesChanged, RuleSource
from services.chassis.rpc.client import Metadata, ServiceCredential, kernel_metadata, remaining
from services.chassis.rpc.errors import AccessUnavailable, DeadlineExceeded
from services.chassis.rpc.status import peer_error
from services.chassis.runtime.clock import Clock

_SECONDS: Final = 3.0
_SPARE_SECONDS: Final = 1.0
"""How long a token must still count to be used."""
_RENEW_SECONDS: Final = 30.0
_RENEW_SHARE: Final = 0.2
"""Renewed when this is left, or this part of its life where that is less."""
_AWAY: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,  # what a server that sheds a burst answers
)
_MOST_KEPT: Final = 20_000
_MOST_OF_ONE: Final = 32
"""Tokens kept for one agent, so that one that comes with ever new ones crowds out nobody else's."""


class TokenExchange(Protocol):
    """What makes the metadata with which a caller's call goes on at another process."""

    async def metadata(self, caller: Caller, audience: str) -> Metadata:
        """Return the metadata that continues a caller's call at the process `audience`.

        Raises AccessUnavailable, and what the access manager refuses the caller's token with.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Kept:
    token: str
    renew_at: float
    """On the monotonic clock, as the next one. Unit: seconds."""
    until: float
    holder: Principal | None
    who: tuple[str, str]
    """Tenant and id of the caller."""


_Key = tuple[bytes, str]


class AccessExchange:
    """Exchanges tokens at the access manager, each once: who asks meanwhile waits for the same answer.

    While access is away what is kept counts until it expires. What was revoked is dropped as soon as this
    process hears of it; the process that a token is for refuses it by itself, too.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        credential: ServiceCredential,
        clock: Clock,
        rules: RuleSource | None = None,
        *,
        most_kept: int = _MOST_KEPT,
    ) -> None:
        self._stub: access_pb2_grpc.AccessServiceAsyncStub = access_pb2_grpc.AccessServiceStub(channel)
        self._credential = credential
        self._clock = clock
        self._most_kept = most_kept
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._of: dict[tuple[str, str], dict[_Key, None]] = {}
        """What is kept for each caller, oldest first."""
        self._asking: dict[_Key, asyncio.Task[_Kept]] = {}
        self._changes = 0
        """Pieces of news so far: an answer that was asked for before the last one is not kept."""
        if rules is not None:
            rules.subscribe(self._learn)

    def __len__(self) -> int:
        return len(self._kept)

    async def metadata(self, caller: Caller, audience: str) -> Metadata:
        """Return the metadata that continues a caller's call; see TokenExchange."""
        return kernel_metadata(caller, await self._token(caller, audience) if caller.token else "")

    async def _token(self, caller: Caller, audience: str) -> str:
        key = (hashlib.sha256(caller.token.encode()).digest(), audience)
        kept, now = self._kept.get(key), self._clock.monotonic()
        if kept is not None and now < kept.renew_at:
            self._kept.move_to_end(key)
            return kept.token
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask(key, caller), name="exchange a token")
            asking.add_done_callback(lambda done: self._asked(key, done))
        try:
            # Who leaves does not end the question: others wait for the same answer.
            async with asyncio.timeout(remaining(caller)):
                return (await asyncio.shield(asking)).token
        except TimeoutError:
            raise DeadlineExceeded("the call ended while its token was being exchanged") from None
        except AccessUnavailable:
            if kept is not None and self._kept.get(key) is kept and now < kept.until:
                return kept.token
            raise

    async def _ask(self, key: _Key, caller: Caller) -> _Kept:
        changes = self._changes
        request = access_pb2.ExchangeTokenRequest(token=caller.token, audience=key[1])
        metadata = await self._credential.metadata()
        try:
            answer = await self._stub.ExchangeToken(request, timeout=_SECONDS, metadata=metadata)
        except grpc.aio.AioRpcError as failure:
            if failure.code() in _AWAY:
                raise AccessUnavailable(
                    "the caller's token cannot be exchanged: access cannot be asked", retry_after=1.0
                ) from failure
            self._drop(key)
            raise peer_error(failure) from failure
        now = self._clock.monotonic()
        life = answer.expire_time.ToDatetime(self._clock.now().tzinfo) - self._clock.now()
        seconds = life.total_seconds()
        until = now + max(0.0, seconds - _SPARE_SECONDS)
        made = _Kept(
            answer.token,
            until - min(_RENEW_SECONDS, seconds * _RENEW_SHARE),
            until,
            caller.credential,
            (caller.tenant, caller.agent),
        )
        if changes == self._changes and until > now:
            self._keep(key, made)
        return made

    def _keep(self, key: _Key, made: _Kept) -> None:
        self._drop(key)
        self._kept[key] = made
        own = self._of.setdefault(made.who, {})
        own[key] = None
        if len(own) > _MOST_OF_ONE:
            self._drop(next(iter(own)))
        if len(self._kept) > self._most_kept:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: _Key) -> None:
        dropped = self._kept.pop(key, None)
        if dropped is None:
            return
        own = self._of[dropped.who]
        del own[key]
        if not own:
            del self._of[dropped.who]

    def _asked(self, key: _Key, done: "asyncio.Task[_Kept]") -> None:
        self._asking.pop(key, None)
        if not done.cancelled():
            done.exception()  # told to whoever waits; who left needs it no more

    def _learn(self, change: RulesChanged) -> None:
        self._changes += 1
        gone = [
            key
            for key, kept in self._kept.items()
            if kept.holder is None or change.revocations.covers(kept.holder)
        ]
        for key in gone:
            self._drop(key)

    async def close(self) -> None:
        """End the questions under way."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
