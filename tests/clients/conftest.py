"""What the tests of stock clients share: one kernel with its door open, and a scripted model behind it."""

import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
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
async def faulty() -> AsyncIterator[list[ScriptedModel]]:
    """Run models to break, one for each protocol: the kernel leaves a broken one alone for a while.

    Their servers cannot go on with a text, so an answer that breaks off is not made good elsewhere.
    """
    async with AsyncExitStack() as stack:
        names = ("faulty-chat", "faulty-responses", "faulty-messages")
        servers = [scripted_model(model=name, owner="somebody") for name in names]
        yield [await stack.enter_async_context(each) for each in servers]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def narrow() -> AsyncIterator[ScriptedModel]:
    """Run a third model, which takes one call at a time."""
    async with scripted_model(model="narrow", owner="llamacpp", slots=1) as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def short() -> AsyncIterator[ScriptedModel]:
    """Run a fourth model, whose window is too short for coding clients."""
    async with scripted_model(model="short", window=1024) as made:
        yield made


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kernel(
    model: ScriptedModel, faulty: list[ScriptedModel], narrow: ScriptedModel, short: ScriptedModel
) -> AsyncIterator[Cluster]:
    """Run a kernel with its door open until the last test has ended."""
    servers = (model.url, narrow.url, short.url, *(each.url for each in faulty))
    settings = {
        "AIOS_GATEWAY_DOOR_MODELS": "*=scripted",
        "AIOS_GATEWAY_DOOR_KEEP_ALIVE_SECONDS": "0.5",
        "AIOS_GATEWAY_MCP_TOOLS_POLL_SECONDS": "0.2",
    }
    async with cluster(openai=servers, extra=settings) as made:
        yield made


def address(kernel: Cluster) -> str:
    """Return where the door is."""
    return f"http://127.0.0.1:{kernel.plan.base_port + DOOR_OFFSET}"


@pytest_asyncio.fixture(loop_scope="session")
async def door(kernel: Cluster) -> AsyncIterator[Door]:
    """Open the door to a new agent."""
    async with kernel.admin() as admin:
        handle = await admin.agents.register(f"client-{next(_names)}")
        key = handle.credential.agent_key
        yield Door(address(kernel), key, handle.name, admin.as_agent(handle))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sdks() -> Path:
    """Return the Python that holds the vendors' SDKs."""
    return await python_environment("sdks", REQUIREMENTS / "sdks.txt")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def openai_node() -> Node:
    """Return a Node.js with OpenAI's SDK."""
    return await node_environment("openai-node", REQUIREMENTS / "npm-openai.txt")
