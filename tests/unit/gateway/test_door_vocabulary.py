"""The vocabulary that the doors' dialects share."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aios.api.agent.v1 import agent_pb2
from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from gateway.errors import CapabilityMissing, ConstraintInvalid, ModelNotFound
from gateway.http.common import checks, formats, hints, sampling, tools
from gateway.http.common.conversation import Conversation
from gateway.http.common.text import MARK, ShownText
from gateway.http.common.words import Words
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import FieldViolation, InvalidRequest, KernelError, PermissionDenied
from services.chassis.rpc.status import PeerError


def refused(error: pytest.ExceptionInfo[KernelError]) -> str:
    """Name the field that an error is about."""
    return error.value.violations[0].field


def test_a_violation_is_told_by_the_clients_name_of_the_field() -> None:
    words = Words({"messages[0]": "input[3]", "constraint.json_schema": "text.format.schema"})
    error = InvalidRequest(
        "generation.messages[0].content: is long; step: is odd",
        violations=[
            FieldViolation("generation.messages[0].content", "is long"),
            FieldViolation("step", "is odd"),
        ],
    )

    told = words.reword(error)

    assert [each.field for each in told.violations] == ["input[3].content", "step"]
    assert told.message == "input[3].content: is long; step: is odd"
    assert type(told) is InvalidRequest
    assert error.violations[0].field == "generation.messages[0].content"
    assert words.translate("constraint.json_schema") == "text.format.schema"
    assert words.translate("messages[01].content") == "messages[01].content"


def test_an_error_of_another_process_is_reworded_too() -> None:
    error = PeerError("INVALID_REQUEST", Code.INVALID_ARGUMENT, "step: is odd")
    error.violations = [FieldViolation("step", "is odd")]

    told = Words({"step": "aios-step"}).reword(error)

    assert (told.reason, told.code, told.message) == ("INVALID_REQUEST", error.code, "aios-step: is odd")


def test_an_error_that_names_no_field_is_told_by_the_one_that_it_is_about() -> None:
    words = Words({"sampling": "", "constraint": "f", "constraint.json_schema": "f.schema", "tools": "tools"})

    def about(error: KernelError) -> list[str]:
        return [each.field for each in words.reword(error).violations]

    assert about(CapabilityMissing("no", metadata={"capability": "presence_penalty"})) == ["presence_penalty"]
    assert about(CapabilityMissing("no", metadata={"capability": "constraint.json"})) == ["f"]
    assert about(ConstraintInvalid("no")) == ["f.schema"]
    assert about(ModelNotFound("no")) == []
    words.paths.pop("constraint")
    words.paths.pop("constraint.json_schema")
    assert about(ConstraintInvalid("no")) == ["tools"]


def test_leading_instructions_become_one_message_and_later_ones_stay() -> None:
    talk = Conversation(Words(), "messages")
    talk.system("be kind", "messages[0]")
    talk.system("be brief", "messages[1]")
    talk.user("hello", "messages[2]")
    talk.system("now be rude", "messages[3]")

    assert [(each.role, each.content) for each in talk.messages] == [
        (chat_pb2.ROLE_SYSTEM, "be kind\n\nbe brief"),
        (chat_pb2.ROLE_USER, "hello"),
        (chat_pb2.ROLE_SYSTEM, "now be rude"),
    ]


def test_calls_told_one_by_one_become_one_message_and_results_know_their_tool() -> None:
    words = Words()
    talk = Conversation(words, "input")
    talk.user("go", "input[0]")
    talk.call("a", "read", '{"n": 12345678901234567890}', "input[1]", arguments_path="input[1].arguments")
    talk.call("b" * 300, "write", "", "input[2]", arguments_path="input[2].arguments")
    talk.result("b" * 300, "done", "input[3]", id_path="input[3].call_id")

    calls = talk.messages[1].tool_calls
    assert [each.name for each in calls] == ["read", "write"]
    assert calls[0].arguments_json == '{"n": 12345678901234567890}'
    assert talk.messages[2].tool_call_id == calls[1].id
    assert len(calls[1].id) <= 128
    assert talk.messages[2].name == "write"
    assert words.translate("messages[2].content") == "input[3].content"


@pytest.mark.parametrize("arguments", ["[1]", "{", "nonsense", '{"a": "\\ud800"}', '{"a":' * 5000])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        Conversation(Words(), "m").call("a", "t", arguments, "m[0]", arguments_path="m[0].args")
    assert refused(error) == "m[0].args"


def test_more_messages_or_calls_than_the_kernel_takes_are_refused() -> None:
    talk = Conversation(Words(), "messages")
    for index in range(128):
        talk.call(str(index), "t", "", "messages[0]", arguments_path="")
    with pytest.raises(InvalidRequest):
        talk.call("x", "t", "", "messages[1]", arguments_path="")
    for _ in range(1023):
        talk.user("", "messages")
    with pytest.raises(InvalidRequest) as error:
        talk.user("", "messages[2000]")
    assert refused(error) == "messages"


@pytest.mark.parametrize(
    "raw", [b"[1]", b"3", b'"a"', b'{"a": "\\ud800"}', b'{"a": "\xff"}', b'{"a":' * 9000]
)
def test_a_schema_that_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        checks.json_object(msgspec.Raw(raw), "schema")


def test_a_schema_comes_through_as_it_was_written() -> None:
    text = '{"type" : "object",\n "properties": {"n": {"maximum": 12345678901234567890}}}'

    assert checks.json_object(msgspec.Raw(text.encode()), "schema") == text
    assert checks.json_object(msgspec.Raw(b"null"), "schema") == ""
    with pytest.raises(InvalidRequest):
        checks.json_object(msgspec.Raw(b'{"a":"' + b"x" * 65_536 + b'"}'), "schema")


@pytest.mark.parametrize(
    ("choice", "names", "field"),
    [
        (tools.Choice(), ["a", "b"], ""),
        (tools.Choice(pb.TOOL_CHOICE_NONE), [], ""),
        (tools.Choice(pb.TOOL_CHOICE_REQUIRED, "b"), ["a", "b"], ""),
        (tools.Choice(allowed=("b",)), ["b"], ""),
        (tools.Choice(allowed=("c",)), [], "tool_choice"),
        (tools.Choice(pb.TOOL_CHOICE_REQUIRED, "c"), [], "tool_choice"),
        (tools.Choice(pb.TOOL_CHOICE_REQUIRED, allowed=()), [], "tool_choice"),
    ],
)
def test_tools_are_offered_as_the_choice_says(choice: tools.Choice, names: list[str], field: str) -> None:
    offered = tools.Tools(Words())
    offered.add("a", "does a", "", "tools[0]")
    offered.add("b", "does b", "{}", "tools[1]")
    request = pb.GenerateRequest()

    if field:
        with pytest.raises(InvalidRequest) as error:
            offered.write(request, choice, field)
        assert refused(error) == field
        return
    offered.write(request, choice, "tool_choice")

    assert [each.name for each in request.tools] == names
    assert request.tool_choice_name == choice.name


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 129, "a/b"])
def test_a_name_that_no_tool_may_have_is_refused_by_its_place(name: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        tools.Tools(Words()).add(name, "", "", "tools[7].function")
    assert refused(error) == "tools[7].function.name"


def test_two_tools_of_one_name_are_refused() -> None:
    offered = tools.Tools(Words())
    offered.add("a", "", "", "tools[0]")
    with pytest.raises(InvalidRequest):
        offered.add("a", "", "", "tools[1]")


def test_calls_of_different_answers_have_different_ids_and_given_ids_stay() -> None:
    assert tools.call_id("g1", 0, "call_0") != tools.call_id("g2", 0, "call_0")
    assert tools.call_id("g1", 0, "call_0") == tools.call_id("g1", 0, "")
    assert tools.call_id("g1", 0, "chatcmpl-tool-77") == "chatcmpl-tool-77"


@given(st.integers(-(2**70), 2**70))
def test_any_seed_is_folded_into_what_the_kernel_takes(asked: int) -> None:
    assert 0 <= sampling.seed(asked) < 2**32
    assert sampling.seed(asked) == sampling.seed(asked + 2**32)


@pytest.mark.parametrize(
    ("temperature", "top_p", "expected"),
    [(None, None, (0.7, 0)), (0, None, (0, 0)), (1.5, 1, (1.5, 0)), (1, 0.5, (1, 0.5)), (1, 0, (0, 0))],
)
def test_sampling_means_what_clients_mean(
    temperature: float | None, top_p: float | None, expected: tuple[float, float]
) -> None:
    written = pb.Sampling()
    sampling.write_choice(written, temperature=temperature, top_p=top_p, default=0.7)

    assert (written.temperature, written.top_p) == expected


@pytest.mark.parametrize("bad", [-0.1, 2.1, float("inf"), float("nan")])
def test_a_temperature_out_of_range_is_refused(bad: float) -> None:
    with pytest.raises(InvalidRequest) as error:
        sampling.write_choice(pb.Sampling(), temperature=bad, top_p=None, default=0)
    assert refused(error) == "temperature"


def test_a_length_is_a_ceiling_and_stops_are_bounded() -> None:
    request = pb.GenerateRequest()
    sampling.write_length(request, 10**9, "max_tokens")
    sampling.write_stops(request, ["", "END"], "stop")

    assert (request.max_tokens, request.fit_max_tokens, list(request.stop)) == (131_072, True, ["END"])
    for bad in (["x"] * 17, ["x" * 257]):
        with pytest.raises(InvalidRequest):
            sampling.write_stops(pb.GenerateRequest(), bad, "stop")
    with pytest.raises(InvalidRequest):
        sampling.write_length(request, 0, "max_tokens")


def test_headers_become_hints() -> None:
    asked = {
        "aios-class": "batch",
        "aios-weight": "7",
        "aios-priority": "-3",
        "aios-max-wait": "0",
        "aios-deadline": "2.5",
        "aios-step": "4",
        "aios-gang": "night/3",
    }
    request = pb.GenerateRequest()
    hints.write_headers(request, asked.get)

    assert request.hints.scheduling_class == agent_pb2.SCHEDULING_CLASS_BATCH
    assert (request.hints.weight, request.hints.priority, request.step) == (7, -3, 4)
    assert request.hints.HasField("max_wait")
    assert request.hints.max_wait.ToTimedelta().total_seconds() == 0
    assert request.hints.deadline.ToTimedelta().total_seconds() == 2.5
    assert (request.gang.id, request.gang.size) == ("night", 3)


def test_without_headers_nothing_is_asked() -> None:
    request = pb.GenerateRequest()
    hints.write_headers(request, lambda _: None)

    assert request == pb.GenerateRequest()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aios-class", "royal"),
        ("aios-weight", "0"),
        ("aios-weight", "1e3"),
        ("aios-weight", "\u0661"),
        ("aios-priority", "20"),
        ("aios-max-wait", "-1"),
        ("aios-max-wait", "nan"),
        ("aios-deadline", "inf"),
        ("aios-deadline", "soon"),
        ("aios-step", "-1"),
        ("aios-gang", "a"),
        ("aios-gang", "a/0"),
        ("aios-gang", "a/65"),
        ("aios-gang", "\udcff/2"),
    ],
)
def test_a_bad_header_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        hints.write_headers(pb.GenerateRequest(), {name: value}.get)
    assert refused(error) == name


def test_a_tier_asks_for_a_class_unless_a_header_did_and_gives_it_up_when_it_is_too_much() -> None:
    request = pb.GenerateRequest()
    tier = hints.write_tier(request, "priority")
    assert request.hints.scheduling_class == agent_pb2.SCHEDULING_CLASS_INTERACTIVE
    assert tier.applied == "priority"

    assert not tier.give_up(request, PermissionDenied("no", metadata={"hint": "weight"}))
    assert tier.give_up(request, PermissionDenied("no", metadata={"hint": "scheduling_class"}))
    assert not request.hints.scheduling_class
    assert tier.applied == "default"

    hints.write_headers(request, {"aios-class": "idle"}.get)
    assert hints.write_tier(request, "priority").applied == "default"
    assert request.hints.scheduling_class == agent_pb2.SCHEDULING_CLASS_IDLE
    assert hints.write_tier(pb.GenerateRequest(), "no such tier").applied == "default"


def test_calls_stay_together_by_the_first_key_whatever_it_is() -> None:
    assert hints.affinity(None, "", "s1", "s2") == "s1"
    assert hints.affinity() == ""
    assert len(hints.affinity("x" * 4096)) <= 128
    hints.affinity("\udcff").encode()


@pytest.mark.parametrize(
    ("kind", "schema", "expected"),
    [
        ("text", b"", ""),
        ("json_object", b"", formats.ANY_OBJECT),
        ("json_schema", b"", formats.ANY_OBJECT),
        ("json_schema", b'{"type":"object"}', '{"properties":{},"type":"object"}'),
        (
            "json_schema",
            b'{"$defs": {"a": {}}, "type": "object", "properties": {}}',
            '{"$defs": {"a": {}}, "type": "object", "properties": {}}',
        ),
    ],
)
def test_a_format_becomes_a_constraint(kind: str, schema: bytes, expected: str) -> None:
    request = pb.GenerateRequest()
    formats.write(request, kind, msgspec.Raw(schema), path="f", schema_path="f.schema", words=Words())

    assert request.constraint.json_schema == expected


def test_a_format_may_stand_beside_tools_and_an_unknown_one_is_refused() -> None:
    request = pb.GenerateRequest(tools=[{"name": "a"}])
    formats.write(request, "json_object", msgspec.Raw(), path="f", schema_path="f.s", words=Words())

    assert request.constraint.json_schema == formats.ANY_OBJECT
    with pytest.raises(InvalidRequest):
        formats.write(pb.GenerateRequest(), "xml", msgspec.Raw(), path="f", schema_path="f.s", words=Words())


def shown(pieces: list[str], content: str, **options: bool) -> tuple[str, str]:
    """Return what is shown while the text grows, and what at its end."""
    text = ShownText(**options)
    return "".join(text.more(piece) for piece in pieces), text.rest(content)


def test_text_without_tools_is_shown_as_it_comes() -> None:
    assert shown(["a ", "<tool_call>", "b"], "a <tool_call>b") == ("a <tool_call>b", "")


@given(st.integers(1, 7))
def test_calls_are_cut_out_of_the_text_however_it_is_split(width: int) -> None:
    text = f'Let me see. <b>\n{MARK}{{"name": "a", "arguments": {{}}}}</tool_call> done'
    pieces = [text[at : at + width] for at in range(0, len(text), width)]

    assert shown(pieces, "Let me see. <b>\n done", tools=True) == ("Let me see. <b>", "\n done")


def test_what_only_looked_like_a_call_is_shown_at_the_end() -> None:
    assert shown(["a <tool", "_call> b"], "a <tool_call> b", tools=True) == ("a", " <tool_call> b")
    assert shown(["1 <", " 2 <tool"], "1 < 2 <tool", tools=True) == ("1 < 2", " <tool")
    assert shown(["\n\nhi"], "hi", tools=True) == ("\n\nhi", "")


def test_a_required_call_shows_no_text_unless_there_is_some_in_the_end() -> None:
    assert shown(['{"tool_calls": ['], "", tools=True, required=True) == ("", "")
    assert shown(["sorry"], "sorry", tools=True, required=True) == ("", "sorry")


CALLED = '{"tool_calls": [{"name": "a", "arguments": {}}]}'
EITHER = {"tools": True, "form": True}


@given(st.sampled_from([CALLED, '\n{ \n"tool_calls_2" : []}', '{"tool_calls']), st.integers(1, 7))
def test_calls_in_the_place_of_an_answer_in_a_form_are_not_shown_however_they_are_split(
    text: str, width: int
) -> None:
    pieces = [text[at : at + width] for at in range(0, len(text), width)]

    assert shown(pieces, "", **EITHER) == ("", "")
    # What turns out to be an answer after all is shown at the end.
    assert shown(pieces, text, **EITHER) == ("", text)


@given(
    st.sampled_from(
        [
            '{"city": "Rome"}',
            '{"tool": 1}',
            ' {"tools": "<tool_call>{} </tool_call>"}',
            "{}",
            "[1]",
            '{"a": {"tool_calls": 1}}',
            " " * 600 + CALLED,
        ]
    ),
    st.integers(1, 7),
)
def test_an_answer_in_a_form_is_shown_as_soon_as_it_is_told_from_calls(text: str, width: int) -> None:
    pieces = [text[at : at + width] for at in range(0, len(text), width)]
    before, after = shown(pieces, text, **EITHER)

    assert (before, after) == (text, "")


def test_an_answer_in_a_form_streams_from_its_first_letters_on() -> None:
    text = ShownText(**EITHER)

    assert [text.more(each) for each in ('{"', "tool", "box", '": ', "1}")] == [
        "",
        "",
        '{"toolbox',
        '": ',
        "1}",
    ]


def test_an_answer_that_ends_before_it_is_told_apart_is_shown_at_its_end() -> None:
    assert shown(['{"to'], '{"to', **EITHER) == ("", '{"to')


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tools": [{"name": "a"}], "constraint": {"json_schema": "{}"}}, ""),
        ({"tools": [{"name": "a"}]}, CALLED),
        ({"constraint": {"json_schema": "{}"}}, CALLED),
        ({"tools": [{"name": "a"}], "tool_choice": pb.TOOL_CHOICE_REQUIRED}, ""),
    ],
)
def test_what_is_shown_goes_by_what_was_asked_for(fields: Any, expected: str) -> None:
    assert ShownText.of(pb.GenerateRequest(**fields)).more(CALLED) == expected


@given(st.lists(st.sampled_from([" ", "\n", "<", "<tool", "_call>", "a", "b "]), max_size=12))
def test_text_that_ends_without_a_call_is_shown_whole(pieces: list[str]) -> None:
    text = "".join(pieces)
    before, after = shown(pieces, text, tools=True)

    assert before + after == text
