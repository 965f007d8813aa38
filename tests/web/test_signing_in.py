"""Signing in and out in a real browser, in front of a kernel of real processes."""

import asyncio
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from gateway.http.console.core.headers import CSP
from tests.web.conftest import Open, Site, Tab, another_tab

HOSTILE = [
    "<img src=x onerror=window.pwned=1>",
    "<script>window.pwned=1</script>",
    '"><svg onload=window.pwned=1>',
    "' autofocus onfocus='window.pwned=1",
    "javascript:window.pwned=1",
    "{{constructor.constructor('window.pwned=1')()}}",
    "<iframe srcdoc='<script>window.pwned=1</script>'>",
    "invoice\u202egnp.exe",
]


async def test_an_administrator_signs_in_sees_the_first_page_and_signs_out(site: Site, tab: Tab) -> None:
    await tab.sign_in(site, site.kernel.admin_token)
    [cookie] = await tab.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/console/")
    assert site.kernel.admin_token not in cookie["value"]
    assert await tab.page.evaluate("document.cookie") == ""

    await tab.page.get_by_role("button", name="Sign out").click()
    await tab.page.locator("input[name=credential]").wait_for()
    assert await tab.page.context.cookies() == []
    async with site.kernel.admin() as admin:  # the token that was shown goes on to count
        await admin.agents.list()


async def test_an_agents_key_signs_in_and_the_page_says_who_it_is(site: Site, tab: Tab) -> None:
    async with site.kernel.admin() as admin:
        key = (await admin.agents.register("web-visitor")).credential.agent_key
    await tab.sign_in(site, key)
    await tab.page.locator("header .who", has_text="web-visitor").wait_for()


async def test_a_wrong_key_is_told_and_nothing_else_happens(site: Site, open_tab: Open) -> None:
    tab = await open_tab(quiet=False)  # a browser reports each refusal in its console
    await tab.page.goto(site.at())
    await tab.page.locator("input[name=credential]").fill("aios_wrong")
    await tab.page.locator("button[type=submit]").click()
    await tab.page.locator("[role=alert]").first.wait_for()
    assert await tab.page.context.cookies() == []
    assert all("401" in problem for problem in tab.problems)


async def test_a_code_in_the_address_signs_in_once_and_leaves_the_address(site: Site, tab: Tab) -> None:
    code = await asyncio.to_thread(_code, site)
    await tab.page.goto(site.at(f"sign-in#code={code}"))
    await tab.page.locator("header nav").wait_for()
    assert "code" not in tab.page.url


async def test_who_signs_out_in_one_tab_is_signed_out_in_the_other(site: Site, open_tab: Open) -> None:
    tab = await open_tab(quiet=False)  # what the other tab asks for is refused from then on
    await tab.sign_in(site, site.kernel.admin_token)
    async with another_tab(tab) as other:
        await other.page.goto(site.at("now"))
        await other.page.locator("header nav").wait_for()
        await other.page.get_by_role("status").filter(has_text="Live").wait_for()
        await tab.page.get_by_role("button", name="Sign out").click()
        await other.page.locator("input[name=credential]").wait_for()


async def test_hostile_names_are_text(site: Site, tab: Tab) -> None:
    async with site.kernel.admin() as admin:
        for n, name in enumerate(HOSTILE):
            await admin.agents.register(f"hostile-{n}", display_name=name)
    await tab.sign_in(site, site.kernel.admin_token, "agents")
    await tab.page.get_by_text("onerror=window.pwned").first.wait_for()
    assert await tab.page.evaluate("window.pwned === undefined")
    assert await tab.page.locator("main :is(img, script, iframe, [onerror])").count() == 0


async def test_a_file_of_an_agent_is_a_download_whatever_it_is(site: Site, tab: Tab) -> None:
    page = b"<script>window.pwned=1</script>"
    async with site.kernel.admin() as admin:
        handle = await admin.agents.register("web-files")
        await admin.as_agent(handle).files.write("a b.html", page)
    await tab.sign_in(site, handle.credential.agent_key)
    answer = await tab.page.context.request.get(site.at("files/agents/web-files/files/a%20b.html"))
    assert (answer.status, await answer.body()) == (200, page)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith('attachment; filename="a b.html"')
    missing = await tab.page.context.request.get(site.at("files/agents/web-files/files/none"))
    assert (missing.status, (await missing.json())["reason"]) == (404, "FILE_NOT_FOUND")


async def test_the_policy_holds_in_the_browser(site: Site, open_tab: Open) -> None:
    tab = await open_tab(quiet=False)  # each attempt is reported
    answer = await tab.page.goto(site.at())
    assert answer.headers["content-security-policy"] == CSP
    for attempt in (
        "document.body.innerHTML = '<b>x</b>'",
        "document.body.insertAdjacentHTML('beforeend', '<b>x</b>')",
        "trustedTypes.createPolicy('p', {createHTML: text => text})",
    ):
        refused = f"(() => {{ try {{ {attempt}; return false }} catch {{ return true }} }})()"
        assert await tab.page.evaluate(refused), attempt
    await tab.page.evaluate(
        "() => { const made = document.createElement('style'); made.textContent = 'body { opacity: 0.5 }';"
        " document.head.append(made) }"
    )
    assert await tab.page.evaluate("getComputedStyle(document.body).opacity") == "1"


async def test_the_first_pages_are_accessible_in_both_schemes(site: Site, open_tab: Open) -> None:
    for scheme in ("light", "dark"):
        tab = await open_tab(color_scheme=scheme)
        await tab.page.goto(site.at())
        await tab.page.locator("input[name=credential]").wait_for()
        assert await tab.violations() == []


async def test_several_tabs_are_all_live(site: Site, tab: Tab) -> None:
    await tab.sign_in(site, site.kernel.admin_token)
    state = tab.page.get_by_role("status").filter(has_text="Live")
    await state.wait_for()
    pages = []
    for _ in range(3):  # each has a stream, and a browser opens six connections to a host
        page = await tab.page.context.new_page()
        await page.goto(site.at("now"))
        await page.get_by_role("status").filter(has_text="Live").wait_for()
        pages.append(page)
    for page in pages:
        await page.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"x-aios-console": ""}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
    ],
)
async def test_strange_hosts_and_pages_are_refused(site: Site, headers: dict[str, str], status: int) -> None:
    request = urllib.request.Request(  # noqa: S310 - loopback
        site.at("session"), data=b"{}", method="POST", headers={"x-aios-console": "1", **headers}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        await asyncio.to_thread(urllib.request.urlopen, request, timeout=10)
    refused.value.close()
    assert refused.value.code == status


def _code(site: Site) -> str:
    """Return the address's code, as `aios console` prints it."""
    environment = {
        **os.environ,
        "AIOS_ENDPOINT": site.kernel.plan.gateway,
        "AIOS_TOKEN": site.kernel.admin_token,
    }
    script = "from aios.cli.main import main; main(['console', '--json'])"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
    return str(json.loads(done.stdout)["url"].partition("#code=")[2])
