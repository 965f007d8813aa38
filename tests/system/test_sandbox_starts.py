"""Jobs that are given up in the middle of their start, by their host or with it."""

import asyncio
import os
import random
import subprocess
import sys

import pytest

from services.chassis.isolation import processes
from services.chassis.isolation.sandbox import ProcessSandbox, Settings
from services.chassis.sandbox.terms import SandboxJob
from tests.fakes.isolation import isolated, need

pytestmark = [pytest.mark.system, pytest.mark.torture_tools, pytest.mark.timeout(200)]

SHORT = SandboxJob(argv=("/bin/sh", "-c", "sleep 0.02"))
HOST = """
import asyncio
from services.chassis.isolation.sandbox import ProcessSandbox, Settings
from services.chassis.sandbox.terms import SandboxJob

async def main():
    sandbox = ProcessSandbox(Settings(level="namespaces", warm=1))
    await sandbox.test()
    print(sandbox._places._uids[0], flush=True)
    async def one_after_the_other():
        while True:
            await sandbox.run(SandboxJob(argv=("/bin/sh", "-c", "sleep 0.02")))
    await asyncio.gather(*(one_after_the_other() for _ in range(4)))

asyncio.run(main())
"""


def of_users(first: int) -> list[int]:
    """Return the processes of a sandbox's users that live."""
    users = range(first, first + 256)
    return [pid for pid, row in processes.table().items() if row.uid in users and not row.zombie]


async def test_a_job_that_is_given_up_while_it_starts_leaves_no_process() -> None:
    await need("namespaces")
    if os.getuid() != 0:
        pytest.skip("what is left is told by the user that is a job's alone, which only root gives")
    async with isolated("namespaces", warm=0) as sandbox:
        await sandbox._places.free(await sandbox._places.take())
        uids = [uid for uid in sandbox._places._uids if uid is not None]
        for _ in range(120):
            job = asyncio.create_task(sandbox.run(SHORT))
            await asyncio.sleep(random.uniform(0.0, 0.08))  # noqa: S311 - any moment
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)
        async with asyncio.timeout(10):  # the last ones are killed; the machine takes its time to end them
            while await asyncio.to_thread(of_users, min(uids)):  # noqa: ASYNC110 - they tell nobody
                await asyncio.sleep(0.05)


async def test_a_host_that_is_killed_while_jobs_start_leaves_nothing_for_the_next_one() -> None:
    await need("namespaces")
    if os.getuid() != 0:
        pytest.skip("what is left is told by the user that is a job's alone, which only root gives")
    for _ in range(12):
        host = await asyncio.create_subprocess_exec(sys.executable, "-c", HOST, stdout=subprocess.PIPE)
        assert host.stdout is not None
        first = int(await host.stdout.readline())
        await asyncio.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - any moment
        host.kill()
        await host.wait()
    sandbox = ProcessSandbox(Settings(level="namespaces", first_uid=first))
    await sandbox.test()
    await sandbox.close()

    async with asyncio.timeout(10):
        while await asyncio.to_thread(of_users, first):  # noqa: ASYNC110 - of processes that tell nobody
            await asyncio.sleep(0.05)
