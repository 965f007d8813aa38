"""What outputs are bound to is judged where it keeps nobody else's calls waiting."""

import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from gateway.errors import ConstraintInvalid
from gateway.inference.adapters.judges import ProcessJudge
from gateway.inference.core import judging, prompt_plan
from gateway.inference.core.questions import Question
from gateway.inference.model import Constraint, ConstraintKind, GenerationSpec, ToolChoice
from services.chassis.auth.identity import Caller, set_caller
from services.chassis.chat import ToolDefinition
from services.chassis.judges import Verdicts

LETTERS = json.dumps({"type": "object", "properties": {"a": {"type": "string", "pattern": r"\p{L}{100}"}}})
HIDDEN = '{"type": "string", "\\u0070attern": "' + "\\\\p{L}" * 50 + '"}'
PLAIN = json.dumps({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})
LONG = json.dumps({"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(400)}})


@pytest.fixture
async def judge() -> AsyncIterator[ProcessJudge]:
    judge = ProcessJudge()
    yield judge
    await judge.close()


def schema(text: str) -> Question:
    return Question.of(GenerationSpec(constraint=Constraint(ConstraintKind.JSON, text)), ())


def regex(text: str) -> Question:
    return Question.of(GenerationSpec(constraint=Constraint(ConstraintKind.REGEX, text)), ())


def shown(*texts: str, choice: ToolChoice = ToolChoice.AUTO) -> Question:
    tools = [ToolDefinition(f"t{n}", "", text) for n, text in enumerate(texts)]
    return Question.of(GenerationSpec(tools=tuple(tools), tool_choice=choice), tools)


@pytest.mark.parametrize(
    "question",
    [regex("a"), schema(LETTERS), schema(HIDDEN), schema(LONG), shown(PLAIN, LETTERS), shown(*[PLAIN] * 60)],
    ids=["regex", "pattern", "hidden pattern", "long", "tool", "tools together"],
)
async def test_what_may_take_the_interpreter_long_is_compiled_in_another_process(
    judge: ProcessJudge, question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Question] = []
    monkeypatch.setattr(prompt_plan, "bind", lambda *_: compiled.append(question))
    with contextlib.suppress(ConstraintInvalid):
        await judge.find(question)
    assert not compiled
    assert judge.judges.asked == 1


async def test_what_is_light_needs_no_process(judge: ProcessJudge) -> None:
    assert await judge.find(schema(PLAIN)) is not None
    assert (await judge.keep(schema(PLAIN), '{"a": "b"}', ())).output
    assert not judge.judges.asked


async def test_a_long_output_is_held_against_a_light_schema_in_another_process(judge: ProcessJudge) -> None:
    kept = await judge.keep(schema(PLAIN), json.dumps({"a": "x" * 20_000}), ())
    assert (kept.output, judge.judges.asked) == (True, 1)


async def test_a_tenants_question_is_judged_once_and_another_tenants_apart(judge: ProcessJudge) -> None:
    for tenant, asked in [("acme", 1), ("acme", 1), ("globex", 2)]:
        set_caller(Caller("amy", tenant))
        for bad in (False, True):
            question = regex("(" if bad else r"\p{L}{20}")
            try:
                assert await judge.find(question) is not None
            except ConstraintInvalid:
                assert bad
        assert judge.judges.asked == 2 * asked


@pytest.mark.parametrize("choice", list(ToolChoice))
def test_a_process_answers_as_this_one_does(choice: ToolChoice) -> None:
    answer = judging.judging()
    for question in (schema(PLAIN), schema("{"), regex("a|b"), shown(PLAIN, LETTERS, choice=choice)):
        assert judging.finding_of(answer(judging.packed(question.encoded))) == judging.find(question.encoded)
    question = shown(PLAIN, LETTERS, choice=choice)
    calls = [("t0", '{"a": "x"}'), ("t0", '{"a": 1}'), ("t1", "{}"), ("none", "{}")]
    kept = judging.keep(question.encoded, None, calls)
    assert judging.keeping_of(answer(judging.packed(question.encoded, None, calls))) == kept
    assert kept.calls == (True, False, True, False)


def test_texts_too_long_to_be_looked_at_are_refused_before_anything_reads_them() -> None:
    for build, size in ((regex, 4_097), (schema, 262_145), (shown, 65_537)):
        with pytest.raises(ConstraintInvalid, match="larger than"):
            build(" " * size)


def test_a_tenants_verdicts_crowd_out_its_own_alone() -> None:
    verdicts: Verdicts[int] = Verdicts(tenant_bytes=4_000, tenants=2)
    verdicts.put("amy", b"kept", 1)
    for n in range(100):
        verdicts.put("mal", b"%d" % n, n, size=500)
    assert verdicts.get("amy", b"kept") == 1
    assert (verdicts.get("mal", b"0"), verdicts.get("mal", b"99")) == (None, 99)
    assert len(verdicts) < 10
    verdicts.put("mal", b"huge", 0, size=5_000)
    assert verdicts.get("mal", b"huge") is None
    verdicts.get("amy", b"kept")
    verdicts.put("eve", b"new", 2)
    assert (verdicts.get("amy", b"kept"), verdicts.get("mal", b"99")) == (1, None)
