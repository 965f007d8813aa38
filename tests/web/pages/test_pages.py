"""Each page shows what the kernel holds, of others' texts only text, and to everybody."""

from typing import Any, Literal

import pytest

from tests.web.pages.conftest import Visitor, barriers, expect, script
from tests.web.pages.world import MARKUP, SHOWN_TRICK, SLOTS

AGENT = "agent?id=coder"
VIEWS = {
    "now": ("", [f"of {SLOTS} slots", "every slot is taken", "interactive", "adaptive"]),
    "now of tools": ("?of=tool", ["Who runs where"]),
    "agents": ("agents?id=coder", ["Release planner", "suspended", "Kill 2", MARKUP]),
    "calls": (AGENT, ["Over time", "Calls, newest first", "qwen3-32b"]),
    "talk": (f"{AGENT}&tab=talk&context=main", ["careful engineer", "return code", MARKUP, SHOWN_TRICK]),
    "windows": (f"{AGENT}&tab=talk&context=main&show=windows", ["Left out", "no room", "of 1,024 tokens"]),
    "notes": (f"{AGENT}&tab=notes&note=plan", ["first", "(example.com)", MARKUP, SHOWN_TRICK, "facts/5"]),
    "files": (f"{AGENT}&tab=files&file=src/main.py", ["import sys", MARKUP, SHOWN_TRICK, "text/x-python"]),
    "versions": (f"{AGENT}&tab=files&file=src/main.py&show=versions", ["Roll back", "Changes"]),
    "diff": (f"{AGENT}&tab=files&file=src/main.py&show=diff", ["print('hello')", MARKUP, "2 lines added"]),
    "trash": (f"{AGENT}&tab=files&trash=1", ["old.txt", "Restore"]),
    "tool calls": (f"{AGENT}&tab=tools", ["add", "succeeded", "waiting approval"]),
    "live": (f"{AGENT}&tab=live", ["At work", "quick brown", MARKUP, SHOWN_TRICK]),
    "rights": (f"{AGENT}&tab=rights", ["May it?", "Grants to it"]),
    "approvals": ("approvals", ["deploy", "left", "coder"]),
    "policies": ("policies?policy=owner", ["built in", "permit", "administrators-only"]),
    "grants": ("policies?tab=grants", ["No grants"]),
    "groups": ("policies?tab=groups", ["No groups"]),
    "rules": ("policies?tab=rules", ["No rules"]),
    "tools": ("tools?tool=deploy", ["deploy", "Deploy to a target.", "irreversible", "calculator"]),
    "servers": ("tools?tab=servers", ["No MCP servers"]),
    "models": ("tools?tab=models", ["qwen3-32b", "default"]),
    "audit": ("audit", ["agent.register", "agents/planner", "ok"]),
}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


async def _harmless(page: Any) -> None:
    """Fail if others' texts have become anything but text."""
    found = await page.evaluate(script("harmless"))
    assert found == {"pwned": None, "made": [], "handlers": [], "links": []}


@pytest.mark.parametrize("view", VIEWS)
async def test_a_view_shows_what_is_there_of_hostile_texts_only_text_and_to_everybody(
    visitor: Visitor, view: str
) -> None:
    path, texts = VIEWS[view]
    page = await visitor.see(path)
    for text in texts:
        await expect(page.locator("main")).to_contain_text(text)
    assert await page.get_by_role("alert").count() == 0
    await _harmless(page)
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        assert await barriers(page) == []


async def test_signing_in_is_for_everybody_too_and_leads_back_to_the_view(visitor: Visitor) -> None:
    await visitor.context.clear_cookies()
    visitor.borne = ("401",)
    page = visitor.page
    await page.goto(f"{visitor.kernel.url}agents?id=coder")
    await expect(page.get_by_label("Key or token")).to_be_focused()
    assert await barriers(page) == []
    await page.keyboard.type("not a key")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.get_by_label("Key or token").fill(visitor.kernel.kernel.admin_token)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{visitor.kernel.url}agents?id=coder")
    await expect(page.locator("main")).to_contain_text("Release planner")
