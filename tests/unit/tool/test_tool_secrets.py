"""Secrets are sealed for one use, go to one place, and survive a change of keys."""

import base64
import hashlib
import os
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from services.chassis.auth.identity import Kind, Principal, Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.quotas import Cap
from services.chassis.rpc.errors import (
    IdempotencyMismatch,
    InvalidRequest,
    PermissionDenied,
    QuotaExceeded,
    ServiceUnavailable,
)
from services.tool.adapters.secret_keys import SecretKeyFile
from services.tool.config import ToolConfig
from services.tool.core import secrets
from services.tool.core.mcp_servers import HttpServer, McpServer, OAuthClient, StdioServer
from services.tool.core.secrets import Secret, SecretKey
from services.tool.errors import EgressDenied, SecretNotFound, SecretsUnavailable
from services.tool.model import Driver, DriverKind, HttpEndpoint, SealedSecret, SecretInfo, Tool
from services.tool.ports import Transaction
from services.tool.service.secrets import SecretVault
from services.tool.store.sql import MIGRATIONS, SqlStore
from tests.fakes.clock import FakeClock
from tests.fakes.databases import migrated
from tests.fakes.tool import FakeAudit, FakeSecretKeys, tool_service

VALUE: Final = "sk-canary-0123456789"
PLACE: Final = "https://api.example.com"
ADMIN: Final = Scope("acme", "root")
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
INFO: Final = SecretInfo(name="github", version=1, bound_to=PLACE, created_at=NOW, updated_at=NOW)
KEY: Final = SecretKey("k1", bytes(range(32)))
NEW: Final = SecretKey("k2", bytes(range(1, 33)))


def asked(method: str = "SetSecret", request_id: str = "", *, admin: bool = True) -> RequestIdentity:
    return RequestIdentity("root", method, request_id, b"digest", admin=admin)


class World:
    """A tool manager with secrets on a database in a file."""

    def __init__(self, folder: Path, database: Any, **config: Any) -> None:
        self.file = folder / "tool.db"
        self.database = database
        self.store = SqlStore(database, FakeClock())
        self.keys = FakeSecretKeys(KEY)
        self.audit = FakeAudit()
        self.vault = SecretVault(self.store, self.keys)
        self.config(**config)

    def config(self, **config: Any) -> None:
        """Wire the manager anew."""
        self.service = tool_service(
            config=ToolConfig(**config), store=self.store, secret_keys=self.keys, audit=self.audit
        )

    async def set(
        self, name: str = "github", value: str = VALUE, bound_to: str = PLACE, request: str = ""
    ) -> Any:
        """Set a secret as an administrator."""
        return await self.service.secrets.set(ADMIN, asked(request_id=request), name, value, bound_to)

    async def value(self, name: str = "github", *places: str) -> str:
        """Resolve a secret as a driver does."""
        first, *also = places or (PLACE,)
        return (await self.vault.resolve("acme", [name], first, *also))[name].reveal()

    async def row(self, name: str = "github") -> SealedSecret:
        """Return what is kept."""
        found = await self.store.read(ADMIN, lambda tx: tx.secret(name))
        assert found is not None
        return found


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Secrets on SQLite."""
    async with migrated(f"sqlite:///{tmp_path / 'tool.db'}", MIGRATIONS) as database:
        yield World(tmp_path, database)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("mcpservers/browser", "mcpservers/browser"),
        ("https://api.example.com", PLACE),
        ("HTTPS://API.Example.COM:443/", PLACE),
        ("http://10.0.0.7:8080", "http://10.0.0.7:8080"),
        ("http://h:80", "http://h"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_a_place_has_one_spelling(text: str, same: str) -> None:
    assert secrets.binding(text) == same


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.example.com",
        "mcpservers/",
        "mcpservers/a/b",
        "servers/a",
        "*",
        "https://",
        "https://*.example.com",
        "https://api.example.com/v1",
        "https://api.example.com?x",
        "https://api.example.com#x",
        "https://me@api.example.com",
        "https://api.example.com:0",
        "https://api.example.com:99999",
        "https://api.example.com:",
        "https://api.example.com\\@evil.org",
        "https://api.example.com.",
        "https://api..example.com",
        "https://\uff41pi.example.com",
        "https://api.example.com\n",
        " https://api.example.com",
        "ftp://api.example.com",
        "file:///etc/passwd",
        "https://" + "a" * 600,
    ],
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        secrets.binding(text)


@pytest.mark.parametrize(
    "value", ["x" * 7, "é" * 3, "x" * 8_193, "é" * 4_097, "x" * 8 + "\0", "abc[secret]def"]
)
def test_what_cannot_be_a_value_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        secrets.check_value(value)
    assert value not in str(refusal.value)


@pytest.mark.parametrize("value", ["x" * 8, "é" * 4, "x" * 8_192, "two\nlines"])
def test_what_can_be_a_value_comes_back(value: str) -> None:
    secrets.check_value(value)
    assert secrets.unseal([KEY], "acme", secrets.seal(KEY, "acme", INFO, value)) == Secret(value)


@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "other"},
        {"name": "gitlab"},
        {"version": 2},
        {"bound_to": "https://evil.example.org"},
    ],
)
def test_a_row_that_was_moved_does_not_open(other: dict[str, Any]) -> None:
    sealed = secrets.seal(KEY, "acme", INFO, VALUE)
    tenant = other.pop("tenant", "acme")
    moved = replace(sealed, info=replace(INFO, **other))
    with pytest.raises(SecretsUnavailable):
        secrets.unseal([KEY], tenant, moved)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:11], lambda data: data[:-1], lambda data: b"\0" + data[1:]]
)
def test_a_row_that_was_changed_does_not_open(damage: Any) -> None:
    sealed = secrets.seal(KEY, "acme", INFO, VALUE)
    with pytest.raises(SecretsUnavailable):
        secrets.unseal([KEY], "acme", replace(sealed, sealed=damage(sealed.sealed)))


def test_the_same_value_is_sealed_differently_each_time() -> None:
    boxes = {secrets.seal(KEY, "acme", INFO, VALUE).sealed for _ in range(8)}
    assert len({box[:12] for box in boxes}) == 8
    assert VALUE not in repr(secrets.seal(KEY, "acme", INFO, VALUE))
    assert "key=" not in repr(KEY)


async def test_a_secret_goes_to_its_place_and_nowhere_else(world: World) -> None:
    await world.set()
    assert await world.value() == VALUE
    assert await world.value("github", "mcpservers/web", PLACE) == VALUE
    for place in ("https://evil.example.org", "http://api.example.com", f"{PLACE}:8443", "mcpservers/github"):
        with pytest.raises(EgressDenied) as refusal:
            await world.value("github", place)
        assert VALUE not in str(refusal.value)


async def test_a_secret_is_its_tenants(world: World) -> None:
    await world.set()
    with pytest.raises(SecretNotFound):
        await world.vault.resolve("other", ["github"], PLACE)
    with pytest.raises(SecretNotFound):
        await world.vault.resolve("acme", ["github", "missing"], PLACE)


async def test_only_administrators_keep_secrets(world: World) -> None:
    await world.set()
    agent = Principal("planner", "acme", Kind.AGENT)
    with pytest.raises(PermissionDenied):
        await world.service.secrets.set(ADMIN, asked(admin=False), "x", VALUE, PLACE)
    with pytest.raises(PermissionDenied):
        await world.service.secrets.delete(ADMIN, asked(admin=False), "github", allow_missing=False)
    with pytest.raises(PermissionDenied):
        await world.service.secrets.page(ADMIN, agent, after="", limit=10)
    assert await world.value() == VALUE
    assert world.audit.noted == [("SetSecret", "tool.secrets", "secrets/github")]


async def test_setting_again_replaces_the_value_and_keeps_the_place(world: World) -> None:
    first = await world.set()
    again = await world.set(value="another value", bound_to="")
    assert (first.info.version, again.info.version, again.info.bound_to) == (1, 2, PLACE)
    assert await world.value() == "another value"
    moved = await world.set(bound_to="mcpservers/web")
    assert moved.info.bound_to == "mcpservers/web"
    with pytest.raises(EgressDenied):
        await world.value()


async def test_a_new_secret_needs_a_place(world: World) -> None:
    with pytest.raises(InvalidRequest):
        await world.set(bound_to="")
    with pytest.raises(SecretNotFound):
        await world.value()


async def test_a_repeat_sets_once_and_tells_values_apart_without_keeping_them(world: World) -> None:
    first = await world.set(request="r1")
    assert (await world.set(request="r1")).info == first.info
    with pytest.raises(IdempotencyMismatch):
        await world.set(value="another value", request="r1")
    assert (await world.row()).info.version == 1


async def test_deleting_forgets_and_makes_room(world: World) -> None:
    world.config(quota_secrets=Cap.flat(1))
    await world.set()
    await world.set()
    with pytest.raises(QuotaExceeded):
        await world.set("second")
    remove = world.service.secrets.delete
    await remove(ADMIN, asked("DeleteSecret"), "github", allow_missing=False)
    with pytest.raises(SecretNotFound):
        await world.value()
    with pytest.raises(SecretNotFound):
        await remove(ADMIN, asked("DeleteSecret"), "github", allow_missing=False)
    await remove(ADMIN, asked("DeleteSecret"), "github", allow_missing=True)
    await world.set("second")


async def test_what_the_audit_log_does_not_take_does_not_happen(world: World) -> None:
    await world.set()
    world.audit.down = True
    with pytest.raises(ServiceUnavailable):
        await world.set(value="another value")
    with pytest.raises(ServiceUnavailable):
        await world.service.secrets.delete(ADMIN, asked("DeleteSecret"), "github", allow_missing=False)
    assert await world.value() == VALUE


async def test_a_list_tells_who_uses_a_secret(world: World) -> None:
    for name in ("beta", "alpha", "github"):
        await world.set(name)
    endpoint = HttpEndpoint(url=f"{PLACE}/x", method="POST", secret_headers={"authorization": "github"})

    def work(tx: Transaction) -> None:
        for id_ in ("one", "two"):
            tx.put_tool(Tool(id=id_, driver=Driver(DriverKind.HTTP, http=endpoint)))
        oauth = OAuthClient(token_url=PLACE, client_id="x", client_secret="beta")
        tx.put_server(McpServer(id="web", http=HttpServer(url=PLACE, oauth=oauth)))
        secret = {"TOKEN": "github"}
        tx.put_server(McpServer(id="git", stdio=StdioServer(command=("x",), secret_environment=secret)))

    await world.store.write(ADMIN, work)
    root = Principal("root", "acme", Kind.ADMIN)
    found = await world.service.secrets.page(ADMIN, root, after="alpha", limit=10)
    assert [(one.info.name, one.used_by, one.key_id) for one in found] == [
        ("beta", ("mcpservers/web",), "k1"),
        ("github", ("tools/one", "tools/two", "mcpservers/git"), "k1"),
    ]


async def test_a_new_key_seals_and_the_old_one_may_go(world: World) -> None:
    await world.set()
    world.keys.keys = (NEW, KEY)
    await world.set("later")
    assert await world.value() == VALUE, "the old key no longer opens"
    assert ((await world.row()).key_id, (await world.row("later")).key_id) == ("k1", "k2")
    await world.service.secrets.reseal()
    world.keys.keys = (NEW,)
    assert await world.value() == VALUE
    assert (await world.row()).key_id == "k2"
    assert (await world.row()).info.version == 1


async def test_sealing_anew_does_not_bring_back_what_was_replaced_meanwhile(world: World) -> None:
    class Meanwhile(SqlStore):
        """A store on which somebody sets the secret again just after the old row was read."""

        async def sealed_otherwise(
            self, key_id: str, *, after: tuple[str, str], limit: int
        ) -> list[tuple[str, SealedSecret]]:
            found = await super().sealed_otherwise(key_id, after=after, limit=limit)
            if found:
                await world.set(value="a newer value")
            return found

    await world.set()
    world.keys.keys = (NEW, KEY)
    slow = tool_service(store=Meanwhile(world.database, FakeClock()), secret_keys=world.keys)
    await slow.secrets.reseal()
    assert await world.value() == "a newer value"


async def test_a_key_that_is_gone_opens_nothing_and_loses_nothing(world: World) -> None:
    await world.set()
    world.keys.keys = (NEW,)
    with pytest.raises(SecretsUnavailable):
        await world.value()
    await world.service.secrets.reseal()
    world.keys.keys = ()
    with pytest.raises(SecretsUnavailable):
        await world.set("second")
    assert world.keys.keys == (), "a new key was made while old ones are missing"
    world.keys.keys = (KEY,)
    assert await world.value() == VALUE


async def test_without_a_key_nothing_is_kept(world: World) -> None:
    world.keys.missing = True
    with pytest.raises(SecretsUnavailable):
        await world.set()
    world.keys.missing = False
    with pytest.raises(SecretNotFound):
        await world.value()


async def test_the_database_holds_no_value_and_nothing_to_try_values_against(world: World) -> None:
    await world.set(request="r1")
    await world.set(value=VALUE + "2", request="r2")
    plain = {hashlib.sha256(VALUE.encode()).digest(), VALUE.encode()}
    files = [path.read_bytes() for path in world.file.parent.iterdir() if path.is_file()]
    assert files
    assert not any(known in content for known in plain for content in files)


async def test_the_first_key_is_made_for_its_user_alone(tmp_path: Path) -> None:
    keys = SecretKeyFile(tmp_path / "secret-keys", may_make=True)
    assert await keys.all() == ()
    (made,) = await keys.make()
    assert len(made.key) == 32
    assert stat.S_IMODE((tmp_path / "secret-keys").stat().st_mode) == 0o600
    assert await keys.make() == (made,), "a key that was there was replaced"
    assert await SecretKeyFile(tmp_path / "secret-keys", may_make=False).all() == (made,)


async def test_a_changed_file_of_keys_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "secret-keys"
    keys = SecretKeyFile(path, may_make=True)
    (old,) = await keys.make()
    path.chmod(0o600)
    path.write_text(f"k2={base64.b64encode(bytes(32)).decode()}\n{path.read_text()}")
    assert [key.id for key in await keys.all()] == ["k2", old.id]


@pytest.mark.parametrize("content", ["", "k1", "k1=", "k1=AAAA", "K 1=x", "k1=" + "A" * 70_000, "\xff"])
async def test_a_file_that_holds_no_keys_is_never_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secret-keys"
    path.write_bytes(content.encode("latin-1"))
    path.chmod(0o600)
    keys = SecretKeyFile(path, may_make=True)
    with pytest.raises(SecretsUnavailable) as refusal:
        await keys.all()
    with pytest.raises(SecretsUnavailable):
        await keys.make()
    assert path.read_bytes() == content.encode("latin-1")
    assert len(content) < 3 or content not in str(refusal.value)


def test_two_keys_of_one_id_are_refused() -> None:
    line = f"k1={base64.b64encode(bytes(32)).decode()}\n"
    with pytest.raises(ValueError, match="twice"):
        secrets.read_keys(line * 2)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o606, 0o777])
async def test_a_file_of_keys_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret-keys"
    path.write_text(secrets.new_key())
    path.chmod(mode)
    with pytest.raises(SecretsUnavailable):
        await SecretKeyFile(path, may_make=True).all()
    path.chmod(0o440)
    assert len(await SecretKeyFile(path, may_make=True).all()) == 1


async def test_a_mounted_file_that_is_missing_is_not_made(tmp_path: Path) -> None:
    for keys in (SecretKeyFile(tmp_path / "mounted", may_make=False), SecretKeyFile(None, may_make=True)):
        with pytest.raises(SecretsUnavailable):
            await keys.all()
        with pytest.raises(SecretsUnavailable):
            await keys.make()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(SecretsUnavailable):
        await SecretKeyFile(tmp_path / "fifo", may_make=False).all()
    assert not (tmp_path / "mounted").exists()
