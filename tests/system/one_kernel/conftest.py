"""The kernel that the tests of this folder share."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.system.cluster import Cluster, cluster


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def kernel() -> AsyncIterator[Cluster]:
    """Run a kernel as it comes until the last test of the folder has ended."""
    async with cluster() as made:
        yield made
