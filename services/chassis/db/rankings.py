"""Rankings kept for their later pages, so that pages neither skip nor repeat what did not change.

A score depends on all other rows (how rare a word is, who else ranks), so no position in a ranking made anew
stands for the rows after it. The first page therefore keeps the whole ranking beside the rows it ranks, and
its token names it. Later pages read it, from any replica, and leave out what is gone.
"""

import re
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
import sqlalchemy as sa

from services.chassis.db.checksummed import add_checksum, verify_checksum
from services.chassis.rpc import paging
from services.chassis.rpc.errors import InvalidPageToken
from services.chassis.times import micros

KEPT: Final = timedelta(minutes=15)
"""How long a ranking is kept at most."""
PER_AGENT: Final = 32
"""Rankings kept for each agent; the oldest one goes first."""
MOST_RANKED: Final = 10_000
"""Longest ranking: the best are kept."""
TABLE_NAME: Final = "rankings"

_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Ranked:
    """One place of a ranking."""

    key: str
    scores: tuple[float, ...]
    origin: str = ""
    """What else tells where the row is from."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins."""

    ranking: str
    """Id of the ranking; on the first page the one it is to be kept under."""
    rank: int
    """0 on the first page."""


def place(token: str, *query: paging.Key) -> Place:
    """Return where the page of a token begins; the empty token begins a new ranking.

    Raises InvalidPageToken.
    """
    match paging.decode(token, *query, shape=(str, int)):
        case []:
            return Place(uuid.uuid4().hex, 0)
        case [str(ranking), int(rank)] if 0 < rank <= MOST_RANKED and _ID.fullmatch(ranking):
            return Place(ranking, rank)
        case _:
            raise InvalidPageToken("the page token is not one this search returned")


def encode(ranking: Sequence[Ranked]) -> bytes:
    """Return a ranking as bytes, with a checksum."""
    rows = [[each.key, each.origin, *each.scores] for each in ranking[:MOST_RANKED]]
    return add_checksum(zlib.compress(orjson.dumps(rows), level=1))


def decode(body: bytes | None) -> list[Ranked]:
    """Return the ranking that `encode` got.

    Raises InvalidPageToken when there is none any more, DataCorrupt when a bit has changed.
    """
    if body is None:
        raise InvalidPageToken("the ranking that the page token names is no longer kept: search again")
    rows = orjson.loads(zlib.decompress(verify_checksum(body, "a ranking")))
    return [Ranked(key, tuple(scores), origin) for key, origin, *scores in rows]


def columns() -> list[sa.Column[Any]]:
    """Return the columns, for the service's migration: `op.create_table("rankings", *columns())`."""
    return [
        sa.Column("tenant", sa.String(63), primary_key=True),
        sa.Column("agent", sa.String(63), primary_key=True),
        sa.Column("created_at", sa.BigInteger, primary_key=True),
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    ]


def table(metadata: sa.MetaData) -> sa.Table:
    """Return the table for a service's metadata."""
    return sa.Table(TABLE_NAME, metadata, *columns())


def keep(
    conn: sa.Connection, rankings: sa.Table, owner: tuple[str, str], row: tuple[str, bytes], now: datetime
) -> None:
    """Keep a ranking, given as id and bytes, of the tenant and agent `owner`; its oldest ones go."""
    tenant, agent = owner
    mine = (rankings.c.tenant == tenant, rankings.c.agent == agent)
    newest = sa.select(rankings.c.id).where(*mine).order_by(rankings.c.created_at.desc(), rankings.c.id)
    old = list(conn.execute(newest.offset(PER_AGENT - 1)).scalars())
    if old:
        conn.execute(sa.delete(rankings).where(*mine, rankings.c.id.in_(old)))
    values = {"tenant": tenant, "agent": agent, "id": row[0], "body": row[1], "created_at": micros(now)}
    conn.execute(sa.insert(rankings).values(values))


def kept(
    conn: sa.Connection, rankings: sa.Table, owner: tuple[str, str], ranking: str, now: datetime
) -> bytes | None:
    """Return a ranking's bytes; None when it is not kept, or no longer."""
    which = (rankings.c.tenant == owner[0], rankings.c.agent == owner[1], rankings.c.id == ranking)
    young = rankings.c.created_at > micros(now - KEPT)
    body = conn.execute(sa.select(rankings.c.body).where(*which, young)).scalar_one_or_none()
    return None if body is None else bytes(body)


def forget_expired(conn: sa.Connection, rankings: sa.Table, now: datetime) -> int:
    """Delete rankings older than KEPT and return how many. Call it from a periodic background task."""
    return conn.execute(sa.delete(rankings).where(rankings.c.created_at <= micros(now - KEPT))).rowcount
