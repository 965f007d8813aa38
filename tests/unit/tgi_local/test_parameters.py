"""Ranges and messages of a generate request."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tgi_local.core.parameters import GenerateRequest, RequestLimits, parse_generate
from services.tgi_local.errors import InvalidRequest, MalformedBody

LIMITS = RequestLimits(max_total_tokens=100, max_input_tokens=99)


def parse(*, stream: bool = False, **parameters: Any) -> GenerateRequest:
    return parse_generate(orjson.dumps({"inputs": "x", "parameters": parameters}), LIMITS, stream=stream)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"temperature": 0.0}, "`temperature` must be strictly positive"),
        ({"temperature": -1}, "`temperature` must be strictly positive"),
        ({"repetition_penalty": 0}, "`repetition_penalty` must be strictly positive"),
        ({"frequency_penalty": 2.1}, "`frequency_penalty` must be >= -2.0 and <= 2.0"),
        ({"presence_penalty": -2.1}, "`presence_penalty` must be >= -2.0 and <= 2.0"),
        ({"top_p": 1.0}, "`top_p` must be > 0.0 and < 1.0"),
        ({"top_p": 0}, "`top_p` must be > 0.0 and < 1.0"),
        ({"typical_p": 1.5}, "`typical_p` must be > 0.0 and < 1.0"),
        ({"top_k": 0}, "`top_k` must be strictly positive"),
        ({"top_k": -3}, "`top_k` must be strictly positive"),
        ({"max_new_tokens": 0}, "`max_new_tokens` must be strictly positive"),
        ({"stop": ["a"] * 5}, "`stop` supports up to 4 stop sequences. Given: 5"),
        ({"top_n_tokens": 6}, "`top_n_tokens` must be >= 0 and <= 5. Given: 6"),
        ({"truncate": 0}, "`truncate` must be strictly positive and less than 99. Given: 0"),
        ({"truncate": 100}, "`truncate` must be strictly positive and less than 99. Given: 100"),
        ({"best_of": 3, "do_sample": True}, "`best_of` must be > 0 and <= 2. Given: 3"),
        ({"best_of": 0}, "`best_of` must be > 0 and <= 2. Given: 0"),
        ({"best_of": 2}, "you must use sampling when `best_of` is > 1"),
        ({"best_of": 2, "top_k": 3, "seed": 1}, "`seed` must not be set when `best_of` > 1"),
        ({"watermark": True}, "`watermark` is not supported"),
        ({"adapter_id": "lora"}, "`adapter_id` is not supported"),
    ],
)
def test_a_value_out_of_range_is_refused_in_tgis_words(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(**parameters)

    assert str(caught.value) == f"Input validation error: {message}"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"decoder_input_details": True},
            "`decoder_input_details` == true is not supported when streaming tokens",
        ),
        ({"best_of": 2, "do_sample": True}, "`best_of` != 1 is not supported when streaming tokens"),
    ],
)
def test_some_things_cannot_be_streamed(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse(stream=True, **parameters)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", "hot"),
        ("temperature", True),
        ("top_k", 1.5),
        ("max_new_tokens", -1),
        ("max_new_tokens", 2**32),
        ("seed", -1),
        ("seed", 2**64),
        ("do_sample", 1),
        ("stop", "END"),
        ("stop", [1]),
        ("details", "yes"),
        ("adapter_id", 5),
    ],
)
def test_a_value_of_another_type_is_malformed(name: str, value: object) -> None:
    if isinstance(value, int) and value >= 2**64:
        body = b'{"inputs":"x","parameters":{"seed":18446744073709551616}}'
    else:
        body = orjson.dumps({"inputs": "x", "parameters": {name: value}})

    with pytest.raises(MalformedBody) as caught:
        parse_generate(body, LIMITS)
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff", 400),
        (b"[]", 422),
        (b"7", 422),
        (b"{}", 422),
        (b'{"inputs":null}', 422),
        (b'{"inputs":"x","stream":1}', 422),
        (b'{"inputs":"x","parameters":[]}', 422),
        (b'{"inputs":"x","aios":[]}', 422),
        (b'{"inputs":"x","aios":{"prompt_ids":[-1]}}', 422),
        (b'{"inputs":"x","aios":{"prompt_ids":["a"]}}', 422),
    ],
)
def test_a_body_of_another_shape_is_malformed(body: bytes, status: int) -> None:
    with pytest.raises(MalformedBody) as caught:
        parse_generate(body, LIMITS)

    assert caught.value.status == status


def test_left_out_parameters_sample_and_empty_ones_are_greedy() -> None:
    left_out = parse_generate(b'{"inputs":"x"}', LIMITS)

    assert not left_out.sampling.greedy
    assert parse().sampling.greedy


@pytest.mark.parametrize(
    "parameters", [{"do_sample": True}, {"top_k": 5}, {"top_p": 0.5}, {"typical_p": 0.5}, {"temperature": 2}]
)
def test_every_sampling_parameter_means_sampling(parameters: dict[str, Any]) -> None:
    assert not parse(**parameters).sampling.greedy


def test_null_means_left_out() -> None:
    assert parse(temperature=None, top_k=None, stop=None, grammar=None, max_new_tokens=None) == parse()


def test_unknown_fields_are_ignored() -> None:
    body = b'{"inputs":"x","priority":3,"parameters":{"new_thing":1}}'

    assert parse_generate(body, LIMITS) == parse()


def test_token_ids_replace_the_text() -> None:
    request = parse_generate(b'{"parameters":{},"aios":{"prompt_ids":[1,2],"produced":1}}', LIMITS)

    assert request.extension is not None
    assert request.extension.prompt_ids == (1, 2)


def test_empty_stop_strings_stop_nothing() -> None:
    assert parse(stop=["", "a"]).stop == ("a",)


json = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-9, 9)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    ["temperature", "top_p", "top_k", "seed", "stop", "grammar", "best_of", "truncate", "max_new_tokens"]
)


@given(
    st.dictionaries(names, json), st.dictionaries(st.sampled_from(["prompt_ids", "request_id"]), json) | json
)
def test_any_json_is_taken_or_refused_with_a_reason(parameters: dict[str, Any], own: Any) -> None:
    body = orjson.dumps({"inputs": "x", "parameters": parameters, "aios": own})
    try:
        request = parse_generate(body, LIMITS)
    except (InvalidRequest, MalformedBody):
        return

    assert request.sampling.temperature >= 0
    assert request.max_new_tokens is None or request.max_new_tokens > 0
