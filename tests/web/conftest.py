"""What the tests of the web console share: a kernel of real processes, a browser, pages that are watched."""

import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.clients.environments import python_environment, unavailable
from tests.system.cluster import Cluster, cluster

FOLDER: Final = Path(__file__).parent
SECONDS: Final = 300
"""For one test, the making of its environment included."""
DOOR_OFFSET: Final = 20
"""Of the door's port from the gateway's gRPC port."""
PATIENCE_MS: Final = 15_000

BROWSERS: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS: Final = (
    "--no-sandbox",  # a container's root has no other choice; the pages are our own
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder; they share one loop, one kernel and one browser."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker("web")
            item.add_marker(pytest.mark.timeout(SECONDS))
            if pytest_asyncio.is_async_test(item):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@dataclass
class Site:
    """The console of a running kernel."""

    kernel: Cluster
    address: str

    def at(self, view: str = "") -> str:
        """Return the address of a view."""
        return f"{self.address}/console/{view}"


@dataclass
class Tab:
    """A page of the browser, and what went wrong on it."""

    page: Any
    problems: list[str] = field(default_factory=list)
    """Errors and warnings of the browser's console, exceptions, dialogs."""

    async def sign_in(self, site: Site, credential: str, view: str = "") -> None:
        """Open a view, and sign in by the form where it leads."""
        await self.page.goto(site.at(view))
        await self.page.locator("input[name=credential]").fill(credential)
        await self.page.locator("button[type=submit]").click()
        await self.page.locator("header nav").wait_for()

    async def violations(self) -> list[tuple[str, str]]:
        """Return what axe finds on the page: rule and element."""
        await self.page.evaluate(axe_source())
        run = "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'best-practice']})"
        found = await self.page.evaluate(run)
        return [(each["id"], each["nodes"][0]["html"][:160]) for each in found["violations"]]


Open = Callable[..., Coroutine[Any, Any, Tab]]
"""Opens a tab in a browser context of its own; `javascript` and the like are playwright's options."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site() -> AsyncIterator[Site]:
    """Run a kernel with its console until the last test has ended."""
    async with cluster() as made:
        yield Site(made, f"http://127.0.0.1:{made.plan.base_port + DOOR_OFFSET}")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Any]:
    """Run the browser. Without one the tests are skipped, or fail where they must run."""
    program = os.environ.get("AIOS_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        unavailable("no Chromium is installed: `apt-get install chromium-headless-shell`")
    await _packages()
    from playwright.async_api import async_playwright  # noqa: PLC0415 - it has just been installed

    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield running
        await running.close()


@pytest_asyncio.fixture(loop_scope="session")
async def open_tab(browser: Any) -> AsyncIterator[Open]:
    """Return what opens tabs; all of them are closed at the end, and none may have complained."""
    contexts, tabs = [], []

    async def opened(*, quiet: bool = True, **options: Any) -> Tab:
        options.setdefault("viewport", {"width": 1400, "height": 960})
        context = await browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        tab = await _watched(context)
        if quiet:
            tabs.append(tab)
        return tab

    yield opened
    for context in contexts:
        await context.close()
    assert [problem for tab in tabs for problem in tab.problems] == []


@pytest_asyncio.fixture(loop_scope="session")
async def tab(open_tab: Open) -> Tab:
    """Open one tab."""
    return await open_tab()


@asynccontextmanager
async def another_tab(tab: Tab) -> AsyncIterator[Tab]:
    """Open a further tab beside one, with the same cookies."""
    made = await _watched(tab.page.context)
    yield made
    await made.page.close()


def axe_source() -> str:
    """Return axe's source, to be run by `evaluate`: the console's policy lets no foreign script in."""
    import axe_playwright_python  # noqa: PLC0415 - it is there once the browser is

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()


async def _watched(context: Any) -> Tab:
    tab = Tab(await context.new_page())
    page, problems = tab.page, tab.problems
    page.on("console", lambda said: problems.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda _dialog: problems.append("a dialog was opened"))
    return tab


async def _packages() -> None:
    """Make the driver's packages importable; they live in an environment of their own."""
    python = await python_environment("web", FOLDER / "requirements.txt")
    [packages] = (python.parent.parent / "lib").glob("python*/site-packages")
    if str(packages) not in sys.path:
        sys.path.append(str(packages))
