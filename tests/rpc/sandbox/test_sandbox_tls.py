"""The sandbox under mutual TLS: only the tool manager's certificate comes in, and its own opens nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aios.api.sandbox.v1 import sandbox_pb2, sandbox_pb2_grpc
from launcher.authority import Authority
from services.chassis.rpc import client
from services.chassis.runtime.tls import TlsFiles, TlsIdentity
from services.chassis.sandbox.terms import SandboxLevel
from services.sandbox.adapters.callers import Callers, NobodyElse
from services.sandbox.servicer import SandboxServicer
from services.tool.adapters.remote_sandbox import RemoteSandbox
from tests.fakes.rpc import running
from tests.fakes.sandbox import DIGEST, KEY, FakeSandbox, Meter, deps_of, job

NAMES = ["sandbox", "tool", "memory"]


async def identity(authority: Authority, name: str) -> TlsIdentity:
    files = TlsFiles(authority.certificate(name), authority.key(name), authority.file)
    return await asyncio.to_thread(TlsIdentity, files)


@pytest.fixture
async def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "tls")
    await asyncio.to_thread(made.renew, NAMES)
    (tmp_path / "key").write_text(KEY)
    return made


@pytest.fixture
async def port(authority: Authority) -> AsyncIterator[int]:
    """Serve a sandbox that shows its certificate."""
    servicer = (
        sandbox_pb2_grpc.add_SandboxServiceServicer_to_server,
        SandboxServicer(deps_of(FakeSandbox(), Meter())),
        sandbox_pb2.DESCRIPTOR,
    )
    tls = await identity(authority, "sandbox")
    callers = Callers([DIGEST])
    async with running(servicer, authenticator=callers, authorizer=NobodyElse(), tls=tls) as server:
        yield server.port


async def test_the_tool_manager_has_jobs_run(authority: Authority, port: int, tmp_path: Path) -> None:
    tls = await identity(authority, "tool")
    async with client.channel(f"127.0.0.1:{port}", tls=tls, peer="sandbox") as channel:
        remote = RemoteSandbox(channel, tmp_path / "key")
        await remote.look()
        assert (remote.level, remote.problem) == (SandboxLevel.LANDLOCK, "")
        assert (await remote.run(job("echo"))).code == 3


@pytest.mark.parametrize(
    ("shows", "looks_for"), [("memory", "sandbox"), ("sandbox", "sandbox"), ("tool", "memory")]
)
async def test_nobody_else_does_though_the_credential_is_known(
    authority: Authority, port: int, tmp_path: Path, shows: str, looks_for: str
) -> None:
    """Another process with a stolen credential, the sandbox with its own certificate; and a false sandbox."""
    tls = await identity(authority, shows)
    async with client.channel(f"127.0.0.1:{port}", tls=tls, peer=looks_for) as channel:
        remote = RemoteSandbox(channel, tmp_path / "key")
        await remote.look()

    assert remote.problem
    assert remote.level is SandboxLevel.NONE
