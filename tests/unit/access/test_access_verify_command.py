"""`python -m services.access verify-audit`: what it prints and how it ends."""

import asyncio
import dataclasses
import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.access.adapters.head_file import HeadFile
from services.access.adapters.keys import KeyFile
from services.access.main import verify_audit
from services.access.service.audit_export import HeadExporter
from services.access.store import sql
from tests.fakes.access_manager import TENANT, desk
from tests.fakes.clock import FakeClock
from tests.fakes.databases import migrated

HEADS = "audit-heads.jsonl"


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave the files of an access manager that has registered agents and exported its heads."""
    monkeypatch.setenv("AIOS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("AIOS_ACCESS_KEY_FILE", str(tmp_path / "keys.json"))
    asyncio.run(_live(tmp_path))
    return tmp_path


async def _live(folder: Path) -> None:
    keys = await asyncio.to_thread(KeyFile, folder / "keys.json", FakeClock().now())
    async with migrated(f"sqlite:///{folder}/access.db", sql.MIGRATIONS) as database:
        one = await asyncio.to_thread(desk, sql.SqlStore(database, keys), folder)
        for number in range(4):
            await one.register(f"a{number}")
        ports = dataclasses.replace(one.manager.ports, heads=HeadFile(folder / HEADS, keys.is_signed))
        await HeadExporter(ports, rows=1, every=timedelta(hours=1)).look(everything=True)


def change(folder: Path, statement: str) -> None:
    """Do to the database what no access manager does."""
    with closing(sqlite3.connect(folder / "access.db")) as connection:
        connection.execute(statement)
        connection.commit()


def verified(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the command; return how it ended and what it printed."""
    code = verify_audit(arguments)
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_whole_log_is_intact_against_its_heads_and_a_copy_of_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = folder / "copy.jsonl"
    copy.write_bytes(b'{"half a li\n[1, 2]\n' + (folder / HEADS).read_bytes())

    for arguments in ((TENANT,), (TENANT, str(copy))):
        code, [found] = verified(capsys, *arguments)
        assert (code, found["intact"], found["head_sequence"]) == (0, True, 4)


def test_a_log_cut_short_is_told_by_the_heads_and_by_the_copy(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for table, where in (("audit", "sequence > 2"), ("audit_heads", "1")):
        change(folder, f"DELETE FROM {table} WHERE {where}")  # noqa: S608 - the test's own text

    for arguments in ((TENANT,), (TENANT, str(folder / HEADS))):
        code, [found] = verified(capsys, *arguments)
        assert (code, found["intact"]) == (1, False)


def test_a_changed_entry_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder, "UPDATE audit SET action = 'agent.nothing' WHERE sequence = 2")
    code, [found] = verified(capsys, TENANT)

    assert (code, found["broken_sequence"]) == (1, 2)


@pytest.mark.parametrize("text", [None, b"", b"\xff\xfe\n{}\n", b"[" * 5000 + b"\n"])
def test_a_file_without_heads_proves_nothing(
    folder: Path, text: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = folder / "copy.jsonl"
    if text is not None:
        copy.write_bytes(text)

    assert verify_audit([TENANT, str(copy)]) == 2
    assert "copy.jsonl" in capsys.readouterr().err


def test_heads_that_somebody_else_signed_prove_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = json.loads((folder / HEADS).read_text().splitlines()[-1])
    copy = folder / "copy.jsonl"
    copy.write_text(json.dumps({**line, "hash": "0" * 64}))

    assert verify_audit([TENANT, str(copy)]) in (1, 2)
    assert 'intact": true' not in capsys.readouterr().out
