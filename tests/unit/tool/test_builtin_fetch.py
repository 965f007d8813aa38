"""The built-in tool that reads the web."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.auth.identity import Scope
from services.tool.drivers.builtin.catalog import TOOLS
from services.tool.drivers.builtin.html_text import readable
from services.tool.errors import EgressDenied, ResultInvalid, ToolFailed
from services.tool.model import Effect
from tests.fakes.tool_jobs import Bench
from tests.fakes.waiting import until
from tests.fakes.web import Web, plain, to, way_out, web

PAGE = b"""<!doctype html><html><head><title>A  <!-- x --> page</title><style>p{}</style>
<script>secret()</script></head><body><h1>Head</h1><p>One&nbsp;&amp; <b>two</b><br>three</p>
<script>if (a < b) {}</script>
<ul><li>x<li>y</ul><template>no</template><svg><text>no</text></svg></body></html>"""
(FETCH,) = (tool for tool in TOOLS if tool.id == "fetch")


@pytest.fixture
async def server() -> AsyncIterator[Web]:
    async with web() as made:
        yield made
        await until(lambda: not made.open)


async def test_a_page_is_read_as_a_person_would(server: Web) -> None:
    server.answers["/"] = plain(PAGE, "text/html; charset=utf-8")

    read = await Bench(egress=to(server).guard)("fetch", url=server.url())

    assert read["result"] == "Head\nOne & two\nthree\nx\ny"
    assert (read["title"], read["url"], read["media_type"]) == ("A page", server.url(), "text/html")


async def test_a_long_text_is_read_piece_by_piece(server: Web) -> None:
    server.answers["/"] = plain(b"0123456789", "text/plain")
    bench = Bench(egress=to(server).guard)

    first = await bench("fetch", url=server.url(), limit=4)
    last = await bench("fetch", url=server.url(), start=8, limit=4)

    assert (first["result"], first["next_start"]) == ("0123", 4)
    assert last["result"] == "89"
    assert "next_start" not in last


async def test_a_failure_tells_its_status(server: Web) -> None:
    server.answers["/"] = plain(b"<p>not here", "text/html", "404 Not Found")

    with pytest.raises(ToolFailed, match="404: not here"):
        await Bench(egress=to(server).guard)("fetch", url=server.url())


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "file:///etc/passwd", "http://127.1/", "https://example.com/"]
)
async def test_it_reaches_only_what_is_allowed(url: str) -> None:
    with pytest.raises(EgressDenied):
        await Bench(egress=way_out(["http://*"]).guard)("fetch", url=url)


async def test_what_is_no_text_or_too_large_is_refused(server: Web) -> None:
    server.answers["/exe"] = plain(b"MZ", "application/x-dosexec")
    server.answers["/big"] = plain(b"x" * (3 << 20), "text/plain")
    bench = Bench(egress=to(server).guard)

    with pytest.raises(EgressDenied):
        await bench("fetch", url=server.url("/exe"))
    with pytest.raises(ResultInvalid):
        await bench("fetch", url=server.url("/big"))


def test_its_results_are_untrusted_and_it_changes_nothing() -> None:
    assert FETCH.returns_untrusted
    assert FETCH.effect is Effect.IDEMPOTENT


async def test_another_name_of_it_is_untrusted_too() -> None:
    renamed = replace(FETCH, id="look", returns_untrusted=False, owner="planner")

    assert (await Bench().driver.prepare(Scope("acme", "planner"), renamed)).returns_untrusted


def test_it_cannot_be_called_where_nothing_may_be_reached() -> None:
    scope = Scope("acme", "planner")

    assert Bench().driver.problem(scope, FETCH) == "EGRESS_DENIED"
    assert Bench(egress=way_out(["https://*"]).guard).driver.problem(scope, FETCH) == ""


@pytest.mark.parametrize(
    "page", ["<![$ref<a>x", "<![CDATA[y]]>x", "<![if IE]>x<![endif]>", "<!x>x", "<?x>x", "</>x"]
)
def test_markup_that_is_none_is_passed_over(page: str) -> None:
    assert readable(page)[1].endswith("x")


@given(st.text(alphabet="<>/!-&;a \"'=script", max_size=80))
def test_any_markup_is_read_without_an_error(page: str) -> None:
    title, text = readable(page)

    assert "\n\n" not in text
    assert len(title) <= 300
