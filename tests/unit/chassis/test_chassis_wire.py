"""Times and durations between protobuf, Python and the database."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from aios.api.memory.v1 import memory_pb2
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.rpc.wire import duration, moment, stamp
from services.chassis.times import EPOCH, from_micros, micros


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_comes_back_exactly(at: datetime) -> None:
    note = memory_pb2.Note(expire_time=stamp(at))

    assert moment(note, "expire_time") == at
    assert from_micros(micros(at)) == at


def test_the_zone_of_a_time_does_not_matter() -> None:
    there = EPOCH.astimezone(timezone(timedelta(hours=9)))

    assert micros(there) == 0


def test_a_time_that_is_not_set_stays_unset() -> None:
    note = memory_pb2.Note(expire_time=stamp(None))

    assert not note.HasField("expire_time")
    assert moment(note, "expire_time") is None


def test_a_time_beyond_the_calendar_is_refused_under_the_name_the_caller_knows() -> None:
    note = memory_pb2.Note(expire_time=Timestamp(seconds=1 << 50))
    with pytest.raises(InvalidRequest) as refused:
        moment(note, "expire_time", "note.expire_time")

    assert refused.value.violations[0].field == "note.expire_time"


def test_a_duration_is_cut_to_what_protobuf_can_hold() -> None:
    assert duration(1.5).ToTimedelta() == timedelta(seconds=1.5)
    assert duration(-1).ToNanoseconds() == 0
    assert duration(float("inf")).seconds == 300_000_000
