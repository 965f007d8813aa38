"""The console's rules on values: guesses, cookies, codes, and what waits for a browser."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.console.core import cookies
from gateway.http.console.core.guesses import Guesses
from gateway.http.console.core.outbox import Outbox
from gateway.http.console.model import Issued
from gateway.http.console.service.codes import Codes
from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.rpc.errors import CredentialInvalid
from tests.fakes.clock import FakeClock


def test_an_address_guesses_so_often_and_all_together_so_often() -> None:
    guesses = Guesses(per_address=2, of_all=3, seconds=60.0)
    guesses.begin("a", 0.0)
    guesses.begin("a", 1.0)
    with pytest.raises(TooManyCalls) as refused:
        guesses.begin("a", 2.0)
    assert refused.value.retry_after == 58.0
    guesses.begin("b", 2.0)
    with pytest.raises(TooManyCalls):
        guesses.begin("c", 3.0)
    guesses.begin("a", 61.0)


def test_what_was_right_is_no_guess() -> None:
    guesses = Guesses(per_address=1, of_all=1, seconds=60.0)
    for _ in range(5):
        guesses.begin("a", 0.0)
        guesses.right("a")


@given(st.text())
def test_any_cookie_is_read_or_is_none(value: str) -> None:
    found = cookies.unpack(value)
    assert found is None or not cookies.is_sealed("secret", found, "acme/a/s")


@given(st.integers(0, 10**11), st.text(min_size=1, max_size=60))
def test_a_cookie_holds_when_its_session_began(began: int, session: str) -> None:
    kept = cookies.unpack(cookies.pack("secret", began, session, "a.b.c"))
    assert kept is not None
    assert (kept.began, kept.token) == (began, "a.b.c")
    assert cookies.is_sealed("secret", kept, session)
    assert not cookies.is_sealed("secret", kept, session + "x")
    assert not cookies.is_sealed("other", kept, session)


def test_a_token_that_no_browser_would_keep_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        cookies.pack("secret", 1, "s", "a" * 5000)


def test_codes_count_once_for_a_minute_and_the_oldest_give_way() -> None:
    clock = FakeClock()
    codes = Codes(clock)
    code = codes.make(Issued("t"))
    assert codes.take(code).token == "t"
    with pytest.raises(CredentialInvalid):
        codes.take(code)
    late = codes.make(Issued("t"))
    clock.advance(60)
    with pytest.raises(CredentialInvalid):
        codes.take(late)
    first = codes.make(Issued("t"))
    for _ in range(256):
        codes.make(Issued("t"))
    with pytest.raises(CredentialInvalid):
        codes.take(first)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40)), max_size=60))
def test_what_finds_no_room_is_counted_and_the_rest_is_told_in_order(puts: list[tuple[str, int]]) -> None:
    box = Outbox(most_bytes=64, most_events=8)
    for n, (topic, size) in enumerate(puts):
        box.put(topic, json.dumps([n, "x" * size]).encode())
        assert box.count <= 8
    told = dict(json.loads(box.take() or b"[]"))
    kept = {topic: [each[0] for each in events] for topic, events in told.items()}
    for topic in "ab":
        mine = [n for n, (each, _) in enumerate(puts) if each == topic]
        assert len(kept.get(topic, [])) + box.lost.get(topic, 0) == len(mine)
        assert kept.get(topic, []) == sorted(kept.get(topic, []))
    assert (box.size, box.count, box.take()) == (0, 0, b"")
