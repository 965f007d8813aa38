"""A kernel of their own for the tests of the pages, and a person at a page for each."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.web.conftest import PATIENCE_MS, axe_source
from tests.web.pages.world import World, world

_SCRIPTS = Path(__file__).parent / "scripts"
_GRAVE = {"serious", "critical"}


def expect(target: Any) -> Any:
    """Return what waits until something holds of a part of the page."""
    from playwright.async_api import expect as waiting  # noqa: PLC0415 - it is there once the browser is

    waiting.set_options(timeout=PATIENCE_MS)
    return waiting(target)


def script(name: str) -> str:
    """Return a function for the page to run."""
    text = (_SCRIPTS / f"{name}.js").read_text()
    return text[text.index("\n") + 1 :].strip().removesuffix(";")


async def barriers(page: Any) -> list[tuple[str, list[str]]]:
    """Return what keeps somebody from using the page, as axe finds it: rule and elements."""
    await page.evaluate(axe_source())
    found = await page.evaluate("axe.run(document)")
    return [
        (each["id"], [node["html"][:160] for node in each["nodes"]][:3])
        for each in found["violations"]
        if each["impact"] in _GRAVE
    ]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kernel() -> AsyncIterator[World]:
    """Run the kernel until the last test of the pages has ended."""
    async with world() as made:
        yield made


class Visitor:
    """A person at the console: one browser profile, whose every complaint fails the test."""

    def __init__(self, context: Any, page: Any, kernel: World) -> None:
        self.context = context
        self.page = page
        self.kernel = kernel
        self.complaints: list[str] = []
        self.borne: tuple[str, ...] = ()
        """Parts of complaints that the test provokes."""
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"{error.stack or error}"))
        page.on("dialog", lambda dialog: self.complaints.append(f"a dialog: {dialog.message}"))

    def _said(self, message: Any) -> None:
        if message.type in {"error", "warning"} and not any(part in message.text for part in self.borne):
            self.complaints.append(f"{message.text} at {message.location}")

    async def sign_in(self, credential: str = "") -> None:
        """Sign in as the administrator, or with another credential."""
        self.borne = ("401",)
        await self.page.goto(self.kernel.url)
        await self.page.get_by_label("Key or token").fill(credential or self.kernel.kernel.admin_token)
        await self.page.get_by_role("button", name="Sign in").click()
        await expect(self.page.get_by_role("link", name="Agents")).to_be_visible()
        self.borne = ()

    async def see(self, path: str) -> Any:
        """Open a view and return the page."""
        await self.page.goto(self.kernel.url + path)
        await expect(self.page.locator("main h1").first).to_be_visible()
        return self.page


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def session(kernel: World, browser: Any) -> Any:
    """Sign the administrator in once, for all tests; return the browser's state."""
    context = await browser.new_context()
    person = Visitor(context, await context.new_page(), kernel)
    await person.sign_in()
    state = await context.storage_state()
    await context.close()
    assert not person.complaints
    return state


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(kernel: World, browser: Any, session: Any) -> AsyncIterator[Visitor]:
    """Return a person who is signed in; afterwards the browser must have complained of nothing."""
    context = await browser.new_context(viewport={"width": 1440, "height": 920}, storage_state=session)
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    made = Visitor(context, page, kernel)
    yield made
    await context.close()
    assert not made.complaints, "\n".join(made.complaints)


@pytest.fixture
def pictures() -> Path:
    """Return where pictures of the pages go: build/console, or where AIOS_CONSOLE_PICTURES says."""
    folder = Path(os.environ.get("AIOS_CONSOLE_PICTURES") or "build/console")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
