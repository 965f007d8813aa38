"""Programs that are MCP servers and misbehave: each costs its own calls, and nothing of it is left."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.chassis.rpc.errors import KernelError
from services.tool.core.mcp_servers import Offer
from services.tool.drivers.mcp.link import look
from services.tool.drivers.mcp.terms import Dialled, SessionLost
from services.tool.model import Progress, ToolOutcome, UnreadableResult
from tests.fakes.mcp_servers import dialler, evil
from tests.fakes.plain_sandbox import PlainSandbox

SOON = 10.0
"""Most time for a call that is not made to hang."""


class Programs:
    """Programs that a test starts."""

    def __init__(self) -> None:
        self.sandbox = PlainSandbox()
        self.opened: list[Dialled] = []

    async def dial(self, kind: str, folder: Path | None = None, **fields: Any) -> Dialled:
        """Start one and open a session."""
        made = dialler(self.sandbox, open_seconds=fields.pop("open_seconds", SOON))
        dialled = await made.dial("acme", evil(kind, folder, **fields))
        self.opened.append(dialled)
        return dialled

    async def offer(self, kind: str, folder: Path | None = None, **fields: Any) -> Offer:
        """Return what one offers."""
        return await look(await self.dial(kind, folder), evil(kind, folder, **fields))

    async def call(self, kind: str) -> ToolOutcome:
        """Call its tool."""
        return await called(await self.dial(kind))


@pytest.fixture
async def programs() -> AsyncIterator[Programs]:
    made = Programs()
    yield made
    await asyncio.gather(*(dialled.session.close() for dialled in made.opened))
    assert not made.sandbox.running


async def called(dialled: Dialled, told: list[Progress] | None = None) -> ToolOutcome:
    async with asyncio.timeout(SOON):
        return await dialled.session.call("hello", {"text": "hi"}, (told if told is not None else []).append)


pytestmark = pytest.mark.torture_tools


@pytest.mark.parametrize(
    "kind", ["good", "invalid", "junk-first", "answers-twice", "stderr", "flood-progress"]
)
async def test_what_is_only_odd_does_its_work(programs: Programs, kind: str) -> None:
    outcome = await programs.call(kind)

    assert outcome.value in ({"result": "hi"}, {"result": "first"})


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("dies", "ended"),
        ("babbles", "does not speak MCP"),
        ("no-line", "bytes"),
        ("big", "bytes"),
        ("huge", "bytes"),
        ("flood", "in a second"),
        ("flood-requests", "asked more than"),
        ("blank-lines", "in a second"),
        ("values", "values"),
    ],
)
async def test_what_breaks_a_bound_is_cut_off_and_the_reason_is_told(
    programs: Programs, kind: str, why: str
) -> None:
    dialled = await programs.dial(kind)

    with pytest.raises(SessionLost, match=why):
        await called(dialled)
    assert not dialled.session.lives


@pytest.mark.parametrize("kind", ["hangs", "ignores-cancel", "wrong-id", "surrogates"])
async def test_what_does_not_answer_is_left_in_time_and_ended(programs: Programs, kind: str) -> None:
    dialled = await programs.dial(kind)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await dialled.session.call("hello", {}, lambda _: None)

    assert not await dialled.session.obeyed(0.2)
    await dialled.session.close()
    assert not programs.sandbox.running


async def test_what_obeys_a_cancellation_goes_on(programs: Programs) -> None:
    dialled = await programs.dial("obeys-cancel")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await dialled.session.call("hello", {}, lambda _: None)

    assert await dialled.session.obeyed(SOON)
    assert dialled.session.lives


@pytest.mark.parametrize("kind", ["fails", "error"])
async def test_a_failure_in_the_servers_words_is_the_tools(programs: Programs, kind: str) -> None:
    outcome = await programs.call(kind)

    assert outcome.error is not None
    assert outcome.error.message == "out of paper"


@pytest.mark.parametrize("kind", ["not-a-result", "deep-result", "bad-piece"])
async def test_a_result_that_is_none_is_no_result(programs: Programs, kind: str) -> None:
    assert isinstance((await programs.call(kind)).value, UnreadableResult)


async def test_a_result_of_thousands_of_pieces_is_refused_before_it_is_read(programs: Programs) -> None:
    outcome = await programs.call("pieces")

    assert outcome.error is not None
    assert "parts" in outcome.error.message


@pytest.mark.parametrize("kind", ["asks", "asks-roots"])
async def test_a_server_that_asks_for_a_model_or_for_folders_is_refused(
    programs: Programs, kind: str
) -> None:
    assert "not supported" in (await programs.call(kind)).value["result"]


async def test_a_catastrophic_pattern_in_a_servers_schema_stalls_nobody(programs: Programs) -> None:
    dialled = await programs.dial("catastrophic")
    offer = await look(dialled, evil("catastrophic"))

    outcome = await called(dialled)

    assert [one.tool for one in offer.definitions] == ["hello"]
    assert outcome.value == {"x": "a" * 40 + "!"}


async def test_links_and_files_are_told_as_text_and_pictures_are_pieces(programs: Programs) -> None:
    outcome = await programs.call("links")

    assert outcome.value == "[link: secrets: file:///etc/passwd]\ninside"
    assert [(piece.media_type, piece.uri) for piece in outcome.pieces] == [("image/png", "")]


async def test_progress_is_told_with_numbers_that_can_be_and_nothing_hidden(programs: Programs) -> None:
    told: list[Progress] = []
    await called(await programs.dial("odd-progress"), told)

    assert told == [Progress(0.0, 1e12, "half\\u{202e}")]


@pytest.mark.parametrize("kind", ["dies-at-start", "old", "hangs-at-start"])
async def test_what_does_not_begin_a_session_is_told_and_ended(programs: Programs, kind: str) -> None:
    seconds = 0.5 if kind == "hangs-at-start" else SOON

    with pytest.raises(KernelError) as error:
        await programs.dial(kind, open_seconds=seconds)

    assert error.value.reason == "MCP_SERVER_FAILED"
    assert not programs.sandbox.running


@pytest.mark.parametrize("kind", ["many", "list-fails"])
async def test_a_list_that_cannot_be_read_fails(programs: Programs, kind: str) -> None:
    with pytest.raises(KernelError) as error:
        await programs.offer(kind)

    assert error.value.reason == "MCP_SERVER_FAILED"


async def test_a_list_without_end_is_read_eight_pages_far(programs: Programs) -> None:
    offer = await programs.offer("endless")

    assert len(offer.definitions) == 8
    assert "does not end" in offer.passed_over[0]


@pytest.mark.parametrize(
    ("kind", "taken", "why"),
    [
        ("names", ["calculator", "ok"], "characters"),
        ("twice-listed", ["other"], "case"),
        ("remote-input", [], "references"),
        ("remote-output", [], "references"),
        ("hidden-argument", [], "cannot be seen"),
        ("hidden-value", [], "cannot be seen"),
        ("deep", [], "deeper"),
    ],
)
async def test_tools_that_cannot_be_taken_are_told(
    programs: Programs, kind: str, taken: list[str], why: str
) -> None:
    offer = await programs.offer(kind)

    assert [one.tool for one in offer.definitions] == taken
    assert any(why in text for text in offer.passed_over)


async def test_a_server_offers_no_more_than_can_be_looked_at(programs: Programs) -> None:
    offer = await programs.offer("large")

    assert 0 < len(offer.definitions) < 20
    assert "too much" in offer.passed_over[0]


async def test_a_program_gets_its_own_environment_and_secrets_only(programs: Programs) -> None:
    outcome = await programs.call("environment")

    assert set(json.loads(outcome.value["result"])) <= {"PATH", "OPENSSL_CONF", "LC_CTYPE"}
