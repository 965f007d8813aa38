"""Which exception each refusal becomes in the vendors' SDKs, and how many requests they make of it.

The SDKs try again by themselves, twice: three requests mean that the refusal lets them, one that it does not.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai
import pytest
from surroundings import Tour

ONCE, THRICE = 1, 3
HUGE = "a " * 300_000
"""More than the window of the model, less than a request may hold."""
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA, "strict": True}}
FLAT = {"type": "json_schema", "name": "city", "schema": SCHEMA, "strict": True}
AUDIO: dict[str, Any] = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "mp3"}}


@dataclass
class Clients:
    """Both SDKs as one agent, and the requests they have made."""

    tour: Tour
    openai: openai.OpenAI
    anthropic: anthropic.Anthropic
    requests: list[str] = field(default_factory=list)

    def chat(self, text: str = "hello", model: str = "scripted", **more: Any) -> Any:
        """Ask for a chat completion."""
        return self.openai.chat.completions.create(
            model=model, messages=[{"role": "user", "content": text}], **more
        )

    def respond(self, text: str = "hello", model: str = "scripted", **more: Any) -> Any:
        """Ask for a response."""
        return self.openai.responses.create(model=model, input=text, **more)

    def message(self, text: str = "hello", model: str = "scripted", **more: Any) -> Any:
        """Ask for a message."""
        turns = [{"role": "user", "content": text}]
        return self.anthropic.messages.create(model=model, max_tokens=50, messages=turns, **more)


@pytest.fixture
def clients(tour: Tour) -> Iterator[Clients]:
    """Make both clients, as a user would; their requests are counted."""
    made = Clients(
        tour,
        openai.OpenAI(base_url=tour.v1, api_key=tour.key, timeout=30),
        anthropic.Anthropic(base_url=tour.url, api_key=tour.key, timeout=30),
    )
    with ExitStack() as stack:
        for client in (made.openai, made.anthropic):
            client._client.event_hooks = {"request": [lambda sent: made.requests.append(str(sent.url))]}
            stack.enter_context(client)
        yield made


@pytest.mark.parametrize("ask", [Clients.chat, Clients.respond])
def test_a_number_out_of_range_is_named(clients: Clients, ask: Any) -> None:
    with pytest.raises(openai.BadRequestError) as told:
        ask(clients, temperature=9.0)

    assert (told.value.param, len(clients.requests)) == ("temperature", ONCE)
    assert told.value.request_id


def test_a_number_out_of_range_is_named_in_a_message(clients: Clients) -> None:
    with pytest.raises(anthropic.BadRequestError, match="temperature") as told:
        clients.message(extra_body={"temperature": 9.0})

    assert (told.value.type, len(clients.requests)) == ("invalid_request_error", ONCE)
    assert told.value.request_id


def test_a_prompt_beyond_the_window_is_told_so_and_its_third_try_is_stopped(clients: Clients) -> None:
    with pytest.raises(openai.BadRequestError) as chat:
        clients.chat(HUGE)
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long"):
        clients.message(HUGE)
    with pytest.raises(openai.PermissionDeniedError):  # some clients compact and ask again, for ever
        clients.respond(HUGE)

    assert (chat.value.code, len(clients.requests)) == ("context_length_exceeded", 3 * ONCE)


def test_a_response_beyond_the_window_is_known_by_its_code(clients: Clients, tour: Tour) -> None:
    clients.openai.api_key = tour.told["other"]
    with pytest.raises(openai.BadRequestError) as told:
        clients.respond(HUGE)

    assert (told.value.code, len(clients.requests)) == ("context_length_exceeded", ONCE)


def test_what_would_change_the_meaning_is_refused(clients: Clients) -> None:
    with pytest.raises(openai.BadRequestError) as told:
        clients.chat(**AUDIO)

    assert told.value.code == "unsupported_parameter"
    assert told.value.param in AUDIO


@pytest.mark.parametrize("ask", [Clients.chat, Clients.respond])
def test_a_wrong_key_is_not_tried_again(clients: Clients, ask: Any) -> None:
    clients.openai.api_key = "wrong"
    with pytest.raises(openai.AuthenticationError) as told:
        ask(clients)

    assert (told.value.code, len(clients.requests)) == ("invalid_api_key", ONCE)


def test_a_wrong_key_is_not_tried_again_for_a_message(clients: Clients) -> None:
    clients.anthropic.api_key = "wrong"
    with pytest.raises(anthropic.AuthenticationError) as told:
        clients.message()

    assert (told.value.type, len(clients.requests)) == ("authentication_error", ONCE)


def test_a_suspended_agent_may_not_call(clients: Clients, tour: Tour) -> None:
    clients.openai.api_key = clients.anthropic.api_key = tour.told["suspended"]
    for ask in (clients.chat, clients.respond):
        with pytest.raises(openai.PermissionDeniedError):
            ask()
    with pytest.raises(anthropic.PermissionDeniedError) as told:
        clients.message()

    assert (told.value.type, len(clients.requests)) == ("permission_error", 3 * ONCE)


def test_a_path_that_is_not_there_is_not_found(clients: Clients) -> None:
    with pytest.raises(openai.NotFoundError) as told:
        clients.openai.post("/images/generations", body={}, cast_to=object)
    with pytest.raises(anthropic.NotFoundError):
        clients.anthropic.post("/v1/complete", body={}, cast_to=object)

    assert (told.value.code, len(clients.requests)) == ("unknown_url", 2 * ONCE)


def test_a_body_that_is_too_large_is_told_so(clients: Clients) -> None:
    with pytest.raises(openai.APIStatusError) as told:
        clients.chat("x" * 9 * 2**20)

    assert (told.value.status_code, len(clients.requests)) == (413, ONCE)


def test_a_full_house_is_tried_again(clients: Clients) -> None:
    now = {"aios-max-wait": "0"}
    for ask in (clients.chat, clients.respond):
        with pytest.raises(openai.RateLimitError) as told:
            ask(model="narrow", extra_headers=now)
        assert told.value.code == "rate_limit_exceeded"
    with pytest.raises(anthropic.RateLimitError):
        clients.message(model="narrow", extra_headers=now)

    assert len(clients.requests) == 3 * THRICE


def test_one_key_for_two_different_requests_is_a_conflict(clients: Clients) -> None:
    same = {"idempotency-key": "one-key"}
    clients.chat(extra_headers=same)
    with pytest.raises(openai.ConflictError):
        clients.chat("another", extra_headers=same)

    assert len(clients.requests) == 2 * ONCE


def test_a_call_that_takes_too_long_is_not_done_again(clients: Clients) -> None:
    short = {"x-stainless-read-timeout": "1", "x-stainless-timeout": "1"}
    for ask in (clients.chat, clients.respond):
        with pytest.raises(openai.InternalServerError) as told:
            ask("SLOWTEXT errors", extra_headers=short)
        assert told.value.status_code == 504
    with pytest.raises(anthropic.APIStatusError) as late:
        clients.message("SLOWTEXT errors", extra_headers=short)

    assert (late.value.status_code, len(clients.requests)) == (504, 3 * ONCE)


def test_what_the_model_got_wrong_is_tried_again(clients: Clients) -> None:
    with pytest.raises(openai.InternalServerError) as chat:
        clients.chat("WRONGTASK", response_format=FORMAT)
    with pytest.raises(openai.InternalServerError) as response:
        clients.openai.responses.create(model="scripted", input="WRONGTASK", text={"format": FLAT})
    with pytest.raises(anthropic.InternalServerError) as wrong:
        clients.message("WRONGTASK", output_config={"format": {"type": "json_schema", "schema": SCHEMA}})

    assert {chat.value.code, response.value.code} == {"constraint_unmet"}
    assert (wrong.value.type, len(clients.requests)) == ("api_error", 3 * THRICE)


def test_a_stream_that_breaks_in_the_middle_ends_with_an_error(clients: Clients) -> None:
    with pytest.raises(openai.APIError) as chat:
        list(clients.chat("CUTTASK", model="faulty-chat", stream=True))
    *_, last = clients.respond("CUTTASK", model="faulty-responses", stream=True)
    with pytest.raises(anthropic.APIStatusError) as message:
        list(clients.message("CUTTASK", model="faulty-messages", stream=True))

    assert chat.value.code == "backend_failed"
    assert (last.type, last.response.status) == ("response.failed", "failed")
    assert message.value.type == "overloaded_error"
    assert len(clients.requests) == 3 * ONCE


def test_a_broken_model_is_not_there_for_now(clients: Clients) -> None:
    clients.openai.max_retries = clients.anthropic.max_retries = 0
    with pytest.raises(openai.InternalServerError) as chat:
        clients.chat("BROKENTASK", model="faulty-chat")
    with pytest.raises(openai.InternalServerError) as response:
        clients.respond("BROKENTASK", model="faulty-responses")
    with pytest.raises(anthropic.APIStatusError) as message:
        clients.message("BROKENTASK", model="faulty-messages")

    for told in (chat.value, response.value):
        assert (told.status_code, told.code) == (503, "backend_failed")
        assert told.response.headers["retry-after"] in {str(n) for n in range(1, 61)}
    assert (message.value.status_code, message.value.type) == (529, "overloaded_error")
