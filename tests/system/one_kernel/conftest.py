"""The kernel that the tests of this folder share."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.system.cluster import Cluster, cluster


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def kernel() -> AsyncIterator[Cluster]:
    """Run a kernel until the last test of the folder has ended: as it comes, but for the pace of refusals.

    These tests are refused some thousand times, which takes a minute at the pace for people.
    """
    async with cluster(extra={"AIOS_GATEWAY_REFUSALS_PER_SECOND": "1000"}) as made:
        yield made
