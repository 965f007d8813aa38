"""The catalogue of snapshots and their files."""

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from services.tgi_local.core.snapshots import Catalogue, Miss, Snapshot
from services.tgi_local.store.snapshot_files import SnapshotFiles


def catalogue(**settings: object) -> Catalogue:
    given = {"model": "m", "max_bytes": 100, "max_snapshot_bytes": 60, "ttl": 10.0} | settings
    return Catalogue(**given)  # type: ignore[arg-type]  # settings are per test


def snapshot(handle: str, size: int = 10, at: float = 0.0, model: str = "m") -> Snapshot:
    return Snapshot(handle, model, "digest", size, 1, at)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 60)), max_size=30))
def test_the_total_never_exceeds_the_cap(entries: list[tuple[str, int]]) -> None:
    kept = catalogue()
    for handle, size in entries:
        gone = kept.add(snapshot(handle, size))

        assert kept.total_bytes <= 100
        assert handle not in gone


def test_the_least_recently_used_goes_first() -> None:
    kept = catalogue()
    for handle in "abc":
        kept.add(snapshot(handle, 33))
    kept.find("a", 0.0)

    assert kept.add(snapshot("d", 33)) == ["b"]


def test_lookups_say_why_they_miss() -> None:
    kept = catalogue()
    kept.add(snapshot("foreign", model="other"))
    kept.add(snapshot("old"))

    assert kept.find("never", 0.0) is Miss.UNKNOWN
    assert kept.find("foreign", 0.0) is Miss.FOREIGN
    assert kept.find("old", 10.1) is Miss.EXPIRED
    assert kept.find("old", 10.0) == snapshot("old")


def test_a_snapshot_larger_than_the_cap_is_not_admitted() -> None:
    assert catalogue().admits(60)
    assert not catalogue().admits(61)
    assert not catalogue(max_bytes=50).admits(60)


def test_expired_snapshots_are_forgotten() -> None:
    kept = catalogue()
    kept.add(snapshot("old"))
    kept.add(snapshot("new", at=5.0))

    assert kept.expired(11.0) == ["old"]
    assert len(kept) == 1


async def files(directory: Path, now: list[float], **settings: object) -> SnapshotFiles:
    made = SnapshotFiles(directory, catalogue(**settings), model="m", now=lambda: now[0])
    await asyncio.to_thread(made.load)
    return made


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def kept(store: SnapshotFiles, directory: Path, content: bytes) -> str:
    handle = store.new_handle()
    (directory / store.file_name(handle)).write_bytes(content)
    assert await store.keep(handle, 3) is not None
    return handle


async def test_a_file_is_kept_privately_and_found_again_after_a_restart(tmp_path: Path) -> None:
    now = [0.0]
    handle = await kept(await files(tmp_path, now), tmp_path, b"state")
    again = await files(tmp_path, now)
    found = await again.find(handle)

    assert isinstance(found, Snapshot)
    assert (found.size, found.tokens) == (5, 3)
    assert (tmp_path / f"{handle}.bin").stat().st_mode & 0o777 == 0o600
    assert len(handle) >= 32


async def test_files_without_a_good_record_are_removed_at_start(tmp_path: Path) -> None:
    now = [0.0]
    handle = await kept(await files(tmp_path, now), tmp_path, b"state")
    (tmp_path / "stray.bin").write_bytes(b"x")
    (tmp_path / "torn.json").write_bytes(b"{")
    (tmp_path / "lonely.json").write_bytes(b'{"handle":"lonely"}')
    await files(tmp_path, now)

    assert names(tmp_path) == [f"{handle}.bin", f"{handle}.json"]


async def test_a_truncated_file_is_removed_at_start(tmp_path: Path) -> None:
    now = [0.0]
    handle = await kept(await files(tmp_path, now), tmp_path, b"state")
    (tmp_path / f"{handle}.bin").write_bytes(b"sta")
    await files(tmp_path, now)

    assert names(tmp_path) == []


async def test_changed_bytes_are_noticed(tmp_path: Path) -> None:
    now = [0.0]
    store = await files(tmp_path, now)
    handle = await kept(store, tmp_path, b"state")
    (tmp_path / f"{handle}.bin").write_bytes(b"stale")

    assert await store.find(handle) is Miss.CORRUPT
    assert await store.find(handle) is Miss.UNKNOWN


async def test_a_vanished_file_is_noticed(tmp_path: Path) -> None:
    now = [0.0]
    store = await files(tmp_path, now)
    handle = await kept(store, tmp_path, b"state")
    (tmp_path / f"{handle}.bin").unlink()

    assert await store.find(handle) is Miss.CORRUPT


async def test_expired_files_are_deleted(tmp_path: Path) -> None:
    now = [0.0]
    store = await files(tmp_path, now)
    handle = await kept(store, tmp_path, b"state")
    now[0] = 11.0

    assert await store.find(handle) is Miss.EXPIRED
    assert names(tmp_path) == []


async def test_old_files_are_collected_although_nobody_asks_for_them(tmp_path: Path) -> None:
    now = [0.0]
    store = await files(tmp_path, now)
    await kept(store, tmp_path, b"old")
    now[0] = 6.0
    young = await kept(store, tmp_path, b"young")
    now[0] = 11.0

    assert await store.collect() == 1
    assert names(tmp_path) == [f"{young}.bin", f"{young}.json"]
    assert (store.count, store.total_bytes) == (1, 5)


async def test_files_that_grew_old_while_the_server_was_down_are_removed_at_start(tmp_path: Path) -> None:
    await kept(await files(tmp_path, [0.0]), tmp_path, b"state")
    store = await files(tmp_path, [11.0])

    assert store.count == 0
    assert names(tmp_path) == []


async def test_making_room_deletes_files(tmp_path: Path) -> None:
    store = await files(tmp_path, [0.0])
    first = await kept(store, tmp_path, b"x" * 60)
    second = await kept(store, tmp_path, b"x" * 60)

    assert await store.find(first) is Miss.UNKNOWN
    assert isinstance(await store.find(second), Snapshot)
    assert not (tmp_path / f"{first}.bin").exists()


async def test_a_file_too_large_is_not_kept(tmp_path: Path) -> None:
    store = await files(tmp_path, [0.0])
    (tmp_path / "big.bin").write_bytes(b"x" * 61)

    assert await store.keep("big", 1) is None
    assert names(tmp_path) == []


async def test_deleting_twice_is_harmless_and_cannot_leave_the_directory(tmp_path: Path) -> None:
    outside = tmp_path / "outside.bin"
    outside.write_bytes(b"x")
    (tmp_path / "in").mkdir()
    store = await files(tmp_path / "in", [0.0])
    handle = await kept(store, tmp_path / "in", b"state")

    assert await store.delete(handle)
    assert not await store.delete(handle)
    assert not await store.delete("../outside")
    assert outside.exists()
