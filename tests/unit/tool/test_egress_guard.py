"""The guard against spellings, names, redirects and servers that mean ill. Loopback alone is reached."""

import asyncio
import gzip
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.tool.core.egress import EgressRequest, EgressResponse, OriginPattern, Route, redirected
from services.tool.core.urls import read_url
from services.tool.egress.exchange import Outgoing, exchange
from services.tool.egress.gates import Gate
from services.tool.egress.names import MOST_OF_TENANT, SystemLookup
from services.tool.errors import EgressDenied, EgressFailed, ResultInvalid, ToolTimeout
from tests.fakes.spellings import PORT, URLS
from tests.fakes.waiting import until
from tests.fakes.web import TLS, Asked, WayOut, Web, plain, to, way_out, web

TABLE = {
    "public.example.com": ["93.184.216.34"],
    "private.example.com": ["10.0.0.5"],
    "mixed.example.com": ["93.184.216.34", "127.0.0.1"],
    "six.example.com": ["fd00::1"],
    "mapped.example.com": ["::ffff:93.184.216.34"],
    "many.example.com": [f"93.184.{n}.1" for n in range(65)],
    "rebind.example.com": ["127.0.0.1"],
    "kubernetes.default.svc": ["10.96.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
}


@pytest.fixture
async def server() -> AsyncIterator[Web]:
    """Run a server on loopback."""
    async with web() as made:
        yield made
        await until(lambda: not made.open)


def request(url: str, method: str = "GET", **fields: Any) -> EgressRequest:
    """Return a request of a tool of acme."""
    fields = {"max_bytes": 1 << 20, "seconds": 5.0, **fields}
    return EgressRequest(tenant="acme", method=method, url=url, **fields)


async def rule(way: WayOut, sent: EgressRequest) -> str:
    """Return the rule by which a request is refused."""
    with pytest.raises(EgressDenied) as refused:
        await way.guard.fetch(sent)
    return refused.value.metadata["rule"]


async def got(way: WayOut, url: str, **fields: Any) -> EgressResponse:
    """Fetch a URL."""
    return await way.guard.fetch(request(url, **fields))


def open_way(port: int = PORT) -> WayOut:
    """Make a guard for which every public address is allowed at some ports."""
    made = way_out(["http://*", "https://*", f"http://*:{port}"])
    made.names.table.update(TABLE)
    made.names.table.update({host: ["127.0.0.1"] for host in ("localhost", "localhost.", "foo.localhost")})
    return made


@pytest.mark.parametrize("url", URLS)
async def test_a_spelling_that_leads_inside_is_refused_before_a_socket_is_made(url: str) -> None:
    way = open_way()

    assert await rule(way, request(url))
    assert way.sockets.wanted == []


async def test_what_is_allowed_is_connected_to() -> None:
    way = open_way()

    with pytest.raises(EgressFailed):
        await got(way, f"http://public.example.com:{PORT}/")

    assert way.sockets.wanted == ["93.184.216.34"]


async def test_the_url_is_judged_before_any_name_is_looked_up() -> None:
    way = open_way()

    for url in (
        "http://private.example.com:22/",
        "ftp://private.example.com/",
        "http://a@private.example.com/",
    ):
        await rule(way, request(url))

    assert way.names.asked == []


async def test_a_literal_address_is_refused_without_being_asked_for_a_socket() -> None:
    way = open_way()

    with pytest.raises(EgressDenied):
        await way.guard.check("acme", "http://10.0.0.1/")


async def test_one_forbidden_address_refuses_the_whole_name() -> None:
    way = open_way()

    assert await rule(way, request("http://mixed.example.com/")) == "address"
    assert way.sockets.wanted == []


async def test_a_name_that_is_not_and_one_that_leads_inside_are_refused_in_the_same_words() -> None:
    way, told = open_way(), []
    for host in ("none.example.com", "private.example.com"):
        with pytest.raises(EgressDenied) as refused:
            await got(way, f"http://{host}/")
        told.append(refused.value.message.replace(host, ""))

    assert told[0] == told[1]


async def test_a_name_is_looked_up_once_and_connected_to_as_it_was_judged(server: Web) -> None:
    way = to(server, host="ok.example.com")
    way.names.turns["ok.example.com"] = [["127.0.0.1"], ["10.0.0.1"]]

    await got(way, server.url(host="ok.example.com"))

    assert way.names.asked == ["ok.example.com"]
    assert way.sockets.wanted == ["127.0.0.1"]


async def test_an_address_that_no_resolver_sees_is_judged_when_its_socket_is_made(server: Web) -> None:
    way = open_way(server.port)
    inside = read_url(server.url())
    gate = Gate("acme", Route(inside.origin), way.names, way.sockets)

    with pytest.raises(EgressDenied):
        async with exchange(gate, TLS, Outgoing(inside, "GET", {})):
            pass

    assert way.sockets.wanted == []
    assert server.asked == []


async def test_an_answer_comes_back_with_what_it_says_of_itself(server: Web) -> None:
    server.answers["/a"] = plain(
        "gr\u00fc\u00df".encode("latin-1"), "Text/Plain; charset=latin-1", "404 Not Found"
    )

    answer = await got(to(server), server.url("/a?x=%2F&y"))

    assert (answer.status, answer.media_type, answer.charset) == (404, "text/plain", "latin-1")
    assert answer.body.decode(answer.charset) == "gr\u00fc\u00df"
    assert server.asked[0].target == "/a?x=%2F&y"
    assert server.asked[0].headers["accept-encoding"] == "identity"


async def test_a_body_and_the_tools_headers_are_sent(server: Web) -> None:
    headers, secrets = {"X-Team": "a"}, {"Authorization": "Bearer s3"}

    await got(
        to(server), server.url(), method="POST", body=b"{}", media_type="application/json", headers=headers,
        secret_headers=secrets,
    )  # fmt: skip

    asked = server.asked[0]
    assert (asked.method, asked.body, asked.headers["content-type"]) == ("POST", b"{}", "application/json")
    assert (asked.headers["x-team"], asked.headers["authorization"]) == ("a", "Bearer s3")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "a"),
        ("content-length", "3"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("X Y", "a"),
        ("X:", "a"),
        ("", "a"),
        ("X-A", "a\r\nX-B: c"),
        ("X-A", "a\n"),
        ("X-A", "\0"),
        ("X-A", "\u2028"),
        ("Te", "a"),
    ],
)
async def test_a_header_that_says_where_a_request_goes_or_ends_is_refused(
    server: Web, name: str, value: str
) -> None:
    assert await rule(to(server), request(server.url(), headers={name: value})) == "header"
    assert await rule(to(server), request(server.url(), secret_headers={name: value})) == "header"
    assert server.asked == []


async def test_no_proxy_of_the_environment_and_no_cookie_is_used(
    server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.answers["/"] = plain(b"{}", more="Set-Cookie: a=b; Path=/\r\nSet-Cookie: c=d\r\n")
    way = to(server)

    await got(way, server.url())
    await got(way, server.url())

    assert [("cookie" in asked.headers) for asked in server.asked] == [False, False]


def leads(location: str, status: str = "302 Found") -> bytes:
    """Return a redirect."""
    return plain(b"", status=status, more=f"Location: {location}\r\n")


async def test_a_redirect_is_followed_to_where_it_leads(server: Web) -> None:
    server.answers |= {"/a": leads("b?c"), "/b": plain(b"7")}

    answer = await got(to(server), server.url("/a"), secret_headers={"Authorization": "k"})

    assert (answer.body, answer.url) == (b"7", server.url("/b?c"))
    assert server.asked[1].headers["authorization"] == "k"


async def test_three_redirects_are_followed_and_not_a_fourth(server: Web) -> None:
    server.answers |= {f"/{n}": leads(f"/{n + 1}") for n in range(5)}
    server.answers["/loop"] = leads("/loop")
    way = to(server)

    assert (await got(way, server.url("/2"))).status == 200
    assert await rule(way, request(server.url("/0"))) == "redirect"
    server.asked.clear()
    assert await rule(way, request(server.url("/loop"))) == "redirect"
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "location",
    [
        "http://10.0.0.1/",
        "//10.0.0.1/",
        "http://private.example.com/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/",
        "http://a@public.example.com/",
        "http://[::1]/",
        "http://127.1/",
        "\\\\127.0.0.1\\x",
        "http://public.example.com:22/",
    ],
)
async def test_a_redirect_passes_every_gate_like_a_first_request(server: Web, location: str) -> None:
    server.answers["/a"] = leads(location)
    way = way_out(["http://*"], [f"http://127.0.0.1:{server.port} 127.0.0.1/32"])
    way.names.table.update(TABLE)

    assert await rule(way, request(server.url("/a")))
    assert way.sockets.wanted == ["127.0.0.1"]


async def test_the_tools_headers_stay_with_the_origin_they_were_meant_for(server: Web) -> None:
    async with web() as other:
        server.answers["/a"] = leads(other.url("/b"))
        way = way_out(
            internal=[f"http://127.0.0.1:{port} 127.0.0.1/32" for port in (server.port, other.port)]
        )

        await got(way, server.url("/a"), headers={"X-Key": "1"}, secret_headers={"Authorization": "k"})

    assert server.asked[0].headers["authorization"] == "k"
    assert not {"authorization", "x-key"} & set(other.asked[0].headers)


@pytest.mark.parametrize(
    ("status", "method"), [("302 Found", "PUT"), ("307 Temporary", "POST"), ("308 P", "DELETE")]
)
async def test_arguments_are_not_redirected_to_another_origin(server: Web, status: str, method: str) -> None:
    async with web() as other:
        server.answers["/a"] = leads(other.url("/b"), status)
        way = way_out(
            internal=[f"http://127.0.0.1:{port} 127.0.0.1/32" for port in (server.port, other.port)]
        )

        assert await rule(way, request(server.url("/a"), method, body=b"{}")) == "redirect"

        assert other.asked == []


async def test_after_see_other_the_answer_is_fetched_without_the_arguments(server: Web) -> None:
    server.answers["/a"] = leads("/b", "303 See Other")

    await got(to(server), server.url("/a"), method="POST", body=b"{}", media_type="application/json")

    assert [(asked.method, asked.body) for asked in server.asked] == [("POST", b"{}"), ("GET", b"")]
    assert "content-type" not in server.asked[1].headers


def test_no_redirect_leaves_tls() -> None:
    with pytest.raises(EgressDenied):
        redirected(read_url("https://example.com/"), read_url("http://example.com/"), "GET", b"")


@pytest.mark.parametrize(
    "more", ["Content-Encoding: gzip\r\n", "Content-Encoding: identity, br\r\n", "Content-Encoding: GZIP\r\n"]
)
async def test_a_compressed_body_is_refused_unread(server: Web, more: str) -> None:
    server.answers["/"] = plain(gzip.compress(b"\0" * (8 << 20)), more=more)

    assert await rule(to(server), request(server.url())) == "encoding"


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_large_is_cut_off(server: Web, *, declared: bool) -> None:
    sent = 0

    async def endless(_asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        length = "Content-Length: 999999999\r\n" if declared else ""
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{length}\r\n".encode())
        while sent < 64 << 20:
            writer.write(b"x" * 65536)
            sent += 65536
            await writer.drain()

    server.answers["/"] = endless

    with pytest.raises(ResultInvalid):
        await got(to(server), server.url(), max_bytes=1000)

    await until(lambda: not server.open)
    assert sent < 64 << 20


async def drip(_asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Answer a byte at a time, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def drip_head(_asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Never end the head of the answer, nor the answers before it."""
    while not writer.is_closing():
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("answer", [drip, drip_head])
async def test_one_deadline_holds_over_all_of_a_request(server: Web, answer: Any) -> None:
    server.answers["/"] = answer

    with pytest.raises(ToolTimeout):
        await got(to(server), server.url(), seconds=0.2)

    await until(lambda: not server.open)


async def test_a_request_that_is_cancelled_ends_its_connection(server: Web) -> None:
    server.answers["/"] = drip
    asking = asyncio.create_task(got(to(server), server.url(), seconds=60.0))
    await until(lambda: bool(server.open))

    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: not server.open)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"X: " + b"a" * 9000 + b"\r\n\r\nok",
        HEAD + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"\r\nok",
        b"HTTP/1.1 200 " + b"a" * 9000 + b"\r\n\r\n",
        b"220 mail.example.com ESMTP\r\n",
        b"+PONG\r\n",
        b"",
        b"HTTP/1.1 99999 Odd\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        HEAD + b"Content-Length: -1\r\n\r\nabcd",
        HEAD + b"Content-Length: 10\r\n\r\nabc",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ],
    ids=range(13),
)
async def test_an_answer_that_is_no_whole_http_is_the_servers_failure(server: Web, answer: bytes) -> None:
    server.answers["/"] = answer

    with pytest.raises(EgressFailed) as failed:
        await got(to(server), server.url())

    assert "127.0.0.1" not in failed.value.message


async def test_a_media_type_that_is_not_wanted_is_refused(server: Web) -> None:
    server.answers["/"] = plain(b"MZ", "application/octet-stream")

    assert await rule(to(server), request(server.url(), accepts=("text/*",))) == "media_type"


async def test_how_requests_end_is_counted(server: Web) -> None:
    way = to(server)

    await got(way, server.url())
    await rule(way, request("http://10.0.0.1/"))

    assert way.meter.counts["sent"] == 2


async def test_an_administrators_rules_hold_from_the_next_request_on(server: Web) -> None:
    way = to(server)
    await got(way, server.url())

    way.rules.of["acme"] = (OriginPattern.read("https://api.example.com"),)

    assert await rule(way, request(server.url())) == "tenant"


async def test_slow_name_servers_hold_up_their_own_tenant_only() -> None:
    held = threading.Event()
    waiting = 0

    def resolve(host: str, _port: int) -> list[str]:
        nonlocal waiting
        if host == "slow":
            waiting += 1
            held.wait(30)
        return ["93.184.216.34"]

    lookup = SystemLookup(resolve)
    try:
        slow = [asyncio.create_task(lookup("acme", "slow", 80)) for _ in range(MOST_OF_TENANT)]
        await until(lambda: waiting == MOST_OF_TENANT)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)

        with pytest.raises(EgressFailed):
            await lookup("acme", "quick", 80)
        assert await lookup("other", "quick", 80) == ["93.184.216.34"]
    finally:
        held.set()
        lookup.close()


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_NONAME, "x"), UnicodeError("x")])
async def test_a_name_that_is_not_has_no_addresses(error: Exception) -> None:
    def resolve(_host: str, _port: int) -> list[str]:
        raise error

    lookup = SystemLookup(resolve)

    assert await lookup("acme", "x.example.com", 80) == []
    lookup.close()


async def test_the_systems_resolver_knows_loopback() -> None:
    lookup = SystemLookup()

    assert "127.0.0.1" in await lookup("acme", "127.0.0.1", 80)
    lookup.close()


async def test_a_server_that_does_not_prove_who_it_is_is_not_spoken_to() -> None:
    heard = b""

    async def plainly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        writer.write(plain(b"{}"))
        heard += await reader.read(65536)
        writer.close()

    server = await asyncio.start_server(plainly, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    way = way_out(internal=[f"https://127.0.0.1:{port} 127.0.0.1/32"])

    with pytest.raises(EgressFailed):
        await got(way, f"https://127.0.0.1:{port}/", secret_headers={"Authorization": "canary"})

    assert b"canary" not in heard
    server.close()


async def test_requests_of_a_tenant_wait_for_one_another_and_not_for_those_of_others(
    server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.tool.egress.guard.MOST_OF_TENANT", 1)
    server.answers["/slow"] = drip
    way = to(server)
    first = asyncio.create_task(got(way, server.url("/slow"), seconds=60.0))
    await until(lambda: bool(server.open))

    with pytest.raises(ToolTimeout):
        await got(way, server.url(), seconds=0.1)
    other = await way.guard.fetch(
        EgressRequest(tenant="b", method="GET", url=server.url(), max_bytes=9, seconds=5)
    )

    assert other.status == 200
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert (await got(way, server.url())).status == 200
