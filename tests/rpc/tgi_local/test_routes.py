"""TGI's contract over HTTP, on an engine without a model."""

import asyncio
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from services.tgi_local.main import Server
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.tgi_local import http, tgi_local
from tests.fakes.waiting import until

Json = dict[str, Any]
TOO_MUCH = "`inputs` tokens + `max_new_tokens` must be <= 64."


@pytest.fixture
def engine(tmp_path: Path) -> FakeEngine:
    return FakeEngine(tmp_path / "data" / "snapshots")


@pytest.fixture
async def server(engine: FakeEngine, tmp_path: Path) -> AsyncIterator[Server]:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"weights")
    async with tgi_local(model, tmp_path / "data", engine, slots=2, max_concurrent=4, ctx=64) as started:
        yield started


@pytest.fixture
async def web(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    async with http(server) as session:
        yield session


async def post(web: aiohttp.ClientSession, path: str, body: Json) -> tuple[int, Any]:
    async with web.post(path, json=body) as response:
        return response.status, orjson.loads(await response.read())


async def stream(web: aiohttp.ClientSession, body: Json, path: str = "/generate_stream") -> list[Json]:
    async with web.post(path, json=body) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        lines = (await response.read()).split(b"\n")
    return [orjson.loads(line[5:]) for line in lines if line.startswith(b"data:")]


async def metrics(web: aiohttp.ClientSession) -> dict[str, float]:
    async with web.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}


def asking(inputs: str = "hello", **parameters: Any) -> Json:
    return {"inputs": inputs, "parameters": {"max_new_tokens": 4, "details": True} | parameters}


async def test_a_unary_answer_has_tgis_shape(web: aiohttp.ClientSession) -> None:
    status, answer = await post(web, "/generate", asking())

    assert status == 200
    assert answer["generated_text"] == "fghi"
    details = answer["details"]
    assert (details["finish_reason"], details["generated_tokens"], details["seed"]) == ("length", 4, None)
    assert details["tokens"][0] == {"id": ord("f"), "text": "f", "logprob": -0.5, "special": False}
    assert details["prefill"] == []


async def test_without_details_there_are_none(web: aiohttp.ClientSession) -> None:
    _, answer = await post(web, "/generate", asking(details=False))

    assert answer == {"generated_text": "fghi"}


async def test_the_root_answers_with_a_list(web: aiohttp.ClientSession) -> None:
    _, answer = await post(web, "/", asking(details=False))

    assert answer == [{"generated_text": "fghi"}]


async def test_the_root_streams_when_asked(web: aiohttp.ClientSession) -> None:
    events = await stream(web, asking() | {"stream": True}, "/")

    assert events[-1]["generated_text"] == "fghi"


async def test_unary_answers_carry_timing_headers(web: aiohttp.ClientSession) -> None:
    async with web.post("/generate", json=asking()) as response:
        headers = response.headers

    assert (headers["x-compute-type"], headers["x-compute-characters"]) == ("cpu", "5")
    assert (headers["x-prompt-tokens"], headers["x-generated-tokens"]) == ("5", "4")
    for name in ("total", "validation", "queue", "inference"):
        assert headers[f"x-{name}-time"].isdigit()
    assert headers["x-time-per-token"].isdigit()
    assert float(headers["x-compute-time"]) >= 0


async def test_only_the_last_event_of_a_stream_carries_the_result(web: aiohttp.ClientSession) -> None:
    events = await stream(web, asking())

    assert [event["index"] for event in events] == [1, 2, 3, 4]
    assert [event["generated_text"] for event in events] == [None, None, None, "fghi"]
    assert events[0]["details"] is None
    expected = {"finish_reason": "length", "generated_tokens": 4, "seed": None, "input_length": 5}
    assert events[-1]["details"] == expected


async def test_the_end_token_is_an_event_but_not_text(web: aiohttp.ClientSession, engine: FakeEngine) -> None:
    engine.script.output = b"ok"

    events = await stream(web, asking(max_new_tokens=10))

    assert [event["token"]["text"] for event in events] == ["o", "k", "<|im_end|>"]
    assert events[-1]["token"]["special"] is True
    assert (events[-1]["generated_text"], events[-1]["details"]["finish_reason"]) == ("ok", "eos_token")


async def test_the_end_token_on_the_last_place_counts_as_length(
    web: aiohttp.ClientSession, engine: FakeEngine
) -> None:
    engine.script.output = b"ok"

    _, answer = await post(web, "/generate", asking(max_new_tokens=3))

    assert answer["details"]["finish_reason"] == "length"


async def test_a_stop_string_ends_the_text_and_stays_in_it(web: aiohttp.ClientSession) -> None:
    _, answer = await post(web, "/generate", asking(max_new_tokens=20, stop=["hi"]))

    assert answer["generated_text"] == "fghi"
    assert answer["details"]["finish_reason"] == "stop_sequence"


async def test_half_characters_wait_for_the_rest(web: aiohttp.ClientSession, engine: FakeEngine) -> None:
    engine.script.output = "a☃é".encode()

    events = await stream(web, asking(max_new_tokens=20))

    assert [event["token"]["text"] for event in events[:-1]] == ["a", "", "", "☃", "", "é"]
    assert events[-1]["generated_text"] == "a☃é"


async def test_a_cut_inside_a_character_shows_no_part_of_it(
    web: aiohttp.ClientSession, engine: FakeEngine
) -> None:
    engine.script.output = "a☃".encode()

    _, answer = await post(web, "/generate", asking(max_new_tokens=3))

    assert answer["generated_text"] == "a"


async def test_full_text_and_truncation_and_alternatives(web: aiohttp.ClientSession) -> None:
    _, answer = await post(web, "/generate", asking(return_full_text=True, truncate=2, top_n_tokens=2))

    assert answer["generated_text"].startswith("hello")
    assert [token["id"] for token in answer["details"]["top_tokens"][0]] == [0, 1]


async def test_truncation_keeps_the_last_tokens(web: aiohttp.ClientSession, engine: FakeEngine) -> None:
    await post(web, "/generate", asking(truncate=2))

    assert bytes(engine.jobs[0].prompt) == b"lo"


async def test_without_max_new_tokens_the_room_left_is_used(
    web: aiohttp.ClientSession, engine: FakeEngine
) -> None:
    await post(web, "/generate", {"inputs": "hello"})

    assert engine.jobs[0].max_tokens == 59
    assert engine.jobs[0].sampling.temperature == 1.0


async def test_empty_parameters_are_greedy(web: aiohttp.ClientSession, engine: FakeEngine) -> None:
    await post(web, "/generate", {"inputs": "hello", "parameters": {}})

    assert engine.jobs[0].sampling.greedy


async def test_best_of_answers_with_every_attempt(web: aiohttp.ClientSession, engine: FakeEngine) -> None:
    _, answer = await post(web, "/generate", asking(best_of=2, do_sample=True))

    assert len(answer["details"]["best_of_sequences"]) == 1
    assert len({job.seed for job in engine.jobs}) == 2


async def test_the_prompt_itself_is_listed_when_asked(web: aiohttp.ClientSession) -> None:
    _, answer = await post(web, "/generate", asking("hi", decoder_input_details=True))

    assert answer["details"]["prefill"] == [
        {"id": ord("h"), "text": "h", "logprob": None},
        {"id": ord("i"), "text": "i", "logprob": None},
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"inputs": ""}, "`inputs` cannot be empty"),
        (
            asking(max_new_tokens=60),
            f"{TOO_MUCH} Given: 5 `inputs` tokens and 60 `max_new_tokens`",
        ),
        ({"inputs": "x" * 64}, "`inputs` must have less than 63 tokens. Given: 64"),
        (
            {"inputs": "x" * 70},
            f"{TOO_MUCH} Given: 70 `inputs` tokens and 0 `max_new_tokens`",
        ),
        (asking(temperature=0), "`temperature` must be strictly positive"),
    ],
)
async def test_what_is_out_of_range_is_refused_in_tgis_words(
    web: aiohttp.ClientSession, body: Json, message: str
) -> None:
    status, answer = await post(web, "/generate", body)
    events = await stream(web, body)

    expected = {"error": f"Input validation error: {message}", "error_type": "validation"}
    assert (status, answer) == (422, expected)
    assert events == [expected]


@pytest.mark.parametrize("path", ["/generate", "/generate_stream", "/", "/tokenize", "/chat_tokenize"])
async def test_bad_json_is_refused_as_plain_text(web: aiohttp.ClientSession, path: str) -> None:
    async with web.post(path, data=b"{nope", headers={"Content-Type": "application/json"}) as response:
        answer = (response.status, response.content_type)

    assert answer == (400, "text/plain")


@pytest.mark.parametrize(
    ("body", "status"), [(b"[]", 422), (b'{"inputs":7}', 422), (b'{"inputs":"x","parameters":3}', 422)]
)
async def test_another_shape_is_refused_as_plain_text(
    web: aiohttp.ClientSession, body: bytes, status: int
) -> None:
    async with web.post("/generate", data=body, headers={"Content-Type": "application/json"}) as response:
        answer = (response.status, response.content_type)

    assert answer == (status, "text/plain")


async def test_another_content_type_is_refused(web: aiohttp.ClientSession) -> None:
    async with web.post("/generate", data=b'{"inputs":"x"}') as response:
        assert response.status == 415


async def test_a_body_above_the_limit_is_refused(web: aiohttp.ClientSession) -> None:
    body = io.BytesIO(orjson.dumps({"inputs": "x" * 2_000_000}))
    async with web.post("/generate", data=body, headers={"Content-Type": "application/json"}) as response:
        assert response.status == 413


async def test_past_its_places_it_is_overloaded_at_once(
    web: aiohttp.ClientSession, engine: FakeEngine
) -> None:
    engine.script.gate = asyncio.Event()
    running = [asyncio.create_task(stream(web, asking())) for _ in range(4)]
    await until(lambda: len(engine.busy) == 2)
    unary = await post(web, "/generate", asking())
    events = await stream(web, asking())
    seen = await metrics(web)
    engine.script.gate.set()
    await asyncio.gather(*running)

    expected = {"error": "Model is overloaded", "error_type": "overloaded"}
    assert unary == (429, expected)
    assert events == [expected]
    assert seen['tgi_request_failure{err="overloaded"}'] == 2
    assert (seen["tgi_queue_size"], seen["tgi_batch_current_size"]) == (2, 2)
    assert seen["aios_tgi_local_slots_busy"] == 2


async def test_a_caller_who_goes_away_frees_the_slot(web: aiohttp.ClientSession, engine: FakeEngine) -> None:
    engine.script.gate = asyncio.Event()
    async with web.post("/generate_stream", json=asking()) as response:
        await response.content.readline()
        response.close()
    await until(lambda: not engine.busy)
    seen = await metrics(web)

    assert seen['tgi_request_failure{err="dropped"}'] == 1


async def test_a_caller_who_goes_away_while_queued_leaves_no_trace(
    web: aiohttp.ClientSession, server: Server, engine: FakeEngine
) -> None:
    engine.script.gate = asyncio.Event()
    running = [asyncio.create_task(stream(web, asking())) for _ in range(2)]
    await until(lambda: len(engine.busy) == 2)
    async with http(server) as other:
        queued = asyncio.create_task(stream(other, asking()))
        await until(lambda: b"tgi_queue_size 1.0" in server.metrics.exposition())
        queued.cancel()
    await until(lambda: b"tgi_queue_size 0.0" in server.metrics.exposition())
    engine.script.gate.set()
    await asyncio.gather(*running)

    assert len(engine.jobs) == 2


async def test_a_caller_who_takes_nothing_loses_the_slot(engine: FakeEngine, tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    await asyncio.to_thread(model.write_bytes, b"weights")
    engine.script.flood = True
    async with tgi_local(model, tmp_path / "data", engine, ctx=1_000_000) as server:
        server.routes._write_timeout = 0.05
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)
        body = orjson.dumps(asking(max_new_tokens=900_000))
        head = f"POST /generate_stream HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        await until(lambda: engine.flooded > 1)
        await until(lambda: not engine.busy)
        seen = server.metrics.exposition().decode()
        writer.close()

    assert 'tgi_request_failure{err="dropped"} 1.0' in seen


async def test_a_failing_engine_is_a_generation_error(web: aiohttp.ClientSession, engine: FakeEngine) -> None:
    engine.script.fail_after = 2

    status, answer = await post(web, "/generate", asking())
    events = await stream(web, asking())

    assert (status, answer["error_type"]) == (424, "generation")
    assert [event.get("error_type") for event in events] == [None, None, "generation"]


async def test_an_unforeseen_error_tells_nothing_inner(
    web: aiohttp.ClientSession, engine: FakeEngine
) -> None:
    engine.script.bug_after = 2

    status, answer = await post(web, "/generate", asking())
    events = await stream(web, asking())

    expected = {"error": "internal error", "error_type": "internal"}
    assert (status, answer) == (500, expected)
    assert events[2:] == [expected]


async def test_an_engine_that_just_ends_is_an_incomplete_generation(
    web: aiohttp.ClientSession, engine: FakeEngine
) -> None:
    engine.script.output, engine.script.ends = b"ab", False

    status, answer = await post(web, "/generate", asking())

    assert (status, answer["error_type"]) == (500, "incomplete_generation")


async def test_output_that_breaks_its_grammar_is_not_passed_off_as_valid(
    web: aiohttp.ClientSession, engine: FakeEngine
) -> None:
    engine.script.output = b"nope"

    grammar = {"type": "json", "value": {"type": "object", "properties": {"a": {"type": "integer"}}}}
    status, answer = await post(web, "/generate", asking(max_new_tokens=20, grammar=grammar))

    assert (status, answer["error_type"]) == (424, "generation")


async def test_info_tells_limits_and_capabilities(web: aiohttp.ClientSession) -> None:
    async with web.get("/info") as response:
        info = orjson.loads(await response.read())

    assert (info["max_total_tokens"], info["max_input_tokens"], info["max_concurrent_requests"]) == (
        64,
        63,
        4,
    )
    assert info["aios"].pop("instance")
    assert info["aios"] == {
        "kv_snapshot": True,
        "token_prompts": True,
        "content_is_text": True,
        "special_token_ids": [256, 257],
        "slots": 2,
        "ctx_per_slot": 64,
        "exact": True,
        "max_total_tokens": 64,
        "longest_token_bytes": 12,
        "presence_penalty": True,
        "recursive_schemas": True,
        "root_choice": True,
        "chat_template": True,
    }


@pytest.mark.parametrize("path", ["/", "/health", "/ping"])
async def test_health_follows_the_engine(web: aiohttp.ClientSession, engine: FakeEngine, path: str) -> None:
    async with web.get(path) as response:
        healthy = (response.status, await response.read())
    engine.script.healthy = False
    async with web.get(path) as response:
        unhealthy = (response.status, orjson.loads(await response.read()))

    assert healthy == (200, b"")
    assert unhealthy == (503, {"error": "unhealthy", "error_type": "healthcheck"})


async def test_texts_are_split_with_character_offsets(web: aiohttp.ClientSession) -> None:
    _, answer = await post(web, "/tokenize", {"inputs": "é<|im_end|>x"})

    assert [(t["text"], t["start"], t["stop"]) for t in answer] == [
        ("é", 0, 1),
        ("é", 0, 1),
        ("<|im_end|>", 1, 11),
        ("x", 11, 12),
    ]


async def test_chats_are_rendered_and_split(web: aiohttp.ClientSession) -> None:
    chat = [{"role": "user", "content": [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]}]
    _, answer = await post(web, "/chat_tokenize", {"messages": chat})

    assert answer["templated_text"] == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert "".join(t["text"] for t in answer["tokenize_response"]) == answer["templated_text"]


async def test_a_chat_the_template_refuses_is_a_template_error(
    web: aiohttp.ClientSession, engine: FakeEngine
) -> None:
    engine.script.template_fails = True

    status, answer = await post(web, "/chat_tokenize", {"messages": [{"role": "x", "content": ""}]})

    assert (status, answer["error_type"]) == (422, "template_error")


async def test_a_silent_stream_sends_comments(engine: FakeEngine, tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"weights")
    engine.script.gate = asyncio.Event()
    async with (
        tgi_local(model, tmp_path / "data", engine, keep_alive=timedelta(milliseconds=5)) as server,
        http(server) as web,
        web.post("/generate_stream", json=asking()) as response,
    ):
        lines = [await response.content.readline() for _ in range(5)]

    assert b":\n" in lines


async def test_counters_keep_tgis_names(web: aiohttp.ClientSession) -> None:
    await post(web, "/generate", asking())
    await stream(web, asking())
    seen = await metrics(web)

    assert (seen["tgi_request_count"], seen["tgi_request_success"]) == (2, 2)
    assert seen["tgi_request_generated_tokens_sum"] == 8
    assert seen["tgi_request_input_length_count"] == 2
    for name in ("duration", "validation_duration", "queue_duration", "inference_duration"):
        assert seen[f"tgi_request_{name}_count"] == 2


async def test_later_requests_reuse_the_slot_that_holds_their_prefix(
    web: aiohttp.ClientSession, engine: FakeEngine
) -> None:
    await post(web, "/generate", asking("first conversation"))
    await post(web, "/generate", asking("another one"))
    await post(web, "/generate", asking("first conversation, continued"))
    await post(web, "/generate", asking("another one, too"))

    slots = [job.slot for job in engine.jobs]
    assert slots[0] != slots[1]
    assert slots[2:] == slots[:2]


@pytest.mark.parametrize("exact", [True, False])
async def test_a_seeded_text_may_use_the_cache_where_that_changes_nothing(
    web: aiohttp.ClientSession, engine: FakeEngine, *, exact: bool
) -> None:
    engine.exact = exact
    await post(web, "/generate", asking("x", do_sample=True, seed=5))

    assert [job.reuse for job in engine.jobs] == [exact]
