"""The suites that OpenAI and Anthropic test their own SDKs with, unchanged, against the door.

They show that routes, headers and the types of bodies are right, for clients that check every field too. What
the door refuses of it stands here, test by test, with what the door says, so that any change is noticed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.clients.door import Door
from tests.clients.environments import source_distribution
from tests.clients.vendor import Outcome, run_suite

OPENAI: Final = "openai==3.57.0"
OPENAI_TESTS: Final = ("chat", "test_responses.py", "responses", "test_models.py", "test_embeddings.py")
FORMS: Final = ("method", "raw_response", "streaming_response")
"""The suite asks everything in three ways."""


def each_form(reason: str, file: str, *actions: str) -> dict[str, str]:
    """Return the refusal of some actions, however they are asked for."""
    return {f"{file}::test_{form}_{action}": reason for action in actions for form in FORMS}


NOT_KEPT: Final = "chat completions are not stored here"
UNKNOWN: Final = "there is no response"
TWO_BEGINNINGS: Final = "a conversation and previous_response_id exclude one another"
AUDIO: Final = "answers are text"
OPENAI_REFUSED: Final = {
    **each_form(NOT_KEPT, "chat.completions.test_messages", "list"),
    "chat.completions.test_messages::test_method_list_with_all_params": NOT_KEPT,
    **each_form(NOT_KEPT, "chat.test_completions", "retrieve", "update", "delete"),
    "chat.test_completions::test_method_create_with_all_params_overload_1": AUDIO,
    "chat.test_completions::test_method_create_with_all_params_overload_2": AUDIO,
    "test_responses::test_method_create_with_all_params_overload_1": TWO_BEGINNINGS,
    "test_responses::test_method_create_with_all_params_overload_2": TWO_BEGINNINGS,
    "test_responses::test_method_compact_with_all_params": "previous response with id 'resp_123' not found",
    **each_form(UNKNOWN, "test_responses", "retrieve_overload_1", "retrieve_overload_2", "delete", "cancel"),
    "test_responses::test_method_retrieve_with_all_params_overload_1": UNKNOWN,
    "test_responses::test_method_retrieve_with_all_params_overload_2": UNKNOWN,
    **each_form(UNKNOWN, "responses.test_input_items", "list"),
    "responses.test_input_items::test_method_list_with_all_params": UNKNOWN,
    "responses.test_input_tokens::test_method_count_with_all_params": TWO_BEGINNINGS,
    **each_form("does not take DELETE", "test_models", "delete"),
    "test_embeddings::test_method_create_with_all_params": "dimensions: the model's vectors have 256",
}

ANTHROPIC: Final = "anthropic==2.14.0"
ANTHROPIC_TESTS: Final = ("test_messages.py", "test_models.py")
NO_SCHEMA: Final = "a schema must be an object or a boolean"
"""Its tool describes a parameter by the word "bar"."""
ANTHROPIC_REFUSED: Final = {
    "test_messages::test_method_create_with_all_params_overload_1": NO_SCHEMA,
    "test_messages::test_method_create_with_all_params_overload_2": NO_SCHEMA,
    "test_messages::test_method_count_tokens_with_all_params": NO_SCHEMA,
}


async def test_openais_suite_passes_but_for_what_is_refused(door: Door, sdks: Path, tmp_path: Path) -> None:
    suite = await source_distribution(OPENAI)
    tests = [f"tests/api_resources/{each}" for each in OPENAI_TESTS]

    outcome = await run_suite(sdks, suite, tmp_path / "report", *tests, url=f"{door.url}/v1", key=door.key)

    assert not (found := changes(outcome, OPENAI_REFUSED)), found
    assert outcome.passed == 210


async def test_anthropics_suite_passes_but_for_what_is_refused(
    door: Door, sdks: Path, tmp_path: Path
) -> None:
    suite = await source_distribution(ANTHROPIC)
    tests = [f"tests/api_resources/{each}" for each in ANTHROPIC_TESTS]
    options = ("-p", "tests._alias_httpx")

    outcome = await run_suite(
        sdks, suite, tmp_path / "report", *tests, url=door.url, key=door.key, options=options
    )

    assert not (found := changes(outcome, ANTHROPIC_REFUSED)), found
    assert outcome.passed == 95


def changes(outcome: Outcome, refused: Mapping[str, str]) -> str:
    """Tell what failed unexpectedly, or for another reason, and what passed although it is to be refused."""
    new = [f"{name}: {why}" for name, why in outcome.failed.items() if refused.get(name, "\0") not in why]
    return "\n".join([*new, *(f"{name} passes" for name in refused.keys() - outcome.failed.keys())])
