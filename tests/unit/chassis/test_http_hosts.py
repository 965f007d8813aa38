"""By which names a listener answers, and to whom not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.runtime.http_hosts import HttpHosts, is_loopback


def answers(bound: str, host: str, *told: str) -> bool:
    return HttpHosts(bound, told).problem([host], []) is None


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:80", "127.0.0.1", "127.8.8.8:1", "[::1]:80", "Localhost."]
)
def test_loopback_answers_to_loopbacks_names(host: str) -> None:
    assert answers("127.0.0.1", host)


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "127.0.0.1.example.org",
        "localhost.example.org",
        "192.0.2.1",
        "",
        ":80",
        "[::1",
        "::1",
        "[localhost]",
        "localhost:x",
        "localhost@example.org",
        "127.0.0.1,example.org",
        "0.0.0.0",
        "2130706433",
        "a" * 300,
        "locålhost",
    ],
)
def test_loopback_answers_to_nothing_else(host: str) -> None:
    assert not answers("127.0.0.1", host)


def test_an_address_answers_to_itself_and_to_what_it_was_told() -> None:
    assert answers("192.0.2.1", "192.0.2.1:7079")
    assert not answers("192.0.2.1", "192.0.2.2")
    assert answers("192.0.2.1", "engine:7079", "engine")
    assert not answers("192.0.2.1", "engine2:7079", "engine")


def test_bound_to_all_addresses_it_answers_to_every_address_and_to_no_name() -> None:
    for bound in ("0.0.0.0", "::"):
        assert answers(bound, "192.0.2.1:7079")
        assert answers(bound, "[2001:db8::1]:80")
        assert not answers(bound, "example.org")


def test_host_is_there_once() -> None:
    hosts = HttpHosts("127.0.0.1")

    assert hosts.problem([], []) is not None
    assert hosts.problem(["localhost", "localhost"], []) is not None


@pytest.mark.parametrize(("site", "refused"), [("none", False), ("cross-site", True), ("Same-Origin", True)])
def test_a_person_may_look_and_a_page_may_not(site: str, *, refused: bool) -> None:
    assert (HttpHosts("127.0.0.1").problem(["localhost"], [], [site]) is not None) is refused
    assert HttpHosts("127.0.0.1").problem(["localhost"], ["null"]) is not None


@given(st.text(max_size=40))
def test_any_text_is_judged_without_an_error(host: str) -> None:
    said = HttpHosts("127.0.0.1").problem([host], [])

    assert said is None or len(host) < 8 or host not in said


@pytest.mark.parametrize(
    ("host", "yes"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("x", False)],
)
def test_loopback_is_told_from_the_rest(host: str, *, yes: bool) -> None:
    assert is_loopback(host) is yes
