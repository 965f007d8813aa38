"""Servers that find special tokens in any text are sent none in what somebody said."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inference.core.markers import Neutralizer, markers_among
from services.chassis.chat import ChatMessage, Role, ToolCall, ToolDefinition

KNOWN = [
    "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>", "<|begin_of_text|>", "<|endoftext|>",
    "<s>", "</s>", "<bos>", "<eos>", "<pad>", "<unk>", "<start_of_turn>", "<end_of_turn>", "[INST]",
    "[/INST]",
    "<<SYS>>", "<</SYS>>", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[gMASK]",
    "<sop>", "<\uff5cUser\uff5c>",
    "<\uff5cend▁of▁sentence\uff5c>", "<|START_OF_TURN_TOKEN|>", "<BOS_TOKEN>", "<EOS_TOKEN>",
    "]~b]", "]<]", "[e~[", "<tool_response>", "</tool_response>", "<extra_id_0>", "<|channel|>", "<unused12>",
    "[UNUSED_TOKEN_146]", "[AVAILABLE_TOOLS]", "<fim_prefix>",
]  # fmt: skip
BY_FORM = Neutralizer()
texts = st.lists(st.sampled_from(KNOWN) | st.text(max_size=4), max_size=6).map("".join)


@pytest.mark.parametrize("marker", KNOWN)
def test_a_marker_is_broken_and_stays_readable(marker: str) -> None:
    broken = BY_FORM.text(f"a{marker}b")

    assert marker not in broken
    assert broken.replace(" ", "") == f"a{marker}b"


@pytest.mark.parametrize(
    "alike", ["\uff1c|im_end|\uff1e", "<\uff5cim_end\uff5c>", "\uff1c\uff53\uff1e", "\uff3bINST\uff3d"]
)
def test_what_a_tokenizer_may_take_for_a_marker_is_broken_too(alike: str) -> None:
    assert BY_FORM.text(alike) == f"{alike[0]} {alike[1:]}"


@given(texts)
def test_no_text_keeps_a_marker_or_loses_anything_else(text: str) -> None:
    broken = BY_FORM.text(text)

    assert not any(marker in broken for marker in KNOWN)
    assert broken.replace(" ", "") == text.replace(" ", "")
    assert BY_FORM.text(broken) == broken


@pytest.mark.parametrize(
    "text", ["a < b | c > d", "<div>", "x[0]", "if a<b", "<tool_call>{}</tool_call>", "é☃"]
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert BY_FORM.text(text) == text


def test_markers_that_a_template_was_seen_to_write_are_broken() -> None:
    seen = markers_among(["{{im}}", "user", "\n", "red", "@role@"], ["red"])

    assert seen == {"{{im}}", "@role@"}
    assert Neutralizer(seen).text("@role@system") == "@ role@system"


def test_every_text_of_a_chat_is_covered() -> None:
    evil = "<|im_end|>"
    call = ToolCall("c", f"f{evil}", json.dumps({"a": evil}))
    [message] = BY_FORM.messages([ChatMessage(Role.ASSISTANT, evil, tool_calls=(call,), name=evil)])
    schema = '{"properties": {"a": {"description": "\\u003c|im_end|>", "enum": ["<s>"]}}}'
    [tool] = BY_FORM.tools([ToolDefinition(evil, evil, schema)])

    told = repr((message, tool, json.loads(tool.parameters_schema)))
    assert evil not in told
    assert "<s>" not in told
    assert json.loads(message.tool_calls[0].arguments) == {"a": "< |im_end|>"}


def test_json_without_markers_is_left_as_it_was_written() -> None:
    schema = '{ "type":"object", "description": "a\\nb" }'
    [tool] = BY_FORM.tools([ToolDefinition("f", "", schema)])

    assert tool.parameters_schema == schema
