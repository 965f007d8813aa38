"""Which addresses, URLs and origins the guard lets through, without any network."""

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.tool.config import ToolConfig
from services.tool.core.addresses import SPECIAL_V4, SPECIAL_V6, read_address, why_not_public
from services.tool.core.egress import (
    EgressPolicy,
    InternalTarget,
    OperatorRules,
    OriginPattern,
    check_url,
    takes,
)
from services.tool.core.urls import joined, read_url
from services.tool.errors import EgressDenied

PUBLIC = ("8.8.8.8", "1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1", "2a00:1450::1")
EMBEDDED = (
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "2001:0:7f00:1::",
    "2001:0:808:808::",
)
OTHERS = (
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "100::1",
    "5f00::1",
    "4000::1",
    "2001:db8::1",
    "3fff::1",
    "192.0.0.192",
    "192.88.99.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "255.255.255.255",
)


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_public(text: str) -> None:
    assert why_not_public(ipaddress.ip_address(text)) == ""


@pytest.mark.parametrize("text", EMBEDDED + OTHERS)
def test_addresses_that_are_no_place_on_the_internet_are_refused(text: str) -> None:
    assert why_not_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", [*SPECIAL_V4, *SPECIAL_V6])
def test_every_special_purpose_network_is_refused_from_its_first_to_its_last_address(text: str) -> None:
    network = ipaddress.ip_network(text)

    assert why_not_public(network[0])
    assert why_not_public(network[-1])


@given(st.ip_addresses())
def test_whatever_the_standard_library_knows_as_not_global_is_refused(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert why_not_public(address)


@given(st.ip_addresses(v=4))
def test_no_form_of_ipv6_that_holds_an_ipv4_address_is_public(four: ipaddress.IPv4Address) -> None:
    number = int(four)
    forms = (
        number,
        0xFFFF << 32 | number,
        0xFFFF << 48 | number,
        0x64FF9B << 96 | number,
        0x64FF9B0001 << 80 | number,
        0x2002 << 112 | number << 80,
        0x20010000 << 96 | number << 64,
        0x20010000 << 96 | (number ^ 0xFFFFFFFF),
    )

    assert all(why_not_public(ipaddress.IPv6Address(form)) for form in forms)


@pytest.mark.parametrize(
    "text", ["fe80::1%eth0", "2606:4700::1%1", "127.1", "0x7f.0.0.1", "", "name", "1.2.3.04"]
)
def test_what_is_not_one_plain_address_is_none(text: str) -> None:
    assert read_address(text) is None


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("http://example.com", "http://example.com/"),
        ("HTTP://EXAMPLE.com:80/a?b=c#d", "http://example.com/a?b=c"),
        ("https://example.com:8443?x", "https://example.com:8443/?x"),
        ("https://xn--bcher-kva.example.com/%0d%0a", "https://xn--bcher-kva.example.com/%0d%0a"),
        ("https://[2606:4700:0:0::1]/", "https://[2606:4700::1]/"),
        ("https://8.8.8.8/a/../b", "https://8.8.8.8/a/../b"),
    ],
)
def test_a_plain_url_is_read_in_its_one_spelling(text: str, read: str) -> None:
    assert str(read_url(text)) == read


@given(st.text(max_size=60) | st.from_regex(r"https?://[a-z0-9.:\[\]@%\\/#?-]{0,40}", fullmatch=True))
@example("http://a.b\n")
def test_every_text_is_read_or_refused_and_what_is_read_reads_the_same_again(text: str) -> None:
    try:
        url = read_url(text)
    except EgressDenied:
        return
    assert read_url(str(url)) == url
    assert url.address is None or str(url.address) == url.origin.host


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "javascript:1", "//127.1/", "http://a@b.c/", "\\\\h", "http://[::", "h\u00f6"],
)
def test_a_redirect_to_what_is_no_plain_url_is_refused(location: str) -> None:
    with pytest.raises(EgressDenied):
        joined(read_url("https://example.com/a"), location)


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        (
            "https://api.example.com",
            ["https://api.example.com/x"],
            ["http://api.example.com/", "https://example.com/"],
        ),
        (
            "https://*.example.com",
            ["https://a.b.example.com/"],
            ["https://example.com/", "https://badexample.com/", "https://a.example.com:444/"],
        ),
        (
            "http://*:8080",
            ["http://any.example.org:8080/"],
            ["http://any.example.org/", "https://any.example.org:8080/"],
        ),
        ("https://[2606:4700::1]", ["https://[2606:4700:0::1]/"], ["https://[2606:4700::2]/"]),
    ],
)
def test_a_pattern_covers_its_scheme_host_and_port_alone(
    pattern: str, inside: list[str], outside: list[str]
) -> None:
    read = OriginPattern.read(pattern)

    assert all(read.covers(read_url(url).origin) for url in inside)
    assert not any(read.covers(read_url(url).origin) for url in outside)


@pytest.mark.parametrize(
    "text",
    [
        "example.com",
        "ftp://a.b",
        "https://",
        "https://*.*",
        "https://a*.b",
        "https://*.10.0.0.1",
        "https://127.1",
        "https://a.b:0",
        "https://a.b:99999",
        "https://a.b:x",
        "https://a.b/path",
        "https://u@a.b",
        "https://*.",
        "*",
    ],
)
def test_what_is_no_pattern_of_origins_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        OriginPattern.read(text)


@pytest.mark.parametrize(
    "text",
    [
        "http://wiki.lan",
        "http://*.lan 10.0.0.0/8",
        "http://wiki.lan 0.0.0.0/0",
        "http://wiki.lan ::/0",
        "http://w x",
        "http://wiki.lan 10.0.0.1/8",
        "http://wiki.lan 10.0.0.0/8 acme more",
    ],
)
def test_an_internal_target_is_one_origin_and_a_network_of_some_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        InternalTarget.read(text)


def policy(*allowed: str, internal: tuple[str, ...] = (), tenant: str = "acme") -> EgressPolicy:
    """Return what an operator's rules leave a tenant."""
    return OperatorRules.read(allowed, internal).policy(tenant, None)


def refusal(made: EgressPolicy, url: str) -> str:
    """Return the rule by which a URL is refused; empty: it is not."""
    try:
        check_url(made, url)
    except EgressDenied as error:
        return error.metadata["rule"]
    return ""


def test_nothing_is_reached_unless_the_operator_allows_it() -> None:
    assert refusal(policy(), "https://example.com/") == "operator"
    assert refusal(policy("https://*"), "https://example.com/") == ""
    assert refusal(policy("https://*"), "http://example.com/") == "operator"


def test_administrators_of_a_tenant_narrow_what_the_operator_allows_and_never_widen_it() -> None:
    rules = OperatorRules.read(["https://*.example.com"], [])
    narrowed = tuple(map(OriginPattern.read, ("https://a.example.com", "https://example.org")))
    made = rules.policy("acme", narrowed)

    assert refusal(made, "https://a.example.com/") == ""
    assert refusal(made, "https://b.example.com/") == "tenant"
    assert refusal(made, "https://example.org/") == "operator"


def test_an_internal_target_opens_its_own_network_and_no_other_to_its_own_tenant() -> None:
    rules = ("http://wiki.internal:8080 10.1.0.0/16 acme",)
    made = policy("http://*:8080", internal=rules)
    _, route = check_url(made, "http://wiki.internal:8080/")

    assert route.permits("10.1.2.3", 8080)
    assert not route.permits("10.2.0.1", 8080)
    assert not route.permits("10.1.2.3", 22)
    assert not route.permits("8.8.8.8", 8080)
    assert (
        refusal(policy("http://*:8080", internal=rules, tenant="other"), "http://wiki.internal:8080/")
        == "host"
    )
    assert refusal(made, "http://10.1.2.3:8080/") == "address"


@pytest.mark.parametrize(
    "host", ["localhost", "a.localhost", "printer", "db.internal", "router.home.arpa", "x.local"]
)
def test_names_that_are_nobodys_on_the_internet_are_not_even_looked_up(host: str) -> None:
    assert refusal(policy("http://*"), f"http://{host}/") == "host"


def test_media_types_are_taken_by_name_family_or_structure() -> None:
    accepts = ("application/json", "*/*+json", "text/*")

    assert takes(accepts, "application/problem+json")
    assert takes(accepts, "text/html")
    assert not takes(accepts, "application/octet-stream")
    assert not takes(accepts, "")
    assert takes((), "")


@pytest.mark.parametrize(
    "bad", [{"egress_allow": ("example.com",)}, {"egress_internal": ("http://w.lan 0.0.0.0/0",)}]
)
def test_rules_that_are_none_stop_the_process_at_its_start(bad: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match=r"example|/0"):
        ToolConfig(**bad)  # type: ignore[arg-type]
