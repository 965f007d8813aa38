"""Signing keys and tokens: files that only their owner reads, rotation, and tokens that nobody can forge."""

import asyncio
import base64
import json
import stat
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.access.adapters.keys import KeyFile, KeyFileBroken
from services.access.adapters.service_keys import ServiceKeysBroken, service_keys
from services.access.config import AccessConfig
from services.access.main import renew_admin_token
from services.access.model.agents import Revocation
from services.access.ports.store import Store
from services.chassis.auth.identity import Kind, Principal
from services.chassis.auth.processes import KEYED, PROCESSES
from services.chassis.auth.tokens import KeyRing, TokenVerifier
from services.chassis.rpc.errors import CredentialExpired, CredentialInvalid, KernelError
from services.chassis.runtime.private_files import write_new
from tests.fakes.clock import FakeClock
from tests.fakes.stores.access import MemoryStore

PLANNER = Principal(agent="planner", tenant="acme", kind=Kind.AGENT, parent="boss")
LIFE = timedelta(minutes=10)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keys(tmp_path: Path, clock: FakeClock) -> KeyFile:
    return KeyFile(tmp_path / "keys.json", clock.now())


def issue(keys: KeyFile, clock: FakeClock, holder: Principal = PLANNER) -> str:
    """Sign a token."""
    return keys.issue(holder, now=clock.now(), after=None, lifetime=LIFE).text


async def accepted(keys: KeyFile, clock: FakeClock, text: str) -> Principal:
    """Verify a token as any process of the kernel does; check that the issuer agrees."""
    try:
        holder = await TokenVerifier(KeyRing(keys, clock), clock, PROCESSES).authenticate(text)
    except KernelError as error:
        with pytest.raises(type(error)):
            keys.verify(text, now=clock.now())
        raise
    assert keys.verify(text, now=clock.now()) == holder
    return holder


def test_the_key_file_is_for_its_owner_alone(keys: KeyFile, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert len(keys.public_keys()) == 1


def test_keys_survive_a_restart(keys: KeyFile, tmp_path: Path, clock: FakeClock) -> None:
    text = issue(keys, clock)
    again = KeyFile(tmp_path / "keys.json", clock.now())

    assert again.public_keys() == keys.public_keys()
    assert again.verify(text, now=clock.now()).agent == "planner"


@pytest.mark.parametrize("content", [b"", b"{}", b'{"keys": []}', b'{"keys": [{"kid": "x"}]}', b"\xff"])
def test_a_broken_key_file_stops_the_start(tmp_path: Path, clock: FakeClock, content: bytes) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(content)

    with pytest.raises(KeyFileBroken):
        KeyFile(path, clock.now())
    assert path.read_bytes() == content


async def test_every_process_accepts_a_token(keys: KeyFile, clock: FakeClock) -> None:
    holder = await accepted(keys, clock, issue(keys, clock))

    assert (holder.agent, holder.tenant, holder.kind, holder.parent) == (
        "planner",
        "acme",
        Kind.AGENT,
        "boss",
    )
    assert holder.token_id


async def test_after_a_rotation_old_and_new_tokens_verify(keys: KeyFile, clock: FakeClock) -> None:
    old = issue(keys, clock)
    kid = await asyncio.to_thread(keys.rotate, clock.now(), timedelta(minutes=15))
    new = issue(keys, clock)

    assert jwt.get_unverified_header(new)["kid"] == kid
    assert keys.public_keys()[0].kid == kid
    assert (await accepted(keys, clock, old)).agent == "planner"
    assert (await accepted(keys, clock, new)).agent == "planner"


def test_a_retired_key_verifies_nothing(keys: KeyFile, clock: FakeClock) -> None:
    holder = Principal(agent="admin", tenant="acme", kind=Kind.ADMIN)
    old = keys.issue(holder, now=clock.now(), after=None, lifetime=timedelta(days=1)).text
    keys.rotate(clock.now(), timedelta(minutes=15))
    clock.advance(901)
    keys.reload(clock.now())

    assert len(keys.public_keys()) == 1
    with pytest.raises(CredentialInvalid):
        keys.verify(old, now=clock.now())


def test_a_rotation_by_another_process_is_noticed(keys: KeyFile, tmp_path: Path, clock: FakeClock) -> None:
    other = KeyFile(tmp_path / "keys.json", clock.now())
    kid = other.rotate(clock.now(), LIFE)

    assert keys.reload(clock.now())
    assert keys.public_keys()[0].kid == kid
    assert not keys.reload(clock.now())


async def test_an_expired_token_is_refused(keys: KeyFile, clock: FakeClock) -> None:
    text = issue(keys, clock)
    clock.advance(LIFE.total_seconds() + 6)

    with pytest.raises(CredentialExpired):
        await accepted(keys, clock, text)


def test_a_token_issued_after_a_revocation_is_younger_than_it(keys: KeyFile, clock: FakeClock) -> None:
    token = keys.issue(PLANNER, now=clock.now(), after=clock.now(), lifetime=LIFE)

    assert token.principal.issued_at > clock.now().timestamp()


def forge(text: str, *, header: dict[str, str] | None = None, claims: dict[str, str] | None = None) -> str:
    """Change the header or claims of a token and keep its signature."""
    parts = text.split(".")
    for place, change in ((0, header), (1, claims)):
        content = json.loads(base64.urlsafe_b64decode(parts[place] + "=="))
        changed = json.dumps(content | (change or {})).encode()
        parts[place] = base64.urlsafe_b64encode(changed).decode().rstrip("=")
    return ".".join(parts)


async def test_a_forged_token_is_refused(keys: KeyFile, clock: FakeClock, tmp_path: Path) -> None:
    text = issue(keys, clock)
    [key] = keys.public_keys()
    now = int(clock.now().timestamp())
    claims = {
        "iss": "aios",
        "aud": "gateway",
        "sub": "planner",
        "tenant": "acme",
        "kind": "admin",
        "parent": "",
        "jti": "x",
        "iat": now,
        "exp": now + 60,
    }
    stranger = Ed25519PrivateKey.generate()
    named = {"kid": key.kid}
    real = keys._keys[0].private
    other = await asyncio.to_thread(KeyFile, tmp_path / "other.json", clock.now())
    bad = [
        "",
        "a.b.c",
        text[:-4],
        forge(text, claims={"sub": "critic"}),
        forge(text, claims={"tenant": "other"}),
        forge(text, header={"alg": "none"}),
        forge(text, header={"alg": "none"}).rpartition(".")[0] + ".",
        forge(text, header={"kid": "other"}),
        jwt.encode(claims, stranger, algorithm="EdDSA", headers=named),
        jwt.encode(claims, "", algorithm="none", headers=named),
        jwt.encode(claims, key.x.ljust(64), algorithm="HS256", headers=named),
        jwt.encode(claims | {"aud": "somebody-else"}, real, algorithm="EdDSA", headers=named),
        jwt.encode(claims | {"aud": ["gateway", "x"]}, real, algorithm="EdDSA", headers=named),
        jwt.encode(claims | {"iss": "somebody-else"}, real, algorithm="EdDSA", headers=named),
        jwt.encode({k: v for k, v in claims.items() if k != "jti"}, real, algorithm="EdDSA", headers=named),
        issue(other, clock),
    ]
    for forged in bad:
        with pytest.raises(CredentialInvalid):
            await accepted(keys, clock, forged)


async def test_issuer_and_verifiers_count_a_token_from_its_not_before_on_with_a_leeway(
    keys: KeyFile, clock: FakeClock
) -> None:
    claims = jwt.decode(issue(keys, clock), options={"verify_signature": False})
    claims["nbf"] = clock.now().timestamp() + 100
    named = {"kid": keys.public_keys()[0].kid}
    later = jwt.encode(claims, keys._keys[0].private, algorithm="EdDSA", headers=named)
    for seconds in (0, 94):
        clock.advance(seconds)
        with pytest.raises(CredentialInvalid):
            await accepted(keys, clock, later)
    clock.advance(2)

    assert (await accepted(keys, clock, later)).agent == "planner"


class Bootstrap:
    """The first administrator's token in a folder."""

    def __init__(self, folder: Path, keys: KeyFile, clock: FakeClock, store: Store) -> None:
        self.path = folder / "deep" / "admin.token"
        self.keys, self.clock, self.store = keys, clock, store

    async def renew(self, *, tenant: str = "default", days: int = 30) -> bool:
        """Do what the process does at its start and every hour."""
        config = AccessConfig(kernel_tenant=tenant, admin_token_life=timedelta(days=days))
        return await renew_admin_token(self.path, config, self.keys, self.store, self.clock)

    async def holder(self) -> Principal:
        """Return whom the token names."""
        text = await asyncio.to_thread(self.path.read_text)
        return self.keys.verify(text.strip(), now=self.clock.now())


@pytest.fixture
def bootstrap(tmp_path: Path, keys: KeyFile, clock: FakeClock) -> Bootstrap:
    return Bootstrap(tmp_path, keys, clock, MemoryStore())


async def test_the_administrators_token_is_written_once_for_its_owner(bootstrap: Bootstrap) -> None:
    assert await bootstrap.renew()
    first = await bootstrap.holder()

    assert not await bootstrap.renew()
    assert await bootstrap.holder() == first
    assert (first.agent, first.tenant, first.kind) == ("admin", "default", Kind.ADMIN)
    mode = (await asyncio.to_thread(bootstrap.path.stat)).st_mode
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize("content", ["", "garbage", "\x00"])
async def test_a_bad_administrators_token_is_replaced(bootstrap: Bootstrap, content: str) -> None:
    await bootstrap.renew()
    await asyncio.to_thread(bootstrap.path.write_text, content)

    assert await bootstrap.renew()
    assert (await bootstrap.holder()).kind is Kind.ADMIN


async def test_an_old_or_foreign_administrators_token_is_replaced(bootstrap: Bootstrap) -> None:
    await bootstrap.renew(days=10)

    assert await bootstrap.renew(tenant="other", days=10)
    bootstrap.clock.advance(timedelta(days=9, hours=1).total_seconds())
    assert await bootstrap.renew(tenant="other", days=10)


async def test_a_revoked_administrators_token_is_replaced_by_a_younger_one(bootstrap: Bootstrap) -> None:
    await bootstrap.renew()
    now = bootstrap.clock.now()
    gone = Revocation("", "default", "admin", now, now + timedelta(days=31), 1)
    await bootstrap.store.write(lambda tx: tx.tokens.revoke([gone]))

    assert await bootstrap.renew()
    holder = await bootstrap.holder()
    assert not await bootstrap.store.read(lambda tx: tx.tokens.is_revoked(holder))


def test_each_process_has_a_key_of_its_own_made_once(tmp_path: Path) -> None:
    keys = service_keys(tmp_path / "keys")
    files = list((tmp_path / "keys").iterdir())

    assert set(keys) == KEYED
    assert len(set(keys.values())) == len(keys)
    assert all(len(key) >= 40 for key in keys.values())
    assert service_keys(tmp_path / "keys") == keys
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_two_processes_with_one_key_are_refused(tmp_path: Path) -> None:
    service_keys(tmp_path)
    (tmp_path / "tool.key").write_text((tmp_path / "gateway.key").read_text())

    with pytest.raises(ServiceKeysBroken, match="same key"):
        service_keys(tmp_path)


def test_a_key_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tool.key").write_text("short")

    with pytest.raises(ServiceKeysBroken, match=r"tool\.key"):
        service_keys(tmp_path)


def test_a_key_that_can_neither_be_read_nor_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("no directory")

    with pytest.raises(ServiceKeysBroken, match=r"context\.key"):
        service_keys(tmp_path / "keys")


def test_of_two_first_writers_one_wins(tmp_path: Path) -> None:
    write_new(tmp_path / "key", b"first")
    write_new(tmp_path / "key", b"second")

    assert (tmp_path / "key").read_bytes() == b"first"
    assert [file.name for file in tmp_path.iterdir()] == ["key"]
