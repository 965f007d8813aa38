"""What agents say and keep is in no log line and no metric, and agents do not make the metrics grow."""

import asyncio
import hashlib
import secrets
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from aios.api.access.v1 import access_pb2
from aios.api.tool.v1 import secrets_pb2
from tests.system.cluster import Cluster, cluster
from tests.system.one_kernel.secrets_of_amy import MARK, keep_secrets
from tests.system.world import FROM_OUTSIDE, Metadata, Stubs, bearer, open_channel, send

pytestmark = [pytest.mark.torture, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]

MORE_SERIES = 40
"""Series that first uses of methods, errors and classes may add, whoever the callers are."""


@dataclass
class Ground:
    """A kernel that logs all it can."""

    kernel: Cluster
    stubs: Stubs
    admin: Metadata

    async def pages(self) -> Mapping[str, str]:
        """Return the page of metrics of every process."""
        urls = {process.name: process.ready_url for process in self.kernel.plan.processes()}
        found = {}
        key = self.kernel.plan.engine_key_file.read_text().strip()
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
            for name, url in urls.items():
                page = url.rsplit("/", 1)[0] + "/metrics"
                async with session.get(page) as answer:
                    assert answer.status == 200, f"{page}: {answer.status}"
                    found[name] = await answer.text()
        return found

    async def live(self, name: str) -> None:
        """Be an agent that uses everything once, and fails at some of it."""
        amy = await self.stubs.register(self.admin, name)
        for label, method in FROM_OUTSIDE.items():
            if not method.endless:
                await send(self.stubs.channel, label, method.request(), amy, timeout=5.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ground() -> AsyncIterator[Ground]:
    async with AsyncExitStack() as stack:
        kernel = await stack.enter_async_context(cluster(extra={"AIOS_LOG_LEVEL": "debug"}))
        channel = await stack.enter_async_context(open_channel(kernel.plan.gateway))
        yield Ground(kernel, Stubs(channel), bearer(kernel.admin_token))


async def test_no_secret_of_an_agent_is_in_a_log_or_a_metric(ground: Ground) -> None:
    amy = await ground.stubs.register(ground.admin, "amy")
    await ground.stubs.register(ground.admin, "dora")
    await keep_secrets(ground.stubs, amy)
    for label, method in FROM_OUTSIDE.items():
        if not method.endless:  # malformed on purpose: what is refused is often logged
            request = method.request().SerializeToString() + f"\x7a\x10{MARK}".encode()
            await send(ground.stubs.channel, label, request, amy, timeout=5.0)
    await asyncio.sleep(1.0)

    said = "\n".join(ground.kernel.output)
    assert len(ground.kernel.output) > 20, "nothing was logged, so nothing is shown"
    for secret in (MARK, dict(amy)["authorization"].removeprefix("Bearer "), ground.kernel.admin_token):
        assert secret not in said
        for name, page in (await ground.pages()).items():
            assert secret not in page, f"a secret is in the metrics of {name}"


async def test_no_secret_of_an_operator_is_anywhere_but_sealed(ground: Ground) -> None:
    stubs, admin = ground.stubs, ground.admin
    canary = f"canary-{secrets.token_hex(12)}"
    eve = await stubs.register(admin, "eve")
    kept = secrets_pb2.SetSecretRequest(
        name="secrets/github", value=canary, bound_to="https://api.example.com", request_id="r1"
    )
    await stubs.tools.SetSecret(kept, metadata=admin)
    refused = [
        (kept, eve),
        (secrets_pb2.SetSecretRequest(name=f"secrets/{canary.upper()}", value=canary), admin),
        (secrets_pb2.SetSecretRequest(name="secrets/x", value=canary, bound_to=f"ftp://{canary}"), admin),
        (secrets_pb2.SetSecretRequest(name="secrets/github", value=canary * 2, request_id="r1"), admin),
    ]
    label = "tool.v1.ToolService/SetSecret"
    told = [await send(stubs.channel, label, request, who, timeout=5.0) for request, who in refused]
    broken = (kept.SerializeToString()[:-3], kept.SerializeToString() + b"\x7a\x10x")
    told += [await send(stubs.channel, label, raw, admin, timeout=5.0) for raw in broken]
    listed = await stubs.tools.ListSecrets(secrets_pb2.ListSecretsRequest(), metadata=admin)
    audit = await stubs.access.QueryAudit(
        access_pb2.QueryAuditRequest(action="tool.secrets", page_size=100), metadata=admin
    )
    await asyncio.sleep(1.0)

    assert [one.name for one in listed.secrets] == ["secrets/github"]
    assert any(entry.resource == "secrets/github" for entry in audit.entries), "it is not in the audit log"
    lower = canary.encode()
    assert not any(lower in one.seen for one in told)
    assert lower not in listed.SerializeToString() + audit.SerializeToString()
    assert canary not in "\n".join(ground.kernel.output)
    for name, page in (await ground.pages()).items():
        assert canary not in page, f"the secret is in the metrics of {name}"
    data = ground.kernel.plan.data_dir
    files = await asyncio.to_thread(_holding, data, hidden(canary))
    assert files == [], "the secret, or a digest that values can be tried against, is in a file"
    assert await asyncio.to_thread(_mode, data / "secret-keys") == 0o600
    started = [Path(f"/proc/{pid}") for pid in ground.kernel.supervisor.pids.values()]
    shown = await asyncio.to_thread(_shown_by_the_system, started)
    assert lower not in shown


def hidden(canary: str) -> list[bytes]:
    """Return what would give the value away: itself, and its plain digests."""
    digest = hashlib.sha256(canary.encode())
    return [canary.encode(), digest.digest(), digest.hexdigest().encode()]


def _shown_by_the_system(processes: list[Path]) -> bytes:
    return b"".join((process / part).read_bytes() for process in processes for part in ("cmdline", "environ"))


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _holding(folder: Path, known: list[bytes]) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".gguf"]
    return [str(path) for path in files if any(part in path.read_bytes() for part in known)]


async def test_a_dozen_agents_make_as_many_series_as_one(ground: Ground) -> None:
    await ground.live("first")
    before = {name: page.count("\n") for name, page in (await ground.pages()).items()}

    for number in range(12):
        await ground.live(f"agent-{number}")

    after = {name: page.count("\n") for name, page in (await ground.pages()).items()}
    grown = {name: count - before[name] for name, count in after.items()}
    assert max(grown.values()) <= MORE_SERIES, grown
