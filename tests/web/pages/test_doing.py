"""What a person does on the pages happens in the kernel, and what happens there shows on the pages."""

import re
from typing import Any

from tests.web.pages.conftest import Visitor, expect


async def _until_focused(page: Any, selector: str, most: int = 40) -> None:
    for _ in range(most):
        if await page.locator(selector).evaluate("(each) => each === document.activeElement"):
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"{selector} is not reached by Tab")


def _chosen(page: Any) -> str:
    return f"approvals/{re.findall(r'[?&]id=([^&]+)', page.url)[0]}"


async def test_a_call_is_approved_by_keys_alone_with_all_its_arguments_in_sight(visitor: Visitor) -> None:
    page = await visitor.see("approvals")
    await expect(page.locator(".list .entry")).not_to_have_count(0)
    await page.keyboard.press("j")
    arguments = page.locator("pre.block")
    await expect(arguments).to_contain_text('"target":"production-')
    shown = await arguments.inner_text()
    number = re.findall(r"production-(\d)", shown)[0]
    await expect(page.get_by_role("button", name="Approve")).to_be_enabled()
    await page.keyboard.press("a")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.keyboard.press("a")
    await page.keyboard.type("go on")
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_contain_text("go on")
    decided = await visitor.kernel.admin.access.approval(_chosen(page))
    assert (decided.state in {"approved", "used"}, decided.comment) == (True, "go on")
    await visitor.see("agent?id=coder&tab=tools")
    approved = page.locator("tr", has_text="deploy").filter(has_text="succeeded")
    await approved.get_by_role("link").first.click()
    await expect(page.locator("main")).to_contain_text(f"deployed {number} to production-{number}")


async def test_a_call_is_rejected_with_a_reason(visitor: Visitor) -> None:
    page = await visitor.see("approvals")
    await page.locator(".list .entry").last.click()
    await page.get_by_role("button", name="Reject").click()
    await page.get_by_label("Comment").fill("not today")
    await page.get_by_role("dialog").get_by_role("button", name="Reject").click()
    await expect(page.locator("main .badge.bad")).to_contain_text("rejected")
    decided = await visitor.kernel.admin.access.approval(_chosen(page))
    assert (decided.state, decided.comment) == ("rejected", "not today")


async def test_the_tree_is_walked_and_folded_by_keys(visitor: Visitor) -> None:
    page = await visitor.see("agents")
    await expect(page.locator(".grid .line")).not_to_have_count(0)
    await _until_focused(page, ".grid")
    await page.keyboard.press("Home")
    current = page.locator(".grid .line.current")
    await expect(current).to_contain_text("Release planner")
    before = await page.locator(".grid .line").count()
    await page.keyboard.press("ArrowLeft")
    await expect(current).to_have_attribute("aria-expanded", "false")
    assert await page.locator(".grid .line").count() < before
    await page.keyboard.press("ArrowRight")
    await expect(current).to_have_attribute("aria-expanded", "true")
    await page.keyboard.press("ArrowDown")
    await expect(current).to_contain_text("Coder")
    active = await page.locator(".grid").get_attribute("aria-activedescendant")
    assert active == await current.get_attribute("id")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"/console/agent\?id=coder$"))
    await page.keyboard.press("g")
    await page.keyboard.press("u")
    await expect(page).to_have_url(re.compile(r"/console/audit$"))
    await page.go_back()
    await expect(page).to_have_url(re.compile(r"/console/agent\?id=coder$"))


async def test_suspending_and_killing_show_at_once_and_a_kill_says_how_many(visitor: Visitor) -> None:
    page = await visitor.see("agents?id=spare")
    detail = page.locator(".detail")
    await detail.get_by_role("button", name="Suspend").click()
    await page.get_by_role("dialog").get_by_role("button", name="Suspend").click()
    await expect(detail.get_by_role("button", name="Resume")).to_be_visible()
    assert (await visitor.kernel.admin.agents.get("spare")).state == "suspended"
    await detail.get_by_role("button", name="Resume").click()
    await expect(detail.get_by_role("button", name="Suspend")).to_be_visible()
    await detail.get_by_role("button", name="Kill 2").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("2 agents end: this one and 1 agent below it")
    await dialog.get_by_role("button", name="Kill 2 agents").click()
    await expect(detail).to_contain_text("killed")
    assert (await visitor.kernel.admin.agents.get("spare-child")).state == "killed"


async def test_a_new_agent_shows_by_itself(visitor: Visitor) -> None:
    page = await visitor.see("agents")
    await expect(page.locator(".grid")).to_contain_text("Release planner")
    await visitor.kernel.admin.agents.register("newcomer", display_name="Just arrived")
    await expect(page.locator(".grid")).to_contain_text("Just arrived")


async def test_a_policy_is_changed_and_told(visitor: Visitor) -> None:
    page = await visitor.see("")
    await page.get_by_role("button", name="Change the policy of class idle").click()
    await page.get_by_label("Policy", exact=True).select_option("sjf")
    await page.get_by_role("button", name="Set policy").click()
    await expect(page.locator(".toast")).to_contain_text("idle is served by sjf")
    policies = await visitor.kernel.admin.queue.policies()
    assert "sjf" in str(policies)


async def test_a_question_to_the_policies_is_answered_with_what_decides(visitor: Visitor) -> None:
    page = await visitor.see("agent?id=coder&tab=rights")
    await page.get_by_label("Action").fill("memory.read")
    await page.get_by_label("On", exact=True).fill("agents/coder/notes/plan")
    await page.get_by_role("button", name="Ask").click()
    await expect(page.locator("main")).to_contain_text("Yes")
    await page.get_by_label("On", exact=True).fill("agents/sleeper/notes/plan")
    await page.get_by_role("button", name="Ask").click()
    await expect(page.locator("main")).to_contain_text("No")


async def test_a_session_that_ends_leads_to_the_sign_in_page_and_nothing_knocks_any_more(
    visitor: Visitor,
) -> None:
    page = await visitor.see("")
    await expect(page.locator("main")).to_contain_text("of 4 slots")
    visitor.borne = ("401",)
    await visitor.context.clear_cookies()
    await expect(page.get_by_text("Your session has ended")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.wait_for_timeout(3000)
    assert asked == []


async def test_a_cut_stream_is_said_and_mended(visitor: Visitor) -> None:
    page = await visitor.see("")
    live = page.locator(".live")
    await expect(live).to_contain_text("Live")
    visitor.borne = ("Failed to load resource", "net::ERR_FAILED")

    async def cut(route: Any) -> None:
        await route.abort()

    await page.route("**/console/stream", cut)
    await page.get_by_role("link", name="Agents").click()
    await expect(live).to_contain_text("Reconnecting")
    await page.unroute("**/console/stream")
    await expect(live).to_contain_text("Live", timeout=30_000)
    await expect(page.locator(".grid")).to_contain_text("Release planner")


async def test_a_call_that_waits_is_cancelled(visitor: Visitor) -> None:
    visitor.borne = ("404",)  # it may end while the question is read
    page = await visitor.see("")
    cancel = page.locator(".grid .line").first.get_by_role("button")
    await cancel.click()
    await page.get_by_role("button", name="Cancel the call").click()
    await expect(page.locator(".toast")).to_contain_text(re.compile("is cancelled|had ended already"))


async def test_a_refusal_says_what_to_ask_for(visitor: Visitor) -> None:
    key = await visitor.kernel.admin.agents.register("visitor")
    await visitor.context.clear_cookies()
    await visitor.sign_in(key.credential.agent_key)
    visitor.borne = ("403",)
    page = await visitor.see("agent?id=coder")
    await expect(page.get_by_role("alert")).to_contain_text("Ask for agent.read on agents/coder")
