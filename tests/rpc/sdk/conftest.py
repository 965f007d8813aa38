from collections.abc import AsyncIterator

import pytest

from aios.kernel import Kernel
from aios.testing import FakeKernel


@pytest.fixture
async def fake() -> AsyncIterator[FakeKernel]:
    async with FakeKernel() as kernel:
        yield kernel


@pytest.fixture
async def agent(fake: FakeKernel) -> AsyncIterator[Kernel]:
    async with fake.agent("planner") as kernel:
        yield kernel
