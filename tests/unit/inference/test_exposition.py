"""One gauge out of a metrics page."""

import pytest

from gateway.inference.backends.exposition import gauge

PAGE = b"""# HELP tgi_queue_size Requests waiting
# TYPE tgi_queue_size gauge
tgi_queue_size 3
tgi_queue_size_max 9
vllm:num_requests_waiting{engine="0",model_name="a b"} 2.0
vllm:num_requests_waiting{engine="1",model_name="c}d"} 5.0 1700000000
broken{x="1"} nothing
broken{x="2"} NaN
empty
"""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tgi_queue_size", 3),
        ("vllm:num_requests_waiting", 7),
        ("broken", None),
        ("empty", None),
        ("absent", None),
    ],
)
def test_samples_of_a_gauge_are_added_and_what_cannot_be_read_is_no_value(
    name: str, value: int | None
) -> None:
    assert gauge(PAGE, name) == value
