"""The digest of a request: the same for a repeat, another for anything else."""

from hypothesis import given
from hypothesis import strategies as st

from aios.api.access.v1 import access_pb2
from services.chassis.rpc.wire import request_digest

TEXTS = st.text(max_size=20)


@given(TEXTS, TEXTS, TEXTS)
def test_the_request_id_is_no_part_of_the_digest(name: str, one: str, other: str) -> None:
    first = access_pb2.DeleteGroupRequest(name=name, request_id=one)
    second = access_pb2.DeleteGroupRequest(name=name, request_id=other)

    assert request_digest(first) == request_digest(second)
    assert first.request_id == one


@given(TEXTS, TEXTS)
def test_everything_else_is(one: str, other: str) -> None:
    digests = {
        request_digest(access_pb2.DeleteGroupRequest(name=name, request_id="r")) for name in (one, other)
    }

    assert (len(digests) == 1) == (one == other)
