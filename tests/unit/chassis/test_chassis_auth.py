"""Tokens: what is accepted, and every way in which one is refused."""

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.auth.identity import Kind
from services.chassis.auth.processes import PROCESSES
from services.chassis.auth.tokens import KeyRing, Revocations, TokenVerifier, usable_keys
from services.chassis.rpc.errors import (
    AccessUnavailable,
    CredentialExpired,
    CredentialInvalid,
    CredentialRevoked,
    KernelError,
)
from tests.fakes.clock import FakeClock
from tests.fakes.tokens import Issuer, StaticJwks


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def issuer(clock: FakeClock) -> Issuer:
    return Issuer(clock=clock)


@pytest.fixture
def verifier(issuer: Issuer) -> TokenVerifier:
    return issuer.verifier()


async def test_a_good_token_names_its_principal(issuer: Issuer, verifier: TokenVerifier) -> None:
    principal = await verifier.authenticate(issuer.token("planner", tenant="acme", parent="boss", jti="t1"))

    assert (principal.agent, principal.tenant, principal.parent) == ("planner", "acme", "boss")
    assert (principal.kind, principal.token_id) == (Kind.AGENT, "t1")
    assert principal.expires_at - principal.issued_at == 600


@pytest.mark.parametrize("kind", ["agent", "admin", "service"])
async def test_every_kind_of_principal_is_known(issuer: Issuer, verifier: TokenVerifier, kind: str) -> None:
    assert (await verifier.authenticate(issuer.token(kind=kind))).kind is Kind(kind)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "other"},
        {"aud": "other"},
        {"aud": ["gateway", "other"]},
        {"aud": ["gateway"]},
        {"kind": "root"},
        {"kind": ["agent"]},
        {"kind": "anonymous"},
        {"sub": "Planner"},
        {"sub": "agents/planner"},
        {"sub": ""},
        {"tenant": ""},
        {"tenant": "a/b"},
        {"parent": "../x"},
        {"parent": 7},
        {"exp": "soon"},
        {"nbf": "soon"},
        {"nbf": 10**12},
        {"auth_time": "then"},
        {"iat": None},
        {"exp": None},
        {"jti": None},
        {"sub": None},
        {"aud": None},
        {"iss": None},
        {"kind": None},
        {"tenant": None},
    ],
)
async def test_a_wrong_claim_is_invalid(
    issuer: Issuer, verifier: TokenVerifier, claims: dict[str, Any]
) -> None:
    with pytest.raises(CredentialInvalid):
        await verifier.authenticate(_sign(issuer, {**_claims(issuer), **claims}))


def _claims(issuer: Issuer) -> dict[str, Any]:
    now = issuer.clock.now().timestamp()
    return {
        "iss": "aios", "aud": "gateway", "sub": "planner", "tenant": "acme", "kind": "agent",
        "parent": "", "jti": "t1", "iat": now, "exp": now + 600,
    }  # fmt: skip


def _sign(issuer: Issuer, claims: Mapping[str, Any]) -> str:
    present = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(present, issuer.private_key, algorithm="EdDSA", headers={"kid": issuer.kid})


async def test_a_token_stops_counting_when_it_expires_also_when_remembered(
    issuer: Issuer, verifier: TokenVerifier, clock: FakeClock
) -> None:
    token = issuer.token()
    await verifier.authenticate(token)
    clock.advance(604)
    await verifier.authenticate(token)
    clock.advance(2)

    with pytest.raises(CredentialExpired):
        await verifier.authenticate(token)
    with pytest.raises(CredentialExpired):
        await verifier.authenticate(token)


@pytest.mark.parametrize(("kind", "days"), [("agent", 1), ("service", 1), ("admin", 32)])
async def test_a_token_that_lives_too_long_is_invalid(
    issuer: Issuer, verifier: TokenVerifier, kind: str, days: int
) -> None:
    with pytest.raises(CredentialInvalid, match="longer"):
        await verifier.authenticate(issuer.token(kind=kind, life=timedelta(days=days)))


async def test_an_administrator_s_token_may_live_a_month(issuer: Issuer, verifier: TokenVerifier) -> None:
    principal = await verifier.authenticate(issuer.token(kind="admin", life=timedelta(days=30)))

    assert principal.kind is Kind.ADMIN


async def test_a_token_from_the_future_is_invalid(
    issuer: Issuer, verifier: TokenVerifier, clock: FakeClock
) -> None:
    clock.advance(60)
    token = issuer.token()
    clock.jump(-60)

    with pytest.raises(CredentialInvalid, match="future"):
        await verifier.authenticate(token)


async def test_a_token_of_another_key_is_invalid(issuer: Issuer, verifier: TokenVerifier) -> None:
    forger = Issuer(kid=issuer.kid, clock=issuer.clock)
    stranger = Issuer(kid="stranger", clock=issuer.clock)

    for token in (forger.token(), stranger.token()):
        with pytest.raises(CredentialInvalid):
            await verifier.authenticate(token)


async def test_an_unsigned_token_is_invalid(issuer: Issuer, verifier: TokenVerifier) -> None:
    token = jwt.encode(_claims(issuer), "", algorithm="none", headers={"kid": issuer.kid})

    with pytest.raises(CredentialInvalid):
        await verifier.authenticate(token)


@pytest.mark.filterwarnings("ignore:.*HMAC.*")
async def test_the_public_key_is_no_shared_secret(issuer: Issuer, verifier: TokenVerifier) -> None:
    public = issuer.jwk["x"].encode()
    token = jwt.encode(_claims(issuer), public, algorithm="HS256", headers={"kid": issuer.kid})

    with pytest.raises(CredentialInvalid):
        await verifier.authenticate(token)


async def test_a_changed_token_is_invalid(issuer: Issuer, verifier: TokenVerifier) -> None:
    header, body, signature = issuer.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["sub"] = "critic"
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

    with pytest.raises(CredentialInvalid):
        await verifier.authenticate(f"{header}.{forged}.{signature}")


async def test_a_revoked_token_is_refused(issuer: Issuer, clock: FakeClock) -> None:
    revocations = Revocations()
    verifier = TokenVerifier(KeyRing(issuer.jwks(), clock), clock, PROCESSES, revocations)
    token = issuer.token(jti="t1")
    await verifier.authenticate(token)
    revocations.revoke_token("t1", forget_at=clock.now().timestamp() + 600)

    with pytest.raises(CredentialRevoked):
        await verifier.authenticate(token)


async def test_all_tokens_of_an_agent_can_be_revoked_and_new_ones_count(
    issuer: Issuer, clock: FakeClock
) -> None:
    revocations = Revocations()
    verifier = TokenVerifier(KeyRing(issuer.jwks(), clock), clock, PROCESSES, revocations)
    old = issuer.token("planner")
    other = issuer.token("planner", tenant="elsewhere")
    now = clock.now().timestamp()
    revocations.revoke_agent("acme", "planner", issued_until=now, forget_at=now + 600)
    clock.advance(1)

    with pytest.raises(CredentialRevoked):
        await verifier.authenticate(old)
    assert (await verifier.authenticate(issuer.token("planner"))).agent == "planner"
    assert (await verifier.authenticate(other)).tenant == "elsewhere"


def test_expired_revocations_are_forgotten() -> None:
    revocations = Revocations()
    revocations.revoke_token("t1", forget_at=100)
    revocations.revoke_agent("acme", "planner", issued_until=50, forget_at=100)
    revocations.forget(101)

    assert revocations.__dict__ == {"_tokens": {}, "_agents": {}}


async def test_a_key_that_comes_later_is_fetched(issuer: Issuer, clock: FakeClock) -> None:
    source = StaticJwks()
    verifier = TokenVerifier(KeyRing(source, clock), clock, PROCESSES)
    with pytest.raises(CredentialInvalid):
        await verifier.authenticate(issuer.token())
    source.keys = [issuer.jwk]
    clock.advance(2)

    assert (await verifier.authenticate(issuer.token())).agent == "planner"


async def test_unknown_keys_cannot_flood_the_source(issuer: Issuer, clock: FakeClock) -> None:
    source = issuer.jwks()
    verifier = TokenVerifier(KeyRing(source, clock), clock, PROCESSES)
    for number in range(50):
        with pytest.raises(CredentialInvalid):
            await verifier.authenticate(Issuer(kid=f"k{number}", clock=clock).token())

    assert source.fetches == 1


async def test_a_withdrawn_key_stops_counting(issuer: Issuer, clock: FakeClock) -> None:
    source = issuer.jwks()
    verifier = TokenVerifier(KeyRing(source, clock, max_age=300), clock, PROCESSES)
    await verifier.authenticate(issuer.token())
    source.keys = []
    clock.advance(301)

    with pytest.raises(CredentialInvalid):
        await verifier.authenticate(issuer.token())


class BrokenSource:
    """A key source that cannot be reached once `down` is set."""

    def __init__(self, *keys: Mapping[str, str]) -> None:
        self.keys = keys
        self.down = False

    async def fetch(self) -> Iterable[Mapping[str, str]]:
        if self.down:
            raise AccessUnavailable("down")
        return self.keys


async def test_known_keys_go_on_to_verify_while_the_source_is_away(issuer: Issuer, clock: FakeClock) -> None:
    source = BrokenSource(issuer.jwk)
    verifier = TokenVerifier(KeyRing(source, clock), clock, PROCESSES)
    await verifier.authenticate(issuer.token())
    source.down = True
    clock.advance(400)

    assert (await verifier.authenticate(issuer.token())).agent == "planner"


async def test_without_any_keys_nothing_can_be_told(issuer: Issuer, clock: FakeClock) -> None:
    source = BrokenSource()
    source.down = True
    verifier = TokenVerifier(KeyRing(source, clock), clock, PROCESSES)

    for _ in range(2):
        with pytest.raises(AccessUnavailable):
            await verifier.authenticate(issuer.token())


def test_only_ed25519_keys_are_used(issuer: Issuer) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    rsa_jwk = jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    good = issuer.jwk
    keys = [
        good, {**rsa_jwk, "kid": "rsa", "alg": "RS256"}, {**good, "kid": "confused", "alg": "HS256"},
        {**good, "kid": ""}, {**good, "kid": "short", "x": "AA"}, {"kid": "empty"},
    ]  # fmt: skip

    assert set(usable_keys(keys)) == {issuer.kid}


def test_a_private_key_is_not_taken_for_a_public_one() -> None:
    private = jwt.algorithms.OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate(), as_dict=True)

    assert usable_keys([{**private, "kid": "k"}]) == {}


@given(st.text(max_size=300))
async def test_any_text_is_refused_with_a_typed_error(text: str) -> None:
    clock = FakeClock()
    verifier = TokenVerifier(KeyRing(StaticJwks(), clock), clock, PROCESSES)

    with pytest.raises(KernelError):
        await verifier.authenticate(text)


async def test_a_token_beyond_all_measure_is_refused(verifier: TokenVerifier) -> None:
    with pytest.raises(CredentialInvalid, match="too long"):
        await verifier.authenticate("x" * 10_000)


async def test_a_key_ring_asks_again_only_after_a_while(issuer: Issuer, clock: FakeClock) -> None:
    source = issuer.jwks()
    verifier = TokenVerifier(KeyRing(source, clock), clock, PROCESSES)
    for _ in range(100):
        await verifier.authenticate(issuer.token())

    assert source.fetches == 1


async def test_a_token_counts_from_its_not_before_on(
    issuer: Issuer, verifier: TokenVerifier, clock: FakeClock
) -> None:
    token = _sign(issuer, {**_claims(issuer), "nbf": clock.now().timestamp() + 100})
    with pytest.raises(CredentialInvalid):
        await verifier.authenticate(token)
    clock.advance(100)

    assert (await verifier.authenticate(token)).agent == "planner"


async def test_a_revoked_session_ends_every_token_of_it(issuer: Issuer, clock: FakeClock) -> None:
    revocations = Revocations()
    verifier = TokenVerifier(KeyRing(issuer.jwks(), clock), clock, PROCESSES, revocations)
    first = _sign(issuer, {**_claims(issuer), "sid": "t1"})
    renewed = _sign(issuer, {**_claims(issuer), "jti": "t2", "sid": "t1"})
    other = _sign(issuer, {**_claims(issuer), "jti": "t3", "sid": "t3"})
    await verifier.authenticate(renewed)
    revocations.revoke_token("t1", forget_at=clock.now().timestamp() + 600)

    for token in (first, renewed):
        with pytest.raises(CredentialRevoked):
            await verifier.authenticate(token)
    assert (await verifier.authenticate(other)).token_id == "t3"
