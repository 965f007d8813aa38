"""Chat completions: from the kernel's answer to a body or to chunks, byte by byte."""

import json
from typing import Any

from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from gateway.errors import BackendFailed
from gateway.http.chat.answer import completion
from gateway.http.chat.stream import ChatStream
from gateway.http.common.answers import Answer, Head
from tests.unit.gateway.chats import TOOLS, chat

HEAD = Head("chatcmpl-1", 7, "tiny")


def event(index: int = 0, **fields: Any) -> tuple[int, pb.StreamGenerateResponse]:
    return index, pb.StreamGenerateResponse(event=pb.GenerationEvent(**fields))


def finished(content: str = "", calls: Any = (), **fields: Any) -> pb.Finished:
    message = chat_pb2.ChatMessage(role="ROLE_ASSISTANT", content=content, tool_calls=calls)
    return pb.Finished(**{"reason": pb.FINISH_REASON_STOP, "message": message, **fields})


def chunks(data: bytes) -> list[Any]:
    lines = data.decode().split("\n\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def test_the_chunks_of_a_stream_are_exactly_these_bytes() -> None:
    stream = ChatStream(HEAD, chat(stream=True))

    assert stream.start(None) == (
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"tiny","choices":'
        b'[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,'
        b'"finish_reason":null}]}\n\n'
    )
    assert stream.event(event(admitted=pb.Admitted())) == b""
    assert stream.event(event(delta=pb.Delta(text='a "b"\n'))) == (
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"tiny","choices":'
        b'[{"index":0,"delta":{"content":"a \\"b\\"\\n"},"logprobs":null,"finish_reason":null}]}\n\n'
    )
    assert stream.alive() == b": keep-alive\n\n"
    assert stream.event(event(finished=finished('a "b"\n', reason=pb.FINISH_REASON_LENGTH))) == (
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"tiny","choices":'
        b'[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]}\n\n'
        b"data: [DONE]\n\n"
    )


def test_an_error_in_mid_stream_is_told_in_place_of_the_end() -> None:
    told = ChatStream(HEAD, chat(stream=True)).failed(BackendFailed("it broke"))

    assert told == (
        b'data: {"error":{"message":"it broke","type":"server_error","param":null,'
        b'"code":"backend_failed"}}\n\n'
    )


def test_calls_that_a_model_writes_as_text_are_told_as_calls_only() -> None:
    stream = ChatStream(HEAD, chat(stream=True, tools=TOOLS))
    data = stream.start(None)
    for text in ("I look.\n<tool", '_call>{"name": "a"}', "</tool_call>"):
        data += stream.event(event(delta=pb.Delta(text=text)))
    calls = [{"id": "call_0", "name": "a", "arguments_json": ""}]
    data += stream.event(event(finished=finished("I look.", calls, reason=pb.FINISH_REASON_TOOL_CALLS)))

    deltas = [each["choices"][0]["delta"] for each in chunks(data)]
    assert [each["content"] for each in deltas if "content" in each] == ["", "I look."]
    assert [each["tool_calls"][0]["function"] for each in deltas if "tool_calls" in each] == [
        {"name": "a", "arguments": ""},
        {"arguments": "{}"},
    ]


def test_a_call_with_free_input_is_told_as_such() -> None:
    head = Head("chatcmpl-1", 7, "tiny", custom=frozenset({"run"}))
    calls = [{"id": "x", "name": "run", "arguments_json": '{"input": "ls"}'}]
    found = chat(stream=True, tools=[{"type": "custom", "custom": {"name": "run"}}])
    end = finished("", calls, reason=pb.FINISH_REASON_TOOL_CALLS)

    whole = completion(head, [Answer(end)])["choices"][0]["message"]["tool_calls"]
    pieces = [
        each["choices"][0]["delta"]["tool_calls"][0]
        for each in chunks(ChatStream(head, found).event(event(finished=end)))[:2]
    ]

    assert whole == [{"id": "x", "type": "custom", "custom": {"name": "run", "input": "ls"}}]
    assert pieces == [
        {"index": 0, "id": "x", "type": "custom", "custom": {"name": "run", "input": ""}},
        {"index": 0, "custom": {"input": "ls"}},
    ]


def test_log_probabilities_are_told_whole_and_in_chunks() -> None:
    place = pb.TopAlternatives(
        sequence=1,
        chosen=pb.Alternative(text="é", logprob=-0.5),
        alternatives=[pb.Alternative(text="e", logprob=-0.25)],
    )
    untold = pb.TopAlternatives(sequence=2, alternatives=[pb.Alternative(text="x", logprob=-1)])
    expected = [
        {
            "token": "é",
            "logprob": -0.5,
            "bytes": [195, 169],
            "top_logprobs": [{"token": "e", "logprob": -0.25, "bytes": [101]}],
        }
    ]
    found = chat(stream=True, logprobs=True, top_logprobs=1)

    whole = completion(HEAD, [Answer(finished("é"), [place, untold])])
    delta = event(delta=pb.Delta(text="é", top_alternatives=[place, untold]))
    [chunk] = chunks(ChatStream(HEAD, found).event(delta))

    assert whole["choices"][0]["logprobs"] == {"content": expected, "refusal": None}
    assert chunk["choices"][0]["logprobs"] == {"content": expected, "refusal": None}
    assert completion(HEAD, [Answer(finished("é"))])["choices"][0]["logprobs"] is None


def test_the_usage_of_several_answers_counts_their_prompt_once() -> None:
    ends = [
        finished("a", usage=pb.Usage(prompt_tokens=9, completion_tokens=n, cached_prompt_tokens=4))
        for n in (1, 2)
    ]
    usage = completion(HEAD, [Answer(each) for each in ends])["usage"]

    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (9, 3, 12)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 4
