"""Page tokens that a hostile caller makes out of one it was given."""

import base64
import json
from collections.abc import Sequence
from typing import Any, Final

import grpc

_DIGEST_BYTES: Final = 9

POSITIONS: Final[tuple[Any, ...]] = (
    [],
    [None],
    [True],
    ["a", "b", "c"],
    ["a\0b"],
    ["\ud800"],
    [-1],
    [10**18],
    [10**30],
    [1.5],
    [float("nan")],
    [float("inf")],
    [[]],
    [{}],
    [1, 2],
    ["a", "b"],
    ["2026-01-01T00:00:00", "b"],
    ["0001-01-01T00:00:00+23:59", "b"],
    [None, "b"],
    [-1, "b"],
    [10**30, "b"],
    [float("nan"), "b"],
    [1, "\ud800"],
    ["b", 1],
    {},
    "a",
    7,
    None,
)
"""Positions of the wrong number, kind or size; each list takes at most a few of them."""


def forgeries(token: str) -> list[str]:
    """Return tokens for the same list as `token` whose positions no list has returned."""
    digest = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))[:_DIGEST_BYTES]
    bodies = [json.dumps(position).encode() for position in POSITIONS]
    bodies += [b"", b"[", b"\xff", b"[" * 2000]
    return [base64.urlsafe_b64encode(digest + body).decode().rstrip("=") for body in bodies]


async def refuses_forgeries(method: Any, request: Any, metadata: Sequence[tuple[str, str]]) -> None:
    """Assert that a list answers forged page tokens with INVALID_ARGUMENT, or with a page when one fits.

    `request` asks for a list of at least two; `method` is the stub's.
    """
    request.page_size = 1
    token = (await method(request, metadata=metadata)).next_page_token
    assert token, f"{type(request).__name__}: one page holds all"
    codes = []
    for forged in forgeries(token):
        request.page_token = forged
        try:
            await method(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            codes.append(error.code())
    assert set(codes) == {grpc.StatusCode.INVALID_ARGUMENT}, type(request).__name__
    assert len(codes) > len(POSITIONS) - 5
