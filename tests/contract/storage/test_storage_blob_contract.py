"""What every blob store shows the use cases."""

import errno
import os
import time
from pathlib import Path

import pytest

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import DataCorrupt, DiskFull
from services.storage.core.content import sha256
from services.storage.ports import BlobStore
from services.storage.store.directory import DirectoryBlobs
from tests.fakes.storage import CRITIC, PLANNER
from tests.fakes.stores.storage import MemoryBlobs

DATA = b"some bytes" * 5000
DIGEST = sha256(DATA)


class BlobContract:
    """Behaviour every BlobStore must show; subclasses supply `blobs`."""

    def test_a_piece_comes_back_as_it_was(self, blobs: BlobStore) -> None:
        blobs.put(PLANNER, DIGEST, DATA)
        blobs.put(PLANNER, DIGEST, DATA)

        assert blobs.get(PLANNER, DIGEST) == DATA
        assert blobs.has(PLANNER, DIGEST)

    def test_a_piece_belongs_to_its_scope(self, blobs: BlobStore) -> None:
        blobs.put(PLANNER, DIGEST, DATA)

        assert not blobs.has(CRITIC, DIGEST)
        with pytest.raises(DataCorrupt):
            blobs.get(CRITIC, DIGEST)
        assert blobs.idle(CRITIC, seconds=0, limit=10) == []

    def test_a_removed_piece_is_gone(self, blobs: BlobStore) -> None:
        blobs.put(PLANNER, DIGEST, DATA)
        blobs.remove(PLANNER, DIGEST)
        blobs.remove(PLANNER, DIGEST)

        assert not blobs.has(PLANNER, DIGEST)

    def test_idle_pieces_are_those_not_put_lately(self, blobs: BlobStore) -> None:
        blobs.put(PLANNER, DIGEST, DATA)

        assert blobs.idle(PLANNER, seconds=0, limit=10) == [DIGEST]
        assert blobs.idle(PLANNER, seconds=3600, limit=10) == []


class TestInMemory(BlobContract):
    """Blobs in RAM."""

    @pytest.fixture
    def blobs(self) -> BlobStore:
        return MemoryBlobs()


class TestDirectory(BlobContract):
    """Blobs in a directory."""

    @pytest.fixture
    def blobs(self, tmp_path: Path) -> BlobStore:
        return DirectoryBlobs(tmp_path)

    @pytest.mark.parametrize("damage", [b"", DATA[:-1], DATA[:-1] + b"!"])
    def test_damaged_bytes_are_put_aside_and_never_returned(
        self, blobs: BlobStore, tmp_path: Path, damage: bytes
    ) -> None:
        blobs.put(PLANNER, DIGEST, DATA)
        path = next(tmp_path.rglob(DIGEST))
        path.write_bytes(damage)

        with pytest.raises(DataCorrupt):
            blobs.get(PLANNER, DIGEST)
        assert not blobs.has(PLANNER, DIGEST)
        blobs.put(PLANNER, DIGEST, DATA)
        assert blobs.get(PLANNER, DIGEST) == DATA

    def test_what_an_interrupted_put_left_is_cleared_away(self, blobs: BlobStore, tmp_path: Path) -> None:
        blobs.put(PLANNER, DIGEST, DATA)
        left = next(tmp_path.rglob(DIGEST)).with_name("0123.part")
        left.write_bytes(b"half")
        old = time.time() - 100
        os.utime(left, (old, old))

        assert blobs.idle(PLANNER, seconds=50, limit=10) == []
        assert not left.exists()

    @pytest.mark.parametrize("name", ["..", ".", "a/b", "../../x", "\0"])
    def test_no_id_leads_out_of_the_directory(self, tmp_path: Path, name: str) -> None:
        blobs = DirectoryBlobs(tmp_path / "blobs")
        blobs.put(Scope(name, name), DIGEST, DATA)

        assert [path.name for path in tmp_path.iterdir()] == ["blobs"]
        assert len(list((tmp_path / "blobs").rglob(DIGEST))) == 1

    def test_a_full_disk_is_a_typed_error_and_leaves_nothing(
        self, blobs: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        (tmp_path / "acme" / "planner" / DIGEST[:2]).mkdir(parents=True)

        with pytest.raises(DiskFull):
            blobs.put(PLANNER, DIGEST, DATA)
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]
