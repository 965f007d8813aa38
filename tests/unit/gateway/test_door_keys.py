"""Keys at the door: exchanged once, renewed in time, refused when wrong, worthless once revoked."""

import asyncio
import contextlib
import gc
import weakref
from dataclasses import dataclass, field

import pytest

from gateway.http.model import Exchanged
from gateway.http.service.kept_tokens import KeptTokens
from gateway.http.service.keys import Keys, credential_of
from services.chassis.auth.identity import Kind, Principal
from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.rpc.errors import (
    AccessUnavailable,
    CredentialInvalid,
    CredentialMissing,
    CredentialRevoked,
    KernelError,
)
from tests.fakes.clock import FakeClock


@dataclass
class Exchange:
    """Knows the keys `key-of-NAME`; each exchange gives another token."""

    asked: list[str] = field(default_factory=list)
    away: bool = False
    busy: bool = False
    hold: asyncio.Event | None = None

    async def exchange(self, key: str, _peer: str) -> Exchanged:
        self.asked.append(key)
        if self.hold is not None:
            await self.hold.wait()
        if self.away:
            raise AccessUnavailable("away")
        if self.busy:
            raise TooManyCalls("busy")
        if not key.startswith("key-of-"):
            raise CredentialInvalid("wrong")
        return Exchanged(key.removeprefix("key-of-"), "acme", f"token-{len(self.asked)}", 600.0)


@dataclass
class Tokens:
    """Accepts every token that was not revoked."""

    revoked: set[str] = field(default_factory=set)

    async def authenticate(self, token: str) -> Principal:
        if token in self.revoked:
            raise CredentialRevoked("revoked")
        return Principal("planner", "acme", Kind.AGENT)


@dataclass
class Desk:
    exchange: Exchange = field(default_factory=Exchange)
    tokens: Tokens = field(default_factory=Tokens)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        kept = KeptTokens(self.tokens, self.clock, limit=3)
        self.keys = Keys(self.exchange, self.tokens, self.clock, kept)

    async def token(self, key: str = "key-of-amy", peer: str = "1.2.3.4") -> str:
        return (await self.keys.identity(key, peer)).token


async def test_a_key_is_exchanged_once_and_kept() -> None:
    desk = Desk()

    assert [await desk.token() for _ in range(3)] == ["token-1"] * 3
    assert desk.exchange.asked == ["key-of-amy"]


async def test_many_at_once_ask_once_and_one_that_leaves_does_not_end_it_for_the_others() -> None:
    desk = Desk(Exchange(hold=asyncio.Event()))
    assert desk.exchange.hold is not None
    asking = [asyncio.create_task(desk.token()) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    desk.exchange.hold.set()

    assert await asyncio.gather(*asking[1:]) == ["token-1"] * 4
    assert len(desk.exchange.asked) == 1


async def test_a_token_is_renewed_before_it_ends_while_the_old_one_serves() -> None:
    desk = Desk()
    await desk.token()
    desk.clock.advance(500)

    assert await desk.token() == "token-1"
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await desk.token() == "token-2"


async def test_while_access_is_away_a_token_serves_until_it_expires() -> None:
    desk = Desk()
    await desk.token()
    desk.exchange.away = True
    desk.clock.advance(500)
    assert await desk.token() == "token-1"
    desk.clock.advance(101)
    with pytest.raises(AccessUnavailable):
        await desk.token()


async def test_while_access_hears_out_nobody_a_token_serves_until_it_expires() -> None:
    desk = Desk()
    await desk.token()
    desk.exchange.busy = True
    desk.clock.advance(500)
    for _ in range(3):
        assert await desk.token() == "token-1"
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_a_key_is_renewed_although_somebody_guesses_at_its_address() -> None:
    desk = Desk()
    await desk.token()
    for n in range(20):
        with pytest.raises(CredentialInvalid):
            await desk.token(f"guess-{n}")
    desk.clock.advance(500 - 60)
    with pytest.raises(CredentialInvalid):
        await desk.token("guess-20")
    for n in range(19):
        with pytest.raises(CredentialInvalid):
            await desk.token(f"guess-again-{n}")
    desk.clock.advance(59)

    assert await desk.token() == "token-1"
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await desk.token() == f"token-{len(desk.exchange.asked)}" != "token-1"


async def test_a_refusal_that_is_kept_keeps_nothing_of_who_was_refused() -> None:
    class Request:
        """What the caller holds while it asks."""

    desk, held = Desk(), []

    async def ask() -> None:
        request = Request()
        held.append(weakref.ref(request))
        with contextlib.suppress(CredentialInvalid):
            await desk.token("nonsense")

    for _ in range(3):
        await ask()
    await asyncio.sleep(0)
    gc.collect()

    assert [reference() for reference in held] == [None] * 3


async def test_old_refusals_are_forgotten() -> None:
    desk = Desk()
    for n in range(5):
        with pytest.raises(CredentialInvalid):
            await desk.token(f"guess-{n}", peer=f"1.2.3.{n}")
    desk.clock.advance(10)
    with pytest.raises(CredentialInvalid):
        await desk.token("guess-5")

    assert len(desk.keys._wrong) == 1


async def test_a_refusal_for_which_nobody_waits_any_more_is_no_news() -> None:
    desk = Desk(Exchange(hold=asyncio.Event()))
    assert desk.exchange.hold is not None
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    asking = asyncio.create_task(desk.token("nonsense"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    desk.exchange.hold.set()
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()

    assert told == []
    assert desk.keys.kept._asking == {}


async def test_a_revoked_token_is_never_given_again() -> None:
    desk = Desk()
    await desk.token()
    desk.tokens.revoked.add("token-1")

    assert await desk.token() == "token-2"


async def test_a_wrong_key_is_asked_for_once_in_ten_seconds() -> None:
    desk = Desk()
    for _ in range(3):
        with pytest.raises(CredentialInvalid):
            await desk.token("nonsense")
    assert len(desk.exchange.asked) == 1
    desk.clock.advance(10)
    with pytest.raises(CredentialInvalid):
        await desk.token("nonsense")
    assert len(desk.exchange.asked) == 2


async def test_an_address_that_guesses_is_slowed_down_and_others_are_not() -> None:
    desk = Desk()
    for n in range(20):
        with pytest.raises(CredentialInvalid):
            await desk.token(f"guess-{n}")
    with pytest.raises(KernelError) as refused:
        await desk.token("guess-20")

    assert refused.value.reason == "TOO_MANY_CALLS"
    assert await desk.token(peer="5.6.7.8")
    desk.clock.advance(60)
    with pytest.raises(CredentialInvalid):
        await desk.token("guess-21")


async def test_keys_unused_the_longest_are_forgotten_first() -> None:
    desk = Desk()
    for name in ("a", "b", "c", "d"):
        await desk.token(f"key-of-{name}")
    await desk.token("key-of-d")
    await desk.token("key-of-a")

    assert desk.exchange.asked[4:] == ["key-of-a"]


@pytest.mark.parametrize("bad", ["x" * 257, "schlüssel", "a\nb"])
async def test_what_cannot_be_a_key_is_refused_unasked(bad: str) -> None:
    desk = Desk()
    with pytest.raises(CredentialInvalid):
        await desk.token(bad)
    assert desk.exchange.asked == []


async def test_no_key_is_told_as_missing() -> None:
    with pytest.raises(CredentialMissing):
        await Desk().token("")


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({"authorization": "Bearer k"}, "k"),
        ({"authorization": "bearer  k "}, "k"),
        ({"x-api-key": "k"}, "k"),
        ({"authorization": "Bearer k", "x-api-key": "k"}, "k"),
        ({}, ""),
    ],
)
def test_the_credential_is_read_from_either_header(headers: dict[str, str], shown: str) -> None:
    assert credential_of(headers.get) == shown


@pytest.mark.parametrize(
    "headers", [{"authorization": "Basic k"}, {"authorization": "Bearer k", "x-api-key": "other"}]
)
def test_another_scheme_and_two_credentials_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(CredentialInvalid):
        credential_of(headers.get)
