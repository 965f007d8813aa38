"""What the tests of other languages share: a kernel of real processes, and programs built once."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from tests.polyglot.toolchains import Go, TypeScript, go_programs, typescript_programs
from tests.system.cluster import Cluster, cluster

FOLDER: Final = Path(__file__).parent
SECONDS: Final = 300
"""For one test, the building of its programs included."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder; they share one loop and one kernel."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker("polyglot")
            item.add_marker(pytest.mark.timeout(SECONDS))
            if pytest_asyncio.is_async_test(item):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kernel() -> AsyncIterator[Cluster]:
    """Run a kernel until the last test has ended."""
    async with cluster() as made:
        yield made


@pytest.fixture(scope="session")
def surroundings(kernel: Cluster) -> dict[str, str]:
    """Return the variables by which an example finds the kernel."""
    return {
        **os.environ,
        "AIOS_ENDPOINT": kernel.plan.gateway,
        "AIOS_DATA_DIR": str(kernel.plan.data_dir),
        "AIOS_TOKEN": "",
    }


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def go() -> Go:
    """Return the programs in Go."""
    return await go_programs()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def typescript() -> TypeScript:
    """Return the programs in TypeScript."""
    return await typescript_programs()
