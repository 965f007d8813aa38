"""The file of exported heads, and the webhook that gets the same lines."""

import asyncio
import os
import stat
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.access.adapters.head_file import HeadFile, head_line, read_head
from services.access.adapters.head_webhook import HeadWebhook
from services.access.adapters.keys import KeyFile
from services.access.core.audit_chain import signed_text
from services.access.model.audit import AuditHead, ExportedHead, Fault
from tests.fakes.waiting import until

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(name="keys")
async def _keys(tmp_path: Path) -> KeyFile:
    return await asyncio.to_thread(KeyFile, tmp_path / "keys.json", NOW)


def head(keys: KeyFile, sequence: int, tenant: str = "acme") -> ExportedHead:
    """Make a signed head."""
    kid, signature = keys.sign(signed_text(tenant, AuditHead(sequence, f"{sequence:064x}")))
    return ExportedHead(tenant, sequence, f"{sequence:064x}", NOW, kid, signature)


async def test_the_newest_head_is_found_again_and_only_the_owner_reads_the_file(
    keys: KeyFile, tmp_path: Path
) -> None:
    path = tmp_path / "heads.jsonl"
    log = HeadFile(path, keys.is_signed)
    assert await log.newest("acme") == (None, Fault.HEADS_MISSING)
    before = os.umask(0)
    await log.put([head(keys, 1), head(keys, 7, "globex")])
    os.umask(before)
    await log.put([head(keys, 2)])

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert await HeadFile(path, keys.is_signed).newest("acme") == (head(keys, 2), Fault.NONE)
    assert await log.newest("nobody") == (None, Fault.NONE)


async def test_a_line_that_a_crash_cut_short_spoils_no_other(keys: KeyFile, tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    log = HeadFile(path, keys.is_signed)
    await log.put([head(keys, 1)])
    await asyncio.to_thread(path.write_bytes, path.read_bytes() + head_line(head(keys, 2))[:40])
    await log.put([head(keys, 3)])

    assert await log.newest("acme") == (head(keys, 3), Fault.NONE)


async def test_a_head_that_access_did_not_sign_is_told(keys: KeyFile, tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    log = HeadFile(path, keys.is_signed)
    await log.put([head(keys, 5)])
    forged = path.read_bytes().replace(b'"sequence":5', b'"sequence":9')
    await asyncio.to_thread(path.write_bytes, forged)

    assert (await log.newest("acme"))[1] is Fault.HEADS_CHANGED


async def test_a_long_file_is_put_aside_and_no_log_is_forgotten(keys: KeyFile, tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    log = HeadFile(path, keys.is_signed, most_bytes=1000)
    await log.put([head(keys, 1, "globex")])
    for number in range(1, 10):
        await log.put([head(keys, number)])

    assert await asyncio.to_thread(lambda: len(list(tmp_path.glob("heads.jsonl.*")))) >= 1
    assert await log.newest("acme") == (head(keys, 9), Fault.NONE)
    assert await log.newest("globex") == (head(keys, 1, "globex"), Fault.NONE)


async def test_keys_that_have_retired_still_vouch_for_heads(keys: KeyFile) -> None:
    old = head(keys, 1)
    sealed = keys.newest()
    for _ in range(3):
        await asyncio.to_thread(keys.rotate, NOW, NOW - NOW)

    assert keys.is_signed(signed_text("acme", AuditHead(1, old.hash)), old.kid, old.signature)
    assert keys.find(sealed.key_id) == sealed.secret
    assert keys.newest().key_id != sealed.key_id
    assert len(keys.public_keys()) == 1
    assert not keys.is_signed(b"other", old.kid, old.signature)


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'{"tenant":1', b'{"tenant":"a","sequence":"x"}'])
def test_what_is_no_head_is_none(line: bytes) -> None:
    assert read_head(line) is None


async def test_a_webhook_gets_the_newest_heads_once_it_takes_them(
    keys: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.access.adapters.head_webhook._FIRST_PAUSE", 0.01)
    got: list[ExportedHead | None] = []
    answers = [500, 302, 204]

    async def take(request: web.Request) -> web.Response:
        status = answers.pop(0) if answers else 204
        if status == 204:
            got.extend(read_head(line) for line in (await request.read()).splitlines())
        return web.Response(status=status, headers={"location": "/elsewhere"})

    app = web.Application()
    app.router.add_post("/", take)
    counts: Counter[str] = Counter()
    async with TestServer(app) as server:
        hook = HeadWebhook(str(server.make_url("/")), lambda where, count: counts.update({where: count}))
        hook.tell([head(keys, 1), head(keys, 1, "globex")])
        hook.tell([head(keys, 2)])
        sender = asyncio.create_task(hook.run())
        await until(lambda: len(got) == 2)
        sender.cancel()
        hook.tell([head(keys, 3)])
        await hook.finish()

    assert {one.sequence for one in got[:2] if one} == {1, 2}
    assert got[2] == head(keys, 3)
    assert counts["webhook"] == 3


async def test_a_webhook_that_is_away_costs_bounded_memory_and_no_error(keys: KeyFile) -> None:
    counts: Counter[str] = Counter()
    hook = HeadWebhook("http://127.0.0.1:1/", lambda where, count: counts.update({where: count}))
    one = head(keys, 1)
    hook.tell([ExportedHead(f"t{number}", 1, one.hash, NOW, one.kid, b"") for number in range(1005)])
    await hook.finish()

    assert counts == {"lost": 5}
