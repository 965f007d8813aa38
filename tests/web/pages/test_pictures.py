"""Pictures of the pages, for people: in build/console, or where AIOS_CONSOLE_PICTURES says."""

from pathlib import Path
from typing import Literal

import pytest

from tests.web.pages.conftest import Visitor, expect

_MOST_BYTES = 300_000
_SETTLE_MS = 12_000


PICTURES: dict[str, tuple[str, Literal["light", "dark"], str]] = {
    "now": ("", "dark", "of 4 slots"),
    "agents": ("agents?id=coder", "light", "Release planner"),
    "agent": ("agent?id=coder&tab=calls", "light", "qwen3-32b"),
    "approvals": ("approvals", "dark", "deploy"),
}


@pytest.mark.parametrize("name", PICTURES)
async def test_a_picture_of_a_page(visitor: Visitor, pictures: Path, name: str) -> None:
    path, scheme, text = PICTURES[name]
    page = visitor.page
    await page.emulate_media(color_scheme=scheme)
    await visitor.see(path)
    await expect(page.locator("main")).to_contain_text(text)
    if name == "approvals":
        await page.locator(".list .entry").first.click()
        await expect(page.locator("pre.block")).to_be_visible()
    elif name != "agents":
        await page.wait_for_timeout(_SETTLE_MS if pictures.name == "docs" else 500)
    target = pictures / f"console-{name}.png"
    await page.screenshot(path=target)
    assert target.stat().st_size < _MOST_BYTES
