"""What the tests of stock clients share: one kernel with its door open, and a scripted model behind it."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from tests.clients.door import Door
from tests.clients.environments import REQUIREMENTS, Node, node_environment, python_environment
from tests.fakes.scripted import ScriptedModel, scripted_model
from tests.system.cluster import Cluster, cluster

DOOR_OFFSET: Final = 20
"""Of the door's port from the gateway's gRPC port."""

FOLDER: Final = Path(__file__).parent
SECONDS: Final = 300
"""For one test, the making of its environment included."""

_names = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder; they share one loop, in which the scripted model answers."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker("clients")
            item.add_marker(pytest.mark.timeout(SECONDS))
            if pytest_asyncio.is_async_test(item):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def model() -> AsyncIterator[ScriptedModel]:
    """Run the model that the kernel's agents get."""
    async with scripted_model() as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kernel(model: ScriptedModel) -> AsyncIterator[Cluster]:
    """Run a kernel with its door open until the last test has ended."""
    async with cluster(openai=(model.url,)) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def door(kernel: Cluster) -> AsyncIterator[Door]:
    """Open the door to a new agent."""
    async with kernel.admin() as admin:
        handle = await admin.agents.register(f"client-{next(_names)}")
        key = handle.credential.agent_key
        url = f"http://127.0.0.1:{kernel.plan.base_port + DOOR_OFFSET}"
        yield Door(url, key, handle.name, admin.as_agent(handle))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sdks() -> Path:
    """Return the Python that holds the vendors' SDKs."""
    return await python_environment("sdks", REQUIREMENTS / "sdks.txt")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def openai_node() -> Node:
    """Return a Node.js with OpenAI's SDK."""
    return await node_environment("openai-node", REQUIREMENTS / "npm-openai.txt")
