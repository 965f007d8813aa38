"""The search index in SQL: FTS5 on SQLite, tsvector on PostgreSQL, both over words normalised by us."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from services.storage.model import Document, Node
from services.storage.store.scoped import Scoped
from services.storage.store.sql_nodes import is_below, to_node
from services.storage.store.tables import DOCUMENTS, NODES

# The full-text index of SQLite keeps no text of its own: an entry is removed by telling it the words again.
# Its column `owner` holds one token that stands for the scope: a search touches entries of that scope only.
_ADD = sa.text("INSERT INTO documents_fts (owner, words) VALUES (:owner, :words)")
_REMOVE = sa.text(
    "INSERT INTO documents_fts (documents_fts, rowid, owner, words) VALUES ('delete', :entry, :owner, :words)"
)
_MATCH = sa.text("documents_fts MATCH :query")
_VECTOR = sa.text(
    "UPDATE documents SET tsv = array_to_tsvector(:words) "
    "WHERE tenant = :tenant AND agent = :agent AND node_id = :node_id"
)


class SqlTexts(Scoped):
    """The Texts part of a transaction."""

    def put_document(self, document: Document) -> None:
        """Insert or replace what search knows about a node."""
        self.drop_document(document.id)
        row = {
            "node_id": document.id,
            "text": document.text,
            "words": document.words,
            "vector": document.vector,
            "entry": self._add_entry(document.words) if self._sqlite else None,
        }
        self._insert(DOCUMENTS, [row])
        if not self._sqlite:
            distinct = sorted(set(document.words.split()))
            self._conn.execute(_VECTOR, self._owned({"words": distinct, "node_id": document.id}))

    def document(self, node_id: str) -> Document | None:
        """Return what search knows about a node."""
        row = self._row(DOCUMENTS, node_id=node_id)
        return Document(row.node_id, row.text, row.words, bytes(row.vector)) if row else None

    def drop_document(self, node_id: str) -> None:
        """Forget a node's text."""
        row = self._row(DOCUMENTS, node_id=node_id)
        if row is None:
            return
        if self._sqlite:
            old = {"entry": row.entry, "owner": self._owner_token(), "words": row.words}
            self._conn.execute(_REMOVE, old)
        self._remove(DOCUMENTS, node_id=node_id)

    def count_documents(self) -> int:
        """Count the documents of live nodes."""
        counted = sa.select(sa.func.count()).select_from(self._live("")).where(*self._conditions(""))
        return int(self._conn.execute(counted).scalar_one())

    def matching(self, words: Sequence[str], directory: str, *, limit: int) -> list[tuple[Node, str]]:
        """Return live nodes below a directory that hold any of `words`, the most promising."""
        find = self._matching_sqlite if self._sqlite else self._matching_postgres
        statement, values = find(words, directory)
        found = self._conn.execute(statement.limit(limit), values).all()
        return [(to_node(row), row.words) for row in found]

    def vectors(self, directory: str, *, limit: int) -> list[tuple[Node, bytes]]:
        """Return the embeddings of live nodes below a directory."""
        found = (
            sa.select(NODES, DOCUMENTS.c.vector)
            .select_from(self._live(directory))
            .where(*self._conditions(directory))
            .limit(limit)
        )
        return [(to_node(row), bytes(row.vector)) for row in self._rows(found)]

    def _matching_sqlite(
        self, words: Sequence[str], directory: str
    ) -> tuple[sa.Select[Any], Mapping[str, Any]]:
        index = sa.table("documents_fts", sa.column("rowid"))
        choices = " OR ".join(f'"{word}"' for word in words)
        query = f'owner : "{self._owner_token()}" AND words : ({choices})'
        statement = (
            sa.select(NODES, DOCUMENTS.c.words)
            .select_from(self._live(directory).join(index, index.c.rowid == DOCUMENTS.c.entry))
            .where(*self._conditions(directory), _MATCH)
            .order_by(sa.text("bm25(documents_fts, 0.0, 1.0)"))
        )
        return statement, {"query": query}

    def _matching_postgres(
        self, words: Sequence[str], directory: str
    ) -> tuple[sa.Select[Any], Mapping[str, Any]]:
        statement = (
            sa.select(NODES, DOCUMENTS.c.words)
            .select_from(self._live(directory))
            .where(*self._conditions(directory), sa.text("documents.tsv @@ CAST(:query AS tsquery)"))
            .order_by(sa.text("ts_rank(documents.tsv, CAST(:query AS tsquery)) DESC"))
        )
        return statement, {"query": " | ".join(f"'{word}'" for word in words)}

    def _live(self, _directory: str) -> sa.Join:
        same = sa.and_(
            NODES.c.tenant == DOCUMENTS.c.tenant,
            NODES.c.agent == DOCUMENTS.c.agent,
            NODES.c.id == DOCUMENTS.c.node_id,
        )
        return DOCUMENTS.join(NODES, same)

    def _conditions(self, directory: str) -> list[sa.ColumnElement[bool]]:
        return [self._mine(DOCUMENTS), self._mine(NODES), NODES.c.trash_id == 0, is_below(directory)]

    def _add_entry(self, words: str) -> int:
        added = self._conn.execute(_ADD, {"owner": self._owner_token(), "words": words})
        return int(added.lastrowid)

    def _owner_token(self) -> str:
        """Return one word that stands for the scope in the full-text index."""
        scope = f"{self._scope.tenant}\0{self._scope.agent}"
        return "s" + hashlib.sha256(scope.encode()).hexdigest()[:31]
