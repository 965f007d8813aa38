"""The sums that quotas are judged by are what a count of the rows says, whatever was done."""

import contextlib
import importlib.util
import random
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from services.chassis.auth.identity import Scope
from services.chassis.db import Database
from services.chassis.rpc.errors import KernelError
from services.chassis.runtime.clock import SystemClock
from services.storage.core.rows import Question, Row
from services.storage.core.uploading import Begin
from services.storage.model import Attributes, Mode, RequestContext
from services.storage.service.files import NewFile
from services.storage.store.sql import MIGRATIONS, SCHEMA, SqlIndex
from tests.contract.storage.indexes import empty
from tests.fakes import sums
from tests.fakes.databases import migrated
from tests.fakes.storage import Kernel, storage_limits

PLACES: Final = ("a", "a/b", "a/c", "d", "d/e/f")
OPERATIONS: Final = ("write", "delete", "purge", "restore", "copy", "move", "put", "drop", "upload", "sweep")


async def work(kernel: Kernel, chance: random.Random, number: int) -> None:  # noqa: C901 - one case each
    """Do one thing as one of two agents; what is refused changes nothing."""
    agent, place, other = chance.choice(("planner", "critic")), chance.choice(PLACES), chance.choice(PLACES)
    scope = Scope("acme", agent, chance.choice(("", "planner")))
    call = RequestContext(scope, agent, chance.choice(("", f"r{number}")), scope.tree)
    files, records, uploads = kernel.service.files, kernel.service.records, kernel.service.uploads
    match chance.choice(OPERATIONS):
        case "write":
            await files.write(call, NewFile(place, b"x" * chance.randint(0, 900)))
        case "delete":
            await files.delete(call, place, etag="", recursive=True, missing_ok=True, purge=False)
        case "purge":
            await files.delete(call, place, etag="", recursive=True, missing_ok=True, purge=True)
        case "restore":
            await files.restore(call, place)
        case "copy":
            await files.copy(call, (scope, place), other, version=0, overwrite=True, etag="")
        case "move":
            await files.move(call, place, other, etag="", overwrite=True)
        case "put":
            rows = [Row(f"k{chance.randint(0, 5)}", "{}", "text")]
            await records.put(call, chance.choice("cd"), rows, Mode.ANY)
        case "drop":
            await records.delete(call, "c", Question(), everything=chance.random() < 0.5)
        case "upload":
            begun = await uploads.begin(call, Begin(place, 0, Mode.ANY, "", Attributes(), ""))
            await uploads.take(call, begun.id, 0, b"y" * 100, "")
            if chance.random() < 0.5:
                await uploads.commit(call, begun.id, "")
        case "sweep":
            kernel.clock.advance(timedelta(days=10).total_seconds())
            await kernel.service.upkeep.sweep()


def counting() -> str:
    """Return what counts the rows of each agent by quota, as the migration does that fills the sums."""
    found = MIGRATIONS / "0003_quotas.py"
    spec = importlib.util.spec_from_file_location("quotas_of_storage", found)
    assert spec is not None
    assert spec.loader is not None
    migration: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(migration)
    return str(migration.KEPT)


async def agree(database: Database, seed: int) -> None:
    kernel = Kernel(
        index=SqlIndex(database, SystemClock()), limits=storage_limits(files=6, size=4_000, versions=3)
    )
    chance = random.Random(seed)  # noqa: S311 - no secret
    for number in range(60):
        with contextlib.suppress(KernelError):
            await work(kernel, chance, number)

    await sums.agree(database, counting(), {"critic": "planner"})


async def test_sums_and_rows_agree_on_sqlite(tmp_path: Path) -> None:
    async with migrated(f"sqlite:///{tmp_path}/storage.db", MIGRATIONS) as database:
        await agree(database, 1)


async def test_sums_and_rows_agree_on_postgres(one_postgres_url: str) -> None:
    async with migrated(one_postgres_url, MIGRATIONS, schema=SCHEMA) as database:
        await database.write(empty)
        await agree(database, 2)
