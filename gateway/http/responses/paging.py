"""Lists of items, page by page, as OpenAI's clients ask for them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.http.responses.answer import Json
from services.chassis.rpc.errors import InvalidRequest

_DEFAULT: Final = 20
_MOST: Final = 100
_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks a list for."""

    after: str
    limit: int
    newest_first: bool

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Asked":
        """Read a query. Raises InvalidRequest."""
        order = query.get("order", "desc")
        if order not in {"asc", "desc"}:
            raise InvalidRequest.field("order", "must be asc or desc")
        text = query.get("limit", str(_DEFAULT))
        if len(text) > _DIGITS or not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST:
            raise InvalidRequest.field("limit", f"must be from 1 to {_MOST}")
        return cls(query.get("after", ""), int(text), order == "desc")


def listing(items: Sequence[Json], query: Mapping[str, str]) -> Json:
    """Return the page of a whole list that a client asks for. Raises InvalidRequest."""
    asked = Asked.of(query)
    ordered = list(reversed(items)) if asked.newest_first else list(items)
    start = 0
    if asked.after:
        found = [index for index, item in enumerate(ordered) if item["id"] == asked.after]
        if not found:
            raise InvalidRequest.field("after", "there is no such item")
        start = found[0] + 1
    page = ordered[start : start + asked.limit]
    return page_of(page, has_more=start + asked.limit < len(ordered))


def page_of(page: Sequence[Json], *, has_more: bool) -> Json:
    """Return one page."""
    return {
        "object": "list",
        "data": list(page),
        "first_id": page[0]["id"] if page else "",
        "last_id": page[-1]["id"] if page else "",
        "has_more": has_more,
    }
