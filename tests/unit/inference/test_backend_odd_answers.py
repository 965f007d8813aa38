"""The Backend port, second part: what a driver makes of answers that are odd, harmlessly or not."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.inference.backends.sse import MAX_LINE
from gateway.inference.backends.transport import FACT_BYTES
from gateway.inference.core.evidence import MOST_TOLD, cause
from gateway.inference.errors import BackendBroken, BackendError, BackendInvalid, BackendUnavailable
from gateway.inference.model import Stopped, StopReason
from tests.fakes import fake_openai, fake_tgi
from tests.fakes.odd import OddAnswer, data
from tests.unit.inference.served import (
    HELLO,
    OpenAiServed,
    Served,
    TgiServed,
    follow,
    job,
    text_of,
)


@pytest.fixture(params=["tgi", "openai"])
async def served(request: Any) -> AsyncIterator[Served]:
    tgi = request.param == "tgi"
    async with fake_tgi.fake_tgi() if tgi else fake_openai.fake_openai() as server:
        found: Served = TgiServed(server) if isinstance(server, fake_tgi.FakeTgi) else OpenAiServed(server)
        await found.backend.info()
        yield found
        await found.backend.close()


async def test_what_is_harmless_in_a_stream_is_read_over(served: Served) -> None:
    first, last = served.events("The", " end", end="a reason of its own")
    odd = b": hello\nretry: 5\nid: 1\nevent: ping\ndata: ping\n\n" + data(
        b'{"type":"ping"}', b"null", b"[]", b'"x"', b"7", first, b'{"unknown": {"error": null}}', last
    )
    served.answer_oddly(OddAnswer(body=odd))
    items = await follow(served.backend, job(await served.backend.render(HELLO)), [])

    assert text_of(items) == "The end"
    assert isinstance(items[-1], Stopped)
    assert items[-1].reason is StopReason.END


async def test_a_surrogate_pair_over_two_events_is_joined_and_a_lone_half_replaced(served: Served) -> None:
    events = served.events("a \ud83e", "\udd17 b", " \udc00!", end="length")
    served.answer_oddly(OddAnswer(body=data(*events)))
    items = await follow(served.backend, job(await served.backend.render(HELLO)), [])

    assert text_of(items) == "a \U0001f917 b \ufffd!"


async def test_a_last_event_without_a_blank_line_is_read(served: Served) -> None:
    served.answer_oddly(OddAnswer(body=data(*served.events("The", " end", end="length")).rstrip()))
    items = await follow(served.backend, job(await served.backend.render(HELLO)), [])

    assert text_of(items) == "The end"


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json", "text/plain"])
@pytest.mark.parametrize("framing", ["lists", "in a row", "byte order mark", "carriage returns"])
async def test_events_are_read_however_a_server_frames_them(
    served: Served, framing: str, content_type: str
) -> None:
    first, second, last = served.events("The", " end", ".", end="length")
    body = data(first, second, last)
    if framing == "lists":
        body = data(b"[" + first + b"," + second + b"]", b"[" + last + b"]", b"[1]")
    elif framing == "in a row":
        body = data(first + b" " + second, last)
    elif framing == "byte order mark":
        body = b"\xef\xbb\xbf" + body
    else:
        body = body.replace(b"\n", b"\r")
    served.answer_oddly(OddAnswer(body=body, content_type=content_type))
    items = await follow(served.backend, job(await served.backend.render(HELLO)), [])

    assert text_of(items) == "The end."


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (OddAnswer(body=data(b"{not json}")), BackendBroken),
        (OddAnswer(body=data(b'{"a": ' + b"[" * 100_000)), BackendBroken),
        (OddAnswer(body=b"<html>hello</html>", content_type="text/html"), BackendBroken),
        (OddAnswer(body=b"{}", content_type="application/json"), BackendBroken),
        (OddAnswer(body=b"[1", content_type="application/json"), BackendBroken),
        (OddAnswer(body=b"data: " + b"x" * (MAX_LINE + 1)), BackendBroken),
        (OddAnswer(body=b" " * (FACT_BYTES + 1), content_type="application/json"), BackendBroken),
        (OddAnswer(status=404, body=b'{"detail": "Not Found"}'), BackendBroken),
        (OddAnswer(status=401, body=b"no"), BackendBroken),
        (OddAnswer(status=418, body=b"\xff\xfe"), BackendBroken),
        (OddAnswer(status=400, body=b'{"error": [1], "error_type": {}}'), BackendInvalid),
        (OddAnswer(status=503, body=b"\x00"), BackendUnavailable),
        (OddAnswer(status=400, body=b'[{"error": "no"}]', content_type="application/json"), BackendInvalid),
        (OddAnswer(body=b""), BackendUnavailable),
        (OddAnswer(body=data(b'{"error": "boom"}')), BackendUnavailable),
        (
            OddAnswer(body=data(b'{"error": {"message": "boom", "type": "server_error"}}')),
            BackendUnavailable,
        ),
        (OddAnswer(body=b"event: error\ndata: boom\n\n"), BackendUnavailable),
        (OddAnswer(body=b'error: {"code": 500, "message": "boom"}\n\n'), BackendUnavailable),
        (OddAnswer(body=b'{"error": "boom"}', content_type="application/json"), BackendUnavailable),
    ],
)
async def test_an_odd_answer_is_a_typed_failure(
    served: Served, answer: OddAnswer, error: type[BackendError]
) -> None:
    prompt = await served.backend.render(HELLO)
    served.answer_oddly(answer)

    with pytest.raises(error) as failure:
        await follow(served.backend, job(prompt), [])
    assert len(cause(failure.value)) <= MOST_TOLD + 3


async def test_an_answer_without_end_is_given_up(served: Served) -> None:
    [event] = served.events("x" * 4096, end=None)
    served.answer_oddly(OddAnswer(body=data(event) * 1000))
    prompt = await served.backend.render(HELLO)

    with pytest.raises(BackendBroken, match="more than"):
        await follow(served.backend, job(prompt), [])
