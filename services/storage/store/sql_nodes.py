"""Files, directories and versions in SQL."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from services.chassis.times import from_micros, micros
from services.storage.core import paths
from services.storage.model import Attributes, Kind, Link, Node, Piece, VacatedName, Version
from services.storage.store.scoped import Scoped
from services.storage.store.tables import CHUNKS, LINKS, NODES, PIECES, VACATED, VERSIONS


class SqlNodes(Scoped):
    """The Nodes part of a transaction."""

    def node(self, path: str) -> Node | None:
        """Return the live node at a path."""
        row = self._row(NODES, trash_id=0, path=path)
        return to_node(row) if row else None

    def node_of(self, node_id: str) -> Node | None:
        """Return a node by its id."""
        row = self._row(NODES, id=node_id)
        return to_node(row) if row else None

    def children(self, directory: str, *, after: str, limit: int) -> list[Node]:
        """List the live nodes directly in a directory."""
        return self._nodes(
            NODES.c.trash_id == 0, NODES.c.parent == directory, NODES.c.path > after, limit=limit
        )

    def tree(self, directory: str, *, after: str, limit: int) -> list[Node]:
        """List all live nodes below a directory."""
        return self._nodes(NODES.c.trash_id == 0, is_below(directory), NODES.c.path > after, limit=limit)

    def trashed_roots(self, *, before: int, limit: int, path: str = "") -> list[Node]:
        """List what was deleted, the last first."""
        conditions = [NODES.c.trash_root.is_(True), NODES.c.trash_id > 0]
        if before:
            conditions.append(NODES.c.trash_id < before)
        if path:
            conditions.append(NODES.c.path == path)
        found = self._select(NODES, *conditions).order_by(NODES.c.trash_id.desc()).limit(limit)
        return [to_node(row) for row in self._rows(found)]

    def trashed(self, trash_id: int) -> list[Node]:
        """List all nodes of one deletion."""
        return self._nodes(NODES.c.trash_id == trash_id, NODES.c.trash_id > 0)

    def expired_trash(self, before: datetime, *, limit: int) -> list[Node]:
        """List what was deleted before a moment, the first deletion first."""
        due = self._select(
            NODES, NODES.c.trash_id > 0, NODES.c.trash_root.is_(True), NODES.c.trashed_at < micros(before)
        )
        return [to_node(row) for row in self._rows(due.order_by(NODES.c.trash_id).limit(limit))]

    def put_nodes(self, nodes: Sequence[Node]) -> None:
        """Insert or replace nodes by id."""
        self._upsert(NODES, [_from_node(node) for node in nodes])

    def _nodes(self, *conditions: sa.ColumnElement[bool], limit: int | None = None) -> list[Node]:
        statement = self._select(NODES, *conditions).order_by(NODES.c.path).limit(limit)
        return [to_node(row) for row in self._rows(statement)]


class SqlVersions(Scoped):
    """The Versions part of a transaction."""

    def version(self, node_id: str, number: int) -> Version | None:
        """Return one version of a file."""
        row = self._row(VERSIONS, node_id=node_id, number=number)
        return _to_version(row) if row else None

    def versions(self, node_id: str, *, before: int, limit: int) -> list[Version]:
        """List versions, newest first."""
        conditions = [VERSIONS.c.node_id == node_id]
        if before:
            conditions.append(VERSIONS.c.number < before)
        found = self._select(VERSIONS, *conditions).order_by(VERSIONS.c.number.desc()).limit(limit)
        return [_to_version(row) for row in self._rows(found)]

    def version_bytes(self, node_ids: Sequence[str]) -> int:
        """Sum what all versions of some files count."""
        total = sa.select(sa.func.coalesce(sa.func.sum(VERSIONS.c.size - VERSIONS.c.shared), 0))
        found = self._conn.execute(total.where(self._mine(VERSIONS), VERSIONS.c.node_id.in_(node_ids)))
        return int(found.scalar_one())

    def put_version(self, version: Version) -> None:
        """Add a version."""
        self._insert(VERSIONS, [_from_version(version)])

    def share_version(self, node_id: str, number: int) -> None:
        """Mark a version as held whole by the next one."""
        which = (self._mine(VERSIONS), VERSIONS.c.node_id == node_id, VERSIONS.c.number == number)
        self._conn.execute(sa.update(VERSIONS).where(*which).values(shared=VERSIONS.c.size))

    def drop_versions(self, node_id: str, numbers: Sequence[int]) -> None:
        """Forget versions of a file."""
        self._delete(VERSIONS, VERSIONS.c.node_id == node_id, VERSIONS.c.number.in_(numbers))

    def pieces(self, digest: str) -> tuple[Piece, ...] | None:
        """Return the pieces of a content."""
        own = self._listed(digest)
        if own:
            return own
        links = self._links(digest)
        if not links:
            return None
        return (*self._listed(links[0].base), *(link.piece for link in links))

    def has_content(self, digest: str) -> bool:
        """Tell whether a content is known."""
        listed = sa.exists().where(self._mine(PIECES), PIECES.c.digest == digest)
        linked = sa.exists().where(self._mine(LINKS), LINKS.c.digest == digest)
        return bool(self._conn.execute(sa.select(sa.or_(listed, linked))).scalar_one())

    def link(self, digest: str) -> Link | None:
        """Return a content made by appending."""
        row = self._row(LINKS, digest=digest)
        return _to_link(row) if row else None

    def put_link(self, link: Link) -> None:
        """Remember a content made by appending."""
        self._insert(LINKS, [_from_link(link)])

    def _listed(self, digest: str) -> tuple[Piece, ...]:
        found = self._select(PIECES, PIECES.c.digest == digest).order_by(PIECES.c.position)
        return tuple(to_piece(row) for row in self._rows(found))

    def _links(self, digest: str) -> list[Link]:
        """Return a link and those it builds on, the first one first."""
        first = sa.select(LINKS.c.digest, LINKS.c.base, sa.literal(0).label("depth"))
        chain = first.where(self._mine(LINKS), LINKS.c.digest == digest).cte("chain", recursive=True)
        before = sa.select(LINKS.c.digest, LINKS.c.base, chain.c.depth + 1)
        chain = chain.union_all(before.where(self._mine(LINKS), LINKS.c.digest == chain.c.base))
        found = self._select(LINKS, LINKS.c.digest == chain.c.digest).order_by(chain.c.depth.desc())
        return [_to_link(row) for row in self._rows(found)]

    def put_pieces(self, digest: str, pieces: Sequence[Piece]) -> None:
        """Remember the pieces of a content."""
        self._insert(
            PIECES, [{"digest": digest, "position": i, **from_piece(p)} for i, p in enumerate(pieces)]
        )

    def drop_unused_contents(self) -> int:
        """Forget contents that no version refers to."""
        used = sa.select(VERSIONS.c.digest).where(self._mine(VERSIONS)).cte("used", recursive=True)
        below = sa.select(LINKS.c.base).where(self._mine(LINKS), LINKS.c.digest == used.c.digest)
        used = used.union(below)
        count = 0
        for table in (PIECES, LINKS):
            unused = sa.select(table.c.digest).where(
                self._mine(table), table.c.digest.not_in(sa.select(used.c.digest))
            )
            digests = list(self._conn.execute(unused.distinct()).scalars())
            for digest in digests:
                self._remove(table, digest=digest)
            count += len(digests)
        return count

    def referenced(self, digests: Iterable[str]) -> set[str]:
        """Tell which of these blobs a content or an upload needs."""
        wanted = list(digests)
        found: set[str] = set()
        for table in (PIECES, LINKS, CHUNKS):
            needed = sa.select(table.c.piece).where(self._mine(table), table.c.piece.in_(wanted))
            found |= set(self._conn.execute(needed).scalars())
        return found


class SqlVacatedNames(Scoped):
    """The VacatedNames part of a transaction."""

    def put_vacated(self, name: VacatedName) -> None:
        """Insert or replace a name by its path."""
        self._upsert(VACATED, [{"path": name.path, "sequence": name.sequence}])

    def vacated(self, *, limit: int) -> list[VacatedName]:
        """List vacated names, by path."""
        return self._vacated(self._select(VACATED).order_by(VACATED.c.path).limit(limit))

    def vacated_over(self, wanted: Sequence[str]) -> list[VacatedName]:
        """Return the vacated names that are, or contain, one of these paths."""
        names = {name for path in wanted for name in (*paths.ancestors(path), path)}
        return self._vacated(self._select(VACATED, VACATED.c.path.in_(sorted(names))))

    def drop_vacated(self, names: Sequence[VacatedName]) -> None:
        """Forget names, unless they were vacated again since."""
        for name in names:
            self._remove(VACATED, path=name.path, sequence=name.sequence)

    def _vacated(self, statement: sa.Select[Any]) -> list[VacatedName]:
        return [VacatedName(row.path, row.sequence) for row in self._rows(statement)]


def is_below(directory: str) -> sa.ColumnElement[bool]:
    """Return the condition that a node lies below a directory."""
    first, last = paths.below(directory)
    return sa.and_(NODES.c.path >= first, NODES.c.path < last) if directory else sa.true()


def to_node(row: sa.Row[Any]) -> Node:
    """Convert a row."""
    return Node(
        id=row.id,
        path=row.path,
        kind=Kind(row.kind),
        created_at=from_micros(row.created_at),
        updated_at=from_micros(row.updated_at),
        revision=row.revision,
        version=row.version,
        digest=row.digest,
        size=row.size,
        writer=row.writer,
        label=Attributes(row.media_type, orjson.loads(row.metadata)),
        trash_id=row.trash_id,
        trash_root=row.trash_root,
        trashed_at=None if row.trashed_at is None else from_micros(row.trashed_at),
        untrusted=row.untrusted,
    )


def to_piece(row: sa.Row[Any]) -> Piece:
    """Convert a row of pieces or chunks."""
    return Piece(row.piece, row.size, None if row.data is None else bytes(row.data))


def from_piece(piece: Piece) -> Mapping[str, Any]:
    """Convert a piece for a row of pieces or chunks."""
    return {"piece": piece.digest, "size": piece.size, "data": piece.data}


def _from_node(node: Node) -> Mapping[str, Any]:
    return {
        "id": node.id,
        "path": node.path,
        "parent": paths.parent(node.path),
        "kind": node.kind.value,
        "created_at": micros(node.created_at),
        "updated_at": micros(node.updated_at),
        "revision": node.revision,
        "version": node.version,
        "digest": node.digest,
        "size": node.size,
        "writer": node.writer,
        "media_type": node.label.media_type,
        "metadata": orjson.dumps(dict(node.label.metadata)).decode(),
        "trash_id": node.trash_id,
        "trash_root": node.trash_root,
        "trashed_at": None if node.trashed_at is None else micros(node.trashed_at),
        "untrusted": node.untrusted,
    }


def _to_version(row: sa.Row[Any]) -> Version:
    return Version(
        node_id=row.node_id,
        number=row.number,
        digest=row.digest,
        size=row.size,
        created_at=from_micros(row.created_at),
        writer=row.writer,
        etag=row.etag,
        comment=row.comment,
        restored=row.restored,
        shared=row.shared,
        untrusted=row.untrusted,
    )


def _from_version(version: Version) -> Mapping[str, Any]:
    return {
        "node_id": version.node_id,
        "number": version.number,
        "digest": version.digest,
        "size": version.size,
        "created_at": micros(version.created_at),
        "writer": version.writer,
        "etag": version.etag,
        "comment": version.comment,
        "restored": version.restored,
        "shared": version.shared,
        "untrusted": version.untrusted,
    }


def _to_link(row: sa.Row[Any]) -> Link:
    data = None if row.data is None else bytes(row.data)
    pending = None if row.pending is None else bytes(row.pending)
    return Link(row.digest, row.base, row.size, Piece(row.piece, row.piece_size, data), pending)


def _from_link(link: Link) -> Mapping[str, Any]:
    return {
        "digest": link.digest,
        "base": link.base,
        "size": link.size,
        "piece": link.piece.digest,
        "piece_size": link.piece.size,
        "data": link.piece.data,
        "pending": link.pending,
    }
