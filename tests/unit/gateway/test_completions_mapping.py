"""Plain completions and embeddings: from a client's JSON to the kernel's calls, and back."""

import json
import tracemalloc
from typing import Any

import msgspec
import protovalidate
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common.answers import Answer, Head
from gateway.http.completions.answer import CompletionStream, completion
from gateway.http.completions.request import Completion, read
from gateway.http.completions.schema import Body
from gateway.http.core.aliases import Aliases, Served, parse
from gateway.http.embeddings import request as embeddings
from gateway.http.embeddings.schema import Body as EmbeddingsBody
from gateway.http.visit import decode
from services.chassis.rpc.errors import KernelError

VALID = protovalidate.Validator()
HEAD = Head("cmpl-1", 7, "tiny")


def completed(**fields: Any) -> Completion:
    """Read a request."""
    return completed_body(decode(msgspec.json.encode(fields), Body))


def completed_body(body: Body) -> Completion:
    return read(body, header=lambda _: None, resolve=lambda name: name, temperature=0)


def end(text: str, prompt: int = 5, tokens: int = 2) -> pb.Finished:
    return pb.Finished(
        reason=pb.FINISH_REASON_LENGTH,
        message=chat_pb2.ChatMessage(role="ROLE_ASSISTANT", content=text),
        usage=pb.Usage(prompt_tokens=prompt, completion_tokens=tokens),
    )


def test_each_prompt_gets_its_answers_one_prompt_after_the_other() -> None:
    found = completed(prompt=["a", "b"], n=2, seed=9, max_tokens=30, stop=["x"])

    assert [plan.request.prompt for plan in found.plans] == ["a", "a", "b", "b"]
    assert found.seeds == [9, 10, 9, 10]
    assert all(plan.request.max_tokens == 30 and plan.request.fit_max_tokens for plan in found.plans)


def test_an_answer_whose_length_is_not_said_is_short() -> None:
    assert completed(prompt="a").plans[0].request.max_tokens == 16


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({}, "prompt", "INVALID_REQUEST"),
        ({"prompt": []}, "prompt", "INVALID_REQUEST"),
        ({"prompt": ["a", ""]}, "prompt[1]", "INVALID_REQUEST"),
        ({"prompt": [1, 2]}, "prompt", "CAPABILITY_MISSING"),
        ({"prompt": [[1, 2]]}, "prompt", "CAPABILITY_MISSING"),
        ({"prompt": ["a"] * 17}, "prompt", "INVALID_REQUEST"),
        ({"prompt": ["a"] * 9, "n": 2}, "prompt", "INVALID_REQUEST"),
        ({"prompt": "a", "n": 17}, "n", "INVALID_REQUEST"),
        ({"prompt": "a", "echo": True}, "echo", "CAPABILITY_MISSING"),
        ({"prompt": "a", "suffix": "b"}, "suffix", "CAPABILITY_MISSING"),
        ({"prompt": "a", "best_of": 2}, "best_of", "CAPABILITY_MISSING"),
        ({"prompt": "a", "logprobs": 6}, "logprobs", "CAPABILITY_MISSING"),
        ({"prompt": "a", "logprobs": -1}, "logprobs", "INVALID_REQUEST"),
        ({"prompt": "a", "max_tokens": 0}, "max_tokens", "INVALID_REQUEST"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(fields: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(KernelError) as error:
        completed(**fields)
    assert (error.value.violations[0].field, error.value.reason) == (param, code)


def test_a_whole_completion_counts_each_prompt_once() -> None:
    found = completed(prompt=["a", "b"], n=2)

    told = completion(HEAD, found, [Answer(end(text)) for text in "wxyz"])

    assert [(each["index"], each["text"], each["finish_reason"]) for each in told["choices"]] == [
        (0, "w", "length"),
        (1, "x", "length"),
        (2, "y", "length"),
        (3, "z", "length"),
    ]
    assert told["object"] == "text_completion"
    assert (told["usage"]["prompt_tokens"], told["usage"]["completion_tokens"]) == (10, 8)
    assert told["usage"]["total_tokens"] == 18


def test_the_chunks_of_a_stream() -> None:
    found = completed(prompt="a", stream=True, stream_options={"include_usage": True}, logprobs=1)
    stream = CompletionStream(HEAD, found)
    place = pb.TopAlternatives(
        sequence=1,
        chosen=pb.Alternative(text="hi", logprob=-0.5),
        alternatives=[pb.Alternative(text="ho", logprob=-0.25)],
    )
    delta = pb.Delta(text="hi", top_alternatives=[place])
    events = [pb.GenerationEvent(delta=delta), pb.GenerationEvent(delta=delta)]
    events.append(pb.GenerationEvent(finished=end("hihi")))

    data = stream.start(None) + b"".join(
        stream.event((0, pb.StreamGenerateResponse(event=each))) for each in events
    )
    *lines, done, _ = data.decode().split("\n\n")
    told = [json.loads(line.removeprefix("data: ")) for line in lines]

    assert done == "data: [DONE]"
    assert told[0] == {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 7,
        "model": "tiny",
        "choices": [
            {
                "index": 0,
                "text": "hi",
                "logprobs": {
                    "tokens": ["hi"],
                    "token_logprobs": [-0.5],
                    "top_logprobs": [{"ho": -0.25}],
                    "text_offset": [0],
                },
                "finish_reason": None,
            }
        ],
        "usage": None,
    }
    assert told[1]["choices"][0]["logprobs"]["text_offset"] == [2]
    assert told[2]["choices"] == [{"index": 0, "text": "", "logprobs": None, "finish_reason": "length"}]
    assert (told[3]["choices"], told[3]["usage"]["total_tokens"]) == ([], 7)


TEXTS = st.lists(st.text(max_size=40) | st.integers(0, 16_000).map("é".__mul__), min_size=1, max_size=200)


@given(TEXTS)
def test_texts_are_cut_into_batches_that_the_kernel_takes(texts: list[str]) -> None:
    texts = [text.encode()[:16_384].decode(errors="ignore") for text in texts]

    batches = embeddings.batches(texts)

    assert [text for batch in batches for text in batch] == texts
    for batch in batches:
        request = pb.EmbedRequest(texts=batch)
        assert VALID.collect_violations(request) == []
        assert request.ByteSize() < 1_048_576


def test_the_longest_texts_go_in_batches_that_the_kernel_takes() -> None:
    batches = embeddings.batches(["x" * 16_384] * 64)

    assert all(pb.EmbedRequest(texts=batch).ByteSize() < 1_048_576 for batch in batches)
    assert sum(map(len, batches)) == 64


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"input": []}, "input", "INVALID_REQUEST"),
        ({"input": ["a"] * 2049}, "input", "INVALID_REQUEST"),
        ({"input": ["a", "é" * 8193]}, "input[1]", "INVALID_REQUEST"),
        ({"input": "x" * 16_385}, "input", "INVALID_REQUEST"),
        ({"input": [1, 2, 3]}, "input", "CAPABILITY_MISSING"),
        ({"input": [[1, 2], [3]]}, "input", "CAPABILITY_MISSING"),
        ({"input": {"a": 1}}, "input", "INVALID_REQUEST"),
    ],
)
def test_inputs_that_cannot_be_embedded_are_refused(fields: Any, param: str, code: str) -> None:
    with pytest.raises(KernelError) as error:
        embeddings.texts(decode(msgspec.json.encode(fields), EmbeddingsBody))
    assert (error.value.violations[0].field, error.value.reason) == (param, code)


def test_token_ids_are_refused_before_they_become_objects() -> None:
    """A body of 8 MiB holds millions of lists, which would take a second of the event loop and 500 MiB."""
    lists = b"[" + b"[],[1]," * 100_000 + b"[]]"
    tracemalloc.start()
    try:
        for refuse in (
            lambda: embeddings.texts(decode(b'{"input":' + lists + b"}", EmbeddingsBody)),
            lambda: completed_body(decode(b'{"prompt":' + lists + b"}", Body)),
        ):
            tracemalloc.reset_peak()
            with pytest.raises(KernelError):
                refuse()
            assert tracemalloc.get_traced_memory()[1] < 4 * len(lists)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("texts", "asked", "told"),
    [
        (("*=",), "tiny", ""),
        (("*=tiny",), "text-embedding-3-small", ""),
        (("*=", "theirs=ours"), "theirs", "ours"),
        ((), "aios-hashing-ngrams", "aios-hashing-ngrams"),
        ((), "tiny", "tiny"),
        ((), "", ""),
    ],
)
def test_where_any_name_is_taken_all_of_them_mean_the_kernels_own_embedding(
    texts: tuple[str, ...], asked: str, told: str
) -> None:
    aliases = Aliases(lambda: Served(frozenset({"tiny"}), "tiny"), parse(texts))

    assert embeddings.model(asked, aliases) == told


def test_other_dimensions_than_the_models_own_are_refused() -> None:
    embeddings.check_dimensions(None, 256)
    embeddings.check_dimensions(256, 256)
    with pytest.raises(KernelError) as error:
        embeddings.check_dimensions(1024, 256)
    assert error.value.violations[0].field == "dimensions"
