"""A data directory that was open to others is closed; one that is not ours alone is refused."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.chassis.runtime.private_files import NotPrivate, make_file, own_directory, own_file

NOBODY = 65534
VOLUME_GROUP = 10001
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can play another user")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def make(path: Path, mode: int, content: str = "x") -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


@contextmanager
def as_nobody(*groups: int) -> Iterator[None]:
    """Be another user for a block."""
    own = os.getgroups()
    os.setgroups(groups)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(own)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Everything as a start under the usual umask leaves it."""
    root = tmp_path / "data"
    (root / "storage" / "blobs" / "ab").mkdir(parents=True)
    for name in ("access.db", "access.db-wal", "access.db-shm", "service.key", "storage/blobs/ab/abcd"):
        make(root / name, 0o644)
    for path in (root, *root.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    return root


def test_everything_that_was_open_is_closed_and_told(data: Path) -> None:
    everything = {data, *data.rglob("*")}

    assert set(own_directory(data)) == everything
    assert {mode(path) for path in everything if path.is_dir()} == {0o700}
    assert {mode(path) for path in everything if path.is_file()} == {0o600}
    assert own_directory(data) == []


def test_a_missing_directory_is_made_private_only_where_it_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"

    assert own_directory(path) == []
    assert not path.exists()
    own_directory(path, create=True)
    assert mode(path) == 0o700


def test_a_link_is_refused_and_what_it_points_to_left_alone(data: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(data)

    with pytest.raises(NotPrivate, match=f"{link} is a link"):
        own_directory(link, create=True)
    assert mode(data) == 0o755


def test_links_inside_are_not_followed(data: Path, tmp_path: Path) -> None:
    outside = make(tmp_path / "outside", 0o644)
    (data / "link").symlink_to(outside)
    own_directory(data)

    assert mode(outside) == 0o644


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    for create in (False, True):
        with pytest.raises(NotPrivate) as refused:
            own_directory(make(tmp_path / "file", 0o600), create=create)
        assert len(str(refused.value).splitlines()) == 1


def test_a_directory_that_all_users_share_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)

    with pytest.raises(NotPrivate, match="shared by all"):
        own_directory(tmp_path)
    assert mode(tmp_path) == 0o1777
    with pytest.raises(NotPrivate):
        own_directory(Path("/"))


@needs_root
def test_another_users_directory_is_refused(data: Path) -> None:
    os.chown(data, NOBODY, -1)

    with pytest.raises(NotPrivate, match="belongs to another user"):
        own_directory(data)
    assert mode(data / "service.key") == 0o644


@needs_root
def test_what_another_user_put_there_is_refused(data: Path) -> None:
    os.chown(data / "access.db", NOBODY, -1)

    with pytest.raises(NotPrivate, match=r"access\.db belongs to another user"):
        own_directory(data)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Make a folder that every user can reach: those of pytest are its own user's alone."""
    with tempfile.TemporaryDirectory(prefix="aios-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@needs_root
def test_a_volume_mounted_for_a_group_is_used_and_its_files_are_closed(open_folder: Path) -> None:
    """As Kubernetes makes it of fsGroup: root's, setgid, and what lay in it the group's to write."""
    volume = open_folder / "volume"
    (volume / "lost+found").mkdir(parents=True)
    os.chown(volume, 0, VOLUME_GROUP)
    volume.chmod(0o2775)
    database = make(volume / "access.db", 0o660)
    os.chown(database, NOBODY, VOLUME_GROUP)

    with as_nobody(VOLUME_GROUP):
        assert own_directory(volume) == [database]
        make_file(volume / "memory.db")
    assert [mode(database), mode(volume / "memory.db"), mode(volume)] == [0o600, 0o600, 0o2775]
    with as_nobody(), pytest.raises(NotPrivate, match="another user"):
        own_directory(volume)
    volume.chmod(0o2777)
    with as_nobody(VOLUME_GROUP), pytest.raises(NotPrivate, match="everybody may write"):
        own_directory(volume)


def test_a_file_is_made_or_closed(tmp_path: Path) -> None:
    made, found = tmp_path / "made", make(tmp_path / "found", 0o664, "kept")
    make_file(made)
    make_file(found)

    assert [mode(made), mode(found)] == [0o600, 0o600]
    assert found.read_text() == "kept"
    assert not own_file(found)
    assert not own_file(tmp_path / "missing")
