"""What a server tells of itself may be anything: the drivers tell facts in bounds, or of a typed failure."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.backends.openai import wire as openai_wire
from gateway.inference.backends.openai.backend import OpenAiBackend, OpenAiConfig
from gateway.inference.backends.openai.dialect import DIALECTS
from gateway.inference.backends.reading import decoded
from gateway.inference.backends.tgi import wire as tgi_wire
from gateway.inference.backends.tgi.backend import TgiBackend, TgiConfig
from gateway.inference.backends.transport import FACT_BYTES, PAGE_BYTES
from gateway.inference.errors import BackendBroken, BackendError, BackendUnavailable
from gateway.inference.ports import Backend
from services.chassis.chat import ChatMessage, Role
from tests.unit.inference.test_odd_events import JSON, places, with_other
from tests.unit.inference.written import written

INFO = {
    "model_id": "m",
    "model_sha": "1",
    "max_concurrent_requests": 8,
    "max_input_tokens": 99,
    "max_total_tokens": 100,
    "max_stop_sequences": 4,
    "max_best_of": 2,
    "version": "3",
    "aios": {"kv_snapshot": True, "token_prompts": True, "slots": 2, "longest_token_bytes": 9},
}
MODELS = {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 100, "meta": {"n_ctx": 100}}]}
TOKENS = [{"id": 1, "text": "a", "start": 0, "stop": 1}]
SUSPENSION = {"kv_handle": "k", "bytes": 1, "prompt_ids": [1], "token_ids": [2], "text": "a"}
LARGEST = 2**31 - 1


def info_in_bounds(raw: Any) -> None:
    """Hold what `/info` tells to what the kernel's messages carry."""
    info = tgi_wire.parse_info(raw)
    info.model_id.encode()
    assert 0 < len(info.model_id) <= 256
    assert 0 < info.max_total_tokens <= LARGEST
    assert 0 < info.max_concurrent_requests <= tgi_wire.MOST_PLACES
    assert info.slots is None or 0 < info.slots <= tgi_wire.MOST_PLACES
    assert 0 <= info.longest_token <= LARGEST


def models_in_bounds(raw: Any) -> None:
    """Hold what `/v1/models` tells to that."""
    for each in openai_wire.parse_models(raw):
        each.id.encode()
        assert 0 < len(each.id) <= 256
        assert 0 <= each.window <= LARGEST


def tokens_in_bounds(raw: Any) -> None:
    """Hold what `/tokenize` tells to that."""
    for each in tgi_wire.parse_text_tokens(raw):
        assert all(0 <= number <= LARGEST for number in (each.id, each.start, each.stop))


def suspension_in_bounds(raw: Any) -> None:
    """Hold what `/aios/v1/suspend` tells to that."""
    told = tgi_wire.parse_suspension(raw)
    told.text.encode()
    assert told.kv_handle is None or 0 < len(told.kv_handle) <= 256


@pytest.mark.parametrize(
    ("read", "usual"),
    [
        (info_in_bounds, INFO),
        (models_in_bounds, MODELS),
        (tokens_in_bounds, TOKENS),
        (suspension_in_bounds, SUSPENSION),
    ],
)
@given(data=st.data())
def test_anything_at_any_place_of_an_answer_is_facts_in_bounds_or_a_typed_failure(
    read: Callable[[Any], None], usual: Any, data: st.DataObject
) -> None:
    path = data.draw(st.sampled_from(places(usual)))
    odd = with_other(usual, path, data.draw(JSON | st.just("absent")))
    read(usual)
    try:
        read(decoded(written(odd)))
    except BackendError as error:
        str(error)


def test_a_server_needs_to_tell_no_more_than_its_model_and_its_window() -> None:
    info = tgi_wire.parse_info({"model_id": "m", "max_total_tokens": 100, "aios": None})

    assert (info.model_id, info.max_total_tokens, info.kv_snapshot, info.slots) == ("m", 100, False, None)


@pytest.mark.parametrize("window", [0, -1, "100", None, 2**40, float("nan")])
def test_a_window_that_is_none_is_a_failure(window: Any) -> None:
    with pytest.raises(BackendBroken):
        tgi_wire.parse_info({"model_id": "m", "max_total_tokens": window})


def test_more_places_than_any_server_has_are_not_believed() -> None:
    told = {
        "model_id": "m",
        "max_total_tokens": 100,
        "max_concurrent_requests": 2**30,
        "aios": {"slots": 2**30},
    }
    info = tgi_wire.parse_info(told)

    assert (info.slots, info.max_concurrent_requests) == (tgi_wire.MOST_PLACES, tgi_wire.MOST_PLACES)


def test_models_without_a_usable_name_are_left_out() -> None:
    listed = [{"id": ""}, {"id": 7}, {}, None, "m", {"id": "x" * 300}, {"id": "m"}]

    assert [each.id for each in openai_wire.parse_models({"data": listed})] == ["m"]
    assert [each.id for each in openai_wire.parse_models([{"id": "m"}])] == ["m"]


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """Serve these bytes to whoever connects; gives the address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


def http(body: bytes, *, status: str = "200 OK", **headers: str) -> bytes:
    """Write an answer that ends with its connection."""
    told = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines = [f"HTTP/1.1 {status}", "Connection: close", *told]
    return "\r\n".join([*lines, "", ""]).encode() + body


ODD_ANSWERS = {
    "nothing": b"",
    "no http": b"SSH-2.0-x\r\n\r\n",
    "half a header": b"HTTP/1.1 200 OK\r\nContent-",
    "a header without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    "a status beyond all": http(b"", status="999 Odd"),
    "less than was promised": http(b"{}", Content_Length="100"),
    "no chunks": http(b"zz\r\n{}", Transfer_Encoding="chunked"),
    "no gzip": http(b"{}", Content_Encoding="gzip"),
    "no such charset": http(b"{}", Content_Type="text/plain; charset=none-such"),
    "no content type": http(b"{}", Content_Type=";;;"),
    "a page": http(b"<html>", Content_Type="text/html"),
    "bytes": http(b"\xff\xfe\x00"),
    "null": http(b"null"),
    "a number": http(b"1e400"),
    "a list": http(b"[null, 7, {}]"),
    "an object": http(b'{"data": {}, "aios": [], "tokens": 7, "count": "x", "prompt": 7}'),
    "a deep list": http(b"[" * 100_000),
    "an answer without end": http(b" " * (FACT_BYTES + 2**20)),
    "a redirect to itself": http(b"", status="302 Found", Location="/"),
    "a redirect to nowhere": http(b"", status="302 Found", Location="http://[::bad"),
    "unauthorized": http(b"{}", status="401 No"),
    "not found": http(b"[]", status="404 No"),
    "too many": http(b"null", status="429 No"),
    "an error": http(b'"x"', status="500 No"),
}
HELLO = [ChatMessage(Role.USER, "hello")]
QUESTIONS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "info": lambda backend: backend.info(),
    "render": lambda backend: backend.render(HELLO),
    "measure": lambda backend: backend.measure("hello"),
    "suspend": lambda backend: backend.suspend("run"),
}


@pytest.mark.parametrize("answer", ODD_ANSWERS)
@pytest.mark.parametrize("driver", ["tgi", "vllm", "llamacpp"])
async def test_an_odd_answer_to_a_question_is_a_typed_failure(driver: str, answer: str) -> None:
    async with answering(ODD_ANSWERS[answer]) as url:
        backend: Backend
        if driver == "tgi":
            backend = TgiBackend(url, TgiConfig())
        else:
            backend = OpenAiBackend(url, OpenAiConfig(dialect=driver))
            backend._dialect = DIALECTS[driver]
        failures = []
        for question in QUESTIONS.values():
            try:
                await question(backend)
            except BackendError as error:
                failures.append(error)
        healthy, queue = await backend.healthy(), await backend.queue_size()
        await backend.close()

    assert len(failures) >= len(QUESTIONS) - 1
    assert healthy in {True, False}
    assert queue is None


async def test_a_metrics_page_without_end_tells_nothing() -> None:
    async with answering(http(b"tgi_queue_size 3\n" + b"# \n" * (PAGE_BYTES // 2))) as url:
        backend = TgiBackend(url, TgiConfig())
        size = await backend.queue_size()
        await backend.close()

    assert size is None


async def test_a_connection_that_breaks_is_no_odd_answer() -> None:
    async with answering(http(b"{}", Content_Length="100")) as url:
        backend = TgiBackend(url, TgiConfig())
        with pytest.raises(BackendUnavailable):
            await backend.info()
        await backend.close()
