"""Storage against a model of it in a dict: any sequence of operations gives the same outcome."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.chassis.db import open_database
from services.chassis.rpc.errors import KernelError
from services.chassis.runtime.clock import SystemClock
from services.storage.core import paths
from services.storage.core.content import INLINE_BYTES
from services.storage.core.history import Target
from services.storage.model import Mode, Totals
from services.storage.ports import Transaction
from services.storage.service.files import NewFile
from services.storage.store.sql import MIGRATIONS, SqlIndex
from tests.fakes.examples import examples
from tests.fakes.storage import PLANNER, Kernel, call, storage_limits
from tests.fakes.stores.storage import MemoryIndex

PATHS = st.sampled_from(["a", "b", "a/x", "a/y", "b/x", "a/x/deep"])
DATA = st.sampled_from([b"", b"one", b"two two", b"x" * 20_000])
KEPT = 3
QUOTA = 150_000


class Refused(Exception):
    """The model expects this reason."""


@dataclass
class File:
    """A file of the model: its kept versions by number."""

    versions: dict[int, bytes] = field(default_factory=dict)

    @property
    def newest(self) -> int:
        return max(self.versions)

    shared: set[int] = field(default_factory=set)
    """Versions that the next one holds whole because it was appended to them: they count once."""

    @property
    def size(self) -> int:
        return sum(len(data) for number, data in self.versions.items() if number not in self.shared)

    def append(self, more: bytes) -> None:
        old = self.versions[self.newest]
        if old and more and len(old) + len(more) > INLINE_BYTES:
            self.shared.add(self.newest)
        self.write(old + more)

    def write(self, data: bytes) -> None:
        self.versions[max(self.versions, default=0) + 1] = data
        for number in [n for n in self.versions if n <= self.newest - KEPT]:
            del self.versions[number]


Tree = dict[str, File | None]
"""Files and directories (None) by path."""


class Model:
    """What storage is meant to do, in the plainest way."""

    def __init__(self) -> None:
        self.tree: Tree = {}
        self.trash: list[tuple[str, Tree]] = []

    @property
    def size(self) -> int:
        trees = [self.tree, *(tree for _, tree in self.trash)]
        return sum(node.size for tree in trees for node in tree.values() if node)

    def below(self, path: str) -> list[str]:
        return [p for p in self.tree if paths.covers(path, p)]

    def need(self, path: str) -> File | None:
        if path not in self.tree:
            raise Refused("FILE_NOT_FOUND")
        return self.tree[path]

    def parents(self, path: str) -> None:
        for ancestor in paths.ancestors(path):
            if self.tree.setdefault(ancestor, None) is not None:
                raise Refused("WRONG_FILE_KIND")

    def write(self, path: str, data: bytes, mode: Mode, *, append: bool) -> None:
        node = self.tree.get(path)
        if path not in self.tree and mode is Mode.REPLACE:
            raise Refused("FILE_NOT_FOUND")
        if path in self.tree and node is None:
            raise Refused("WRONG_FILE_KIND")
        if node is not None and mode is Mode.CREATE:
            raise Refused("ALREADY_EXISTS")
        self.parents(path)
        node = node or File()
        if append and node.versions:
            node.append(data)
        else:
            node.write(data)
        self.tree[path] = node

    def mkdir(self, path: str) -> None:
        if path in self.tree:
            raise Refused("WRONG_FILE_KIND" if self.tree[path] else "ALREADY_EXISTS")
        self.parents(path)
        self.tree[path] = None

    def delete(self, path: str, *, recursive: bool) -> None:
        node = self.need(path)
        if node is None and len(self.below(path)) > 1 and not recursive:
            raise Refused("DIRECTORY_NOT_EMPTY")
        self.trash.append((path, {p: self.tree.pop(p) for p in self.below(path)}))

    def move(self, path: str, destination: str, *, overwrite: bool) -> None:
        node = self.need(path)
        if path == destination:
            return
        if paths.contains(path, destination):
            raise Refused("PATH_INVALID")
        if destination in self.tree:
            if (self.tree[destination] is None) != (node is None):
                raise Refused("WRONG_FILE_KIND")
            if not overwrite:
                raise Refused("ALREADY_EXISTS")
            self.delete(destination, recursive=False)
        self.parents(destination)
        moved = {paths.rebase(p, path, destination): self.tree.pop(p) for p in self.below(path)}
        self.tree.update(moved)

    def copy(self, path: str, destination: str) -> None:
        if paths.covers(path, destination):
            raise Refused("PATH_INVALID")
        self.need(path)
        if destination in self.tree:
            raise Refused("ALREADY_EXISTS")
        for item in sorted(self.below(path)):
            target = paths.rebase(item, path, destination)
            node = self.tree[item]
            self.parents(target)
            self.tree[target] = None
            if node is not None:
                copied = File()
                copied.write(node.versions[node.newest])
                self.tree[target] = copied

    def restore(self, path: str) -> None:
        last = max((i for i, (root, _) in enumerate(self.trash) if root == path), default=None)
        if last is None:
            raise Refused("FILE_NOT_FOUND")
        if path in self.tree:
            raise Refused("ALREADY_EXISTS")
        self.parents(path)
        self.tree.update(self.trash.pop(last)[1])

    def roll_back(self, path: str, steps: int) -> None:
        node = self.need(path)
        if node is None:
            raise Refused("WRONG_FILE_KIND")
        if steps >= len(node.versions):
            raise Refused("FILE_NOT_FOUND")
        node.write(node.versions[node.newest - steps])


class Machine(RuleBasedStateMachine):
    """Runs the same operations on storage and on the model."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.model = Model()
        self.kernel = self.runner.run(self.build())

    async def build(self) -> Kernel:
        """Make the storage under test."""
        return Kernel(index=MemoryIndex(), limits=storage_limits(size=QUOTA, versions=KEPT))

    def both(self, expected: Callable[[], None], operation: Awaitable[Any]) -> None:
        """Run an operation on both and compare how it ends."""
        tree = {p: File(dict(n.versions), set(n.shared)) if n else None for p, n in self.model.tree.items()}
        trash = list(self.model.trash)
        before = self.model.size
        try:
            expected()
            reason = "QUOTA_EXCEEDED" if self.model.size > max(QUOTA, before) else ""
        except Refused as refused:
            reason = str(refused)
        if reason:
            self.model.tree, self.model.trash = tree, trash
        found = ""
        try:
            self.runner.run(_finish(operation))
        except KernelError as error:
            found = error.reason
        assert found == reason

    @rule(path=PATHS, data=DATA, mode=st.sampled_from(Mode), append=st.booleans())
    def write(self, path: str, data: bytes, mode: Mode, *, append: bool) -> None:
        new = NewFile(path, data, mode, append=append)
        self.both(
            lambda: self.model.write(path, data, mode, append=append),
            self.kernel.service.files.write(call(), new),
        )

    @rule(path=PATHS)
    def mkdir(self, path: str) -> None:
        files = self.kernel.service.files
        self.both(lambda: self.model.mkdir(path), files.make_directory(call(), path, allow_existing=False))

    @rule(path=PATHS, recursive=st.booleans())
    def delete(self, path: str, *, recursive: bool) -> None:
        deletion = self.kernel.service.files.delete(
            call(), path, etag="", recursive=recursive, missing_ok=False, purge=False
        )
        self.both(lambda: self.model.delete(path, recursive=recursive), deletion)

    @rule(path=PATHS, destination=PATHS, overwrite=st.booleans())
    def move(self, path: str, destination: str, *, overwrite: bool) -> None:
        move = self.kernel.service.files.move(call(), path, destination, etag="", overwrite=overwrite)
        self.both(lambda: self.model.move(path, destination, overwrite=overwrite), move)

    @rule(path=PATHS, destination=PATHS)
    def copy(self, path: str, destination: str) -> None:
        source = (PLANNER, path)
        copy = self.kernel.service.files.copy(
            call(), source, destination, version=0, overwrite=False, etag=""
        )
        self.both(lambda: self.model.copy(path, destination), copy)

    @rule(path=PATHS)
    def restore(self, path: str) -> None:
        self.both(lambda: self.model.restore(path), self.kernel.service.files.restore(call(), path))

    @rule(path=PATHS, steps=st.integers(1, 3))
    def roll_back(self, path: str, steps: int) -> None:
        back = self.kernel.service.reading.roll_back(call(), path, Target(steps=steps), etag="")
        self.both(lambda: self.model.roll_back(path, steps), back)

    @rule()
    def sweep(self) -> None:
        self.runner.run(self.kernel.service.upkeep.sweep())

    @invariant()
    def storage_is_as_the_model_says(self) -> None:
        found, totals = self.runner.run(self.observe())

        assert found == {
            path: dict(node.versions) if node else None for path, node in self.model.tree.items()
        }
        assert totals.used == self.model.size
        assert totals.nodes == len(self.model.tree)

    async def observe(self) -> tuple[dict[str, dict[int, bytes] | None], Totals]:
        """Read everything there is."""

        def nodes(tx: Transaction) -> list[tuple[str, list[int]]]:
            return [
                (n.path, [v.number for v in tx.versions(n.id, before=0, limit=10)] if n.is_file else [])
                for n in tx.tree("", after="", limit=100)
            ]

        reading = self.kernel.service.reading
        found: dict[str, dict[int, bytes] | None] = {}
        for path, numbers in await self.kernel.index.read(PLANNER, nodes):
            contents: dict[int, bytes] = {}
            for number in numbers:
                opened = await reading.open(PLANNER, path, version=number, offset=0)
                stream = reading.stream(PLANNER, opened, offset=0, length=0)
                contents[number] = b"".join([part async for part in stream])
            found[path] = contents or None
        totals, _ = await self.kernel.service.files.usage(PLANNER)
        return found, totals

    def teardown(self) -> None:
        self.runner.run(self.close())
        self.runner.close()

    async def close(self) -> None:
        """Close what `build` opened."""


class SqliteMachine(Machine):
    """The same on SQLite."""

    async def build(self) -> Kernel:
        self.directory = tempfile.TemporaryDirectory()
        path = Path(self.directory.name) / "storage.db"
        self.database = open_database(f"sqlite:///{path}", migrations=MIGRATIONS)
        await self.database.migrate()
        return Kernel(
            index=SqlIndex(self.database, SystemClock()), limits=storage_limits(size=QUOTA, versions=KEPT)
        )

    async def close(self) -> None:
        await self.database.close()
        self.directory.cleanup()


async def _finish(operation: Awaitable[Any]) -> None:
    await operation


Machine.TestCase.settings = settings(max_examples=examples(60), stateful_step_count=25, deadline=None)
SqliteMachine.TestCase.settings = settings(max_examples=examples(10), stateful_step_count=20, deadline=None)
TestInMemory = Machine.TestCase
TestSqlite = SqliteMachine.TestCase
