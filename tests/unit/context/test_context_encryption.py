"""Snapshots encrypted at rest: no plain text in the file, and none for whoever moves rows about."""

import base64
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.auth.identity import Scope
from services.chassis.db import Database
from services.chassis.rpc.errors import DataCorrupt
from services.chassis.runtime.config import ConfigError
from services.context.config import ContextConfig
from services.context.errors import SnapshotKeyMissing
from services.context.main import key_ring
from services.context.model import Emitted, Place, Save
from services.context.service.snapshots import Snapshots
from services.context.store import tables
from services.context.store.encrypted import EncryptedStore
from services.context.store.keys import Address, KeyRing
from services.context.store.sql import MIGRATIONS, SqlStore
from tests.fakes.context import context_service
from tests.fakes.databases import migrated

PLANNER = Scope("acme", "planner")
CRITIC = Scope("acme", "critic")
CANARY = "the-plain-text-canary"
OLD, NEW = (
    f"{name}={base64.b64encode(bytes([byte] * 32)).decode()}" for name, byte in (("old", 1), ("new", 2))
)
FALSE = f"old={base64.b64encode(bytes([3] * 32)).decode()}"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with migrated(f"sqlite:///{tmp_path}/context.db", MIGRATIONS) as database:
        yield database


def snapshots(database: Database, *keys: str, encrypts: bool = True) -> Snapshots:
    store = EncryptedStore(SqlStore(database), KeyRing.parse(keys), encrypts=encrypts)
    return context_service(store=store).snapshots


def said(name: str = "g") -> Save:
    text = CANARY.encode()
    emitted = Emitted((1,), CANARY, (len(CANARY),), (Place(1, text),))
    return Save(name, 1, owner="gateway", model="demo", base=text, state=text, emitted=emitted)


@pytest.mark.parametrize(("keys", "form"), [((), "plain"), ((OLD,), "encrypted")])
async def test_the_database_file_holds_no_plain_text(
    database: Database, tmp_path: Path, keys: tuple[str, ...], form: str
) -> None:
    await snapshots(database, *keys).save(PLANNER, said())

    assert (CANARY.encode() in _written(tmp_path)) is (form == "plain")
    assert (await snapshots(database, *keys).load(PLANNER, "g")).emitted.text == CANARY


async def test_keys_are_rotated_and_encryption_is_switched_without_losing_a_snapshot(
    database: Database,
) -> None:
    await snapshots(database).save(PLANNER, said("plain"))
    await snapshots(database, OLD).save(PLANNER, said("with-old"))
    rotated = snapshots(database, NEW, OLD)
    await rotated.save(PLANNER, said("with-new"))
    await snapshots(database, NEW, OLD, encrypts=False).save(PLANNER, said("plain-again"))

    for name in ("plain", "with-old", "with-new", "plain-again"):
        assert (await rotated.load(PLANNER, name)).base == CANARY.encode()
    assert len(await rotated.page(PLANNER, before=None, unfinished=False, limit=9)) == 4
    assert (await snapshots(database, NEW).load(PLANNER, "with-new")).base == CANARY.encode()


@pytest.mark.parametrize(
    ("keys", "error"), [((), SnapshotKeyMissing), ((NEW,), SnapshotKeyMissing), ((FALSE,), DataCorrupt)]
)
async def test_without_the_right_key_there_is_a_typed_error_that_tells_nothing(
    database: Database, keys: tuple[str, ...], error: type[Exception]
) -> None:
    await snapshots(database, OLD).save(PLANNER, said())
    with pytest.raises(error) as refused:
        await snapshots(database, *keys).load(PLANNER, "g")

    told = "".join(traceback.format_exception(refused.value)) + repr(refused.value)
    assert CANARY not in told
    assert not any(key.partition("=")[2] in told for key in (OLD, NEW, FALSE))


@pytest.mark.parametrize("target", [(CRITIC, "g"), (PLANNER, "h"), (Scope("other", "planner"), "g")])
async def test_rows_copied_to_another_agent_tenant_or_generation_do_not_open(
    database: Database, target: tuple[Scope, str]
) -> None:
    """Whoever can write to the database cannot read through the service what is not theirs."""
    mine = snapshots(database, OLD)
    await mine.save(PLANNER, said())
    scope, name = target
    await database.write(lambda conn: _copy(conn, scope, name))
    with pytest.raises(DataCorrupt):
        await mine.load(scope, name)

    assert (await mine.load(PLANNER, "g")).base == CANARY.encode()


async def test_a_part_moved_to_the_place_of_another_does_not_open(database: Database) -> None:
    mine = snapshots(database, OLD)
    await mine.save(PLANNER, said())
    parts = tables.snapshot_parts
    state = sa.select(parts.c.data).where(parts.c.part == 1).scalar_subquery()
    await database.write(
        lambda conn: conn.execute(sa.update(parts).where(parts.c.part == 0).values(data=state)) and None
    )
    with pytest.raises(DataCorrupt):
        await mine.load(PLANNER, "g")


def test_each_generation_has_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a nonce drawn twice by two generations tells nothing."""
    monkeypatch.setattr("os.urandom", bytes)
    ring = KeyRing.parse([OLD])
    same, again, other, foreign = (
        ring.lock(bytes(32), Address(scope, generation, 0, first))[: -len("tag of 16 bytes.")]
        for scope, generation, first in (
            (PLANNER, "g", 0),
            (PLANNER, "g", 1),
            (PLANNER, "h", 0),
            (CRITIC, "g", 0),
        )
    )

    assert same == again
    assert len({same, other, foreign}) == 3


@given(st.binary(max_size=64), st.integers(0, 200), st.integers(1, 255))
def test_a_changed_bit_is_noticed(data: bytes, at: int, flip: int) -> None:
    ring, address = KeyRing.parse([OLD]), Address(PLANNER, "g", 0, 0)
    stored = bytearray(ring.lock(data, address))
    assert ring.unlock(bytes(stored), address) == data
    stored[len(b"aios-gcm") + at % (len(stored) - len(b"aios-gcm"))] ^= flip
    with pytest.raises((DataCorrupt, SnapshotKeyMissing)):
        ring.unlock(bytes(stored), address)


@pytest.mark.parametrize("length", range(8, 12 + 4 + 12))
def test_a_part_that_was_cut_off_is_noticed(length: int) -> None:
    ring, address = KeyRing.parse([OLD]), Address(PLANNER, "g", 0, 0)
    with pytest.raises((DataCorrupt, SnapshotKeyMissing)):
        ring.unlock(ring.lock(b"data", address)[:length], address)


@pytest.mark.parametrize("entry", ["secretsecret", "UPPER=AAAA", "k=not base64!", "k=c2hvcnQ=", "=AAAA"])
def test_a_key_that_is_none_stops_the_start_without_being_shown(entry: str) -> None:
    with pytest.raises(ConfigError) as refused:
        key_ring(ContextConfig(snapshot_keys=(entry,)))

    secret = entry.partition("=")[2] or entry
    assert secret not in str(refused.value)


def test_keys_of_the_file_come_after_those_of_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"{OLD}\n\n")
    config = ContextConfig(snapshot_keys=(NEW,), snapshot_keys_file=file)

    assert list(key_ring(config).keys) == ["new", "old"]
    assert NEW.partition("=")[2] not in repr(config)
    assert repr(key_ring(config)) == "KeyRing()"
    with pytest.raises(ConfigError, match="given twice"):
        key_ring(ContextConfig(snapshot_keys=(OLD,), snapshot_keys_file=file))
    with pytest.raises(ConfigError, match="No such file"):
        key_ring(ContextConfig(snapshot_keys_file=tmp_path / "none"))


def _written(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())


def _copy(conn: sa.Connection, scope: Scope, name: str) -> None:
    """Copy the planner's rows of snapshot g to another place, as one with access to the tables would."""
    for table in (tables.snapshots, tables.snapshot_parts):
        for row in conn.execute(sa.select(table)).mappings().all():
            moved = {"tenant": scope.tenant, "agent": scope.agent, "generation": name}
            conn.execute(sa.insert(table).values({**row, **moved}))
