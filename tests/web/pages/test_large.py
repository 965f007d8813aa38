"""The renderer and the rows of many agents, in a browser, with what the kernel would say."""

import json
from typing import Any

from tests.web.pages.conftest import Visitor, expect, script

MANY = 5000
_MOST_ROWS = 60
_LIB = "/console/static/lib"


async def test_five_thousand_agents_are_a_few_dozen_elements_and_every_one_is_reached(
    visitor: Visitor,
) -> None:
    agents = [
        {
            "agent": {
                "name": f"agents/a{number}",
                "parent": f"agents/a{number - number % 10}" if number % 10 else "",
                "display_name": f"agent {number}",
                "state": "AGENT_STATE_ACTIVE",
                "create_time": f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z",
            },
            "initial": True,
        }
        for number in range(MANY)
    ]
    told = _batch({"agents": agents})

    async def answer(route: Any) -> None:
        await route.fulfill(status=200, headers={"content-type": "text/event-stream"}, body=told)

    page = visitor.page
    await page.route("**/console/stream", answer)
    await visitor.see("agents")
    await expect(page.locator(".panel .note").first).to_contain_text("5,000 agents")
    grid = page.locator(".grid")
    assert await grid.get_attribute("aria-rowcount") == str(MANY + 1)
    assert 0 < await page.locator(".grid .line").count() < _MOST_ROWS
    await grid.focus()
    await page.keyboard.press("End")
    await expect(page.locator(".grid .line.current")).to_contain_text("agent 4999")
    assert await page.locator(".grid .line.current").get_attribute("aria-rowindex") == str(MANY + 1)
    await page.keyboard.press("PageUp")
    assert await page.locator(".grid .line").count() < _MOST_ROWS
    await page.keyboard.press("/")
    await page.keyboard.type("agent 4321")
    await expect(page.locator(".grid")).to_contain_text("agent 4321")
    assert await grid.get_attribute("aria-rowcount") == "3"


def _batch(topics: dict[str, list[dict[str, object]]]) -> str:
    """Return a stream's body in the form that the server gives it."""
    return f"event: batch\ndata: {json.dumps(list(topics.items()))}\n\n"


async def test_the_renderer_keeps_elements_by_key_and_refuses_what_is_no_text(visitor: Visitor) -> None:
    page = await visitor.see("tools")
    found = await page.evaluate(
        script("renderer"),
        _LIB,
    )
    assert found == {
        "kept": True,
        "order": ["c", "b", "d"],
        "gone": ["x"],
        "text": "text0",
        "refusals": ["TypeError"] * 4,
        "links": [None, "https://x.example", None],
        "clicks": 2,
    }


async def test_text_of_strangers_as_a_name_a_block_and_markdown_is_what_they_wrote(visitor: Visitor) -> None:
    page = await visitor.see("tools")
    hostile = [
        "<img src=x onerror=window.pwned=1>",
        '"><svg onload=window.pwned=1>',
        "<iframe srcdoc='<script>window.pwned=1</script>'>",
        "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)'>",
        "{{constructor.constructor('window.pwned=1')()}}",
        "[x](javascript:window.pwned=1)",
    ]
    found = await page.evaluate(
        script("strangers"),
        [_LIB, hostile],
    )
    assert found == {"seen": [[True, True, True], 0] * len(hostile), "pwned": None}
