"""Packed bodies come out as they were, and never larger than they may be."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.common.inflating import MOST_MEMBERS, NotPacked, TooLarge, inflated

MOST = 1_000


def _bare(content: bytes) -> bytes:
    packing = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packing.compress(content) + packing.flush()


@given(st.binary(max_size=MOST))
def test_every_coding_gives_back_what_was_packed(content: bytes) -> None:
    assert inflated(gzip.compress(content), "gzip", MOST) == content
    assert inflated(zlib.compress(content), "deflate", MOST) == content


def test_deflate_without_its_head_is_understood() -> None:
    assert inflated(_bare(b"hello"), "deflate", MOST) == b"hello"


def test_parts_come_out_one_after_the_other() -> None:
    assert inflated(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", MOST) == b"ab"


def test_nothing_stays_nothing() -> None:
    assert inflated(b"", "gzip", MOST) == b""


@pytest.mark.parametrize("content", [b"x" * (MOST + 1), b"x" * (64 << 20)])
def test_what_is_larger_than_it_may_be_is_refused(content: bytes) -> None:
    with pytest.raises(TooLarge):
        inflated(gzip.compress(content), "gzip", MOST)


def test_parts_that_are_too_large_together_are_refused() -> None:
    with pytest.raises(TooLarge):
        inflated(gzip.compress(b"x" * 600) * 2, "gzip", MOST)


@pytest.mark.parametrize(
    "packed",
    [b"no gzip", gzip.compress(b"x" * 500)[:-9], gzip.compress(b"x") + b"more", b"\x1f\x8b"],
    ids=["not packed", "cut off", "more behind it", "only begun"],
)
def test_what_is_not_packed_is_told(packed: bytes) -> None:
    with pytest.raises(NotPacked):
        inflated(packed, "gzip", MOST)


def test_parts_without_end_are_refused() -> None:
    with pytest.raises(NotPacked):
        inflated(gzip.compress(b"") * (MOST_MEMBERS + 1), "gzip", MOST)
