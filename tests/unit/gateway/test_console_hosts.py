"""Which names and pages the console answers to."""

import pytest

from gateway.http.console.core.hosts import Hosts, Origin, foreign, parse
from gateway.http.console.settings import ConsoleSettings, wanted

HOSTS = Hosts(["https://console.example", "https://other.example:8443"])
HERE = Origin("http", "localhost", 7090)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7090", "localhost:7090", "[::1]:7090", "localhost:8080", "LOCALHOST"]
)
def test_loopbacks_names_count_at_any_port(host: str) -> None:
    found = HOSTS.origin([host], tls=False)

    assert found is not None
    assert found.loopback


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        ["localhost", "localhost"],
        ["evil.example:7090"],
        ["127.0.0.1.evil.example"],
        ["127.0.0.1@evil.example"],
        ["evil.example#@localhost"],
        ["localhost:0"],
        ["localhost:x"],
        ["[::1"],
        ["local host"],
        ["lоcalhost"],  # noqa: RUF001 - another alphabet's o
        ["10.0.0.7:7090"],
        [""],
        ["localhost" + "a" * 300],
    ],
)
def test_other_names_do_not_count(hosts: list[str]) -> None:
    assert HOSTS.origin(hosts, tls=False) is None
    assert HOSTS.origin(hosts, tls=True) is None


def test_a_configured_name_counts_over_tls_alone() -> None:
    assert HOSTS.origin(["console.example"], tls=False) is None
    assert HOSTS.origin(["console.example"], tls=False, forwarded="http") is None
    for found in (
        HOSTS.origin(["console.example"], tls=True),
        HOSTS.origin(["console.example:443"], tls=False, forwarded="https"),
    ):
        assert found is not None
        assert found.text == "https://console.example"
    assert HOSTS.origin(["other.example"], tls=True) is None
    assert HOSTS.origin(["other.example:8443"], tls=True) is not None


@pytest.mark.parametrize(
    ("origins", "sites", "refused"),
    [
        ([], [], False),
        ([], ["none"], False),
        (["http://localhost:7090"], ["same-origin"], False),
        (["http://localhost:7091"], ["same-site"], True),
        (["http://localhost:7091"], [], True),
        (["null"], [], True),
        (["https://localhost:7090"], [], True),
        ([], ["cross-site"], True),
        ([], ["same-origin", "cross-site"], True),
    ],
)
def test_pages_of_other_origins_are_told_apart(origins: list[str], sites: list[str], refused: bool) -> None:  # noqa: FBT001
    assert foreign(HERE, origins, sites) is refused


@pytest.mark.parametrize(
    "text", ["console.example", "http://console.example", "https://", "https://a/b", "https://a,b"]
)
def test_an_origin_that_is_none_or_not_https_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError, match="no origin"):
        ConsoleSettings(origins=(text,))
    assert parse("https://console.example:8443").port == 8443


def test_by_default_the_console_is_there_on_loopback_and_where_it_has_an_address() -> None:
    named = ConsoleSettings(origins=("https://console.example",))
    assert wanted("auto", ConsoleSettings(), "127.0.0.1")
    assert not wanted("auto", ConsoleSettings(), "0.0.0.0")
    assert wanted("auto", named, "0.0.0.0")
    assert wanted("on", ConsoleSettings(), "0.0.0.0")
    assert not wanted("off", named, "127.0.0.1")
    with pytest.raises(ValueError, match="expected on, off or auto"):
        wanted("maybe", named, "127.0.0.1")
