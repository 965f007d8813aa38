"""Mutual TLS between processes: who is let in, and new certificates while calls are under way."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509

from launcher.authority import Authority
from services.chassis.rpc import client
from services.chassis.runtime.config import ConfigError
from services.chassis.runtime.process import Process
from services.chassis.runtime.server import ChassisServer
from services.chassis.runtime.tls import TlsFiles, TlsIdentity, TlsUnusable
from tests.fakes import tokens
from tests.fakes.echo import Echo, EchoServicer, EchoStub
from tests.fakes.rpc import reason, running
from tests.fakes.waiting import until

PLANNER = tokens.metadata("planner")
NAMES = ["gateway", "memory", "stranger"]


async def identity(authority: Authority, name: str) -> TlsIdentity:
    files = TlsFiles(authority.certificate(name), authority.key(name), authority.file)
    return await asyncio.to_thread(TlsIdentity, files)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path / "tls")
    made.renew(NAMES)
    return made


@pytest.fixture
async def seen() -> set[int]:
    """Collect the serial numbers of the certificates that callers show."""
    return set()


@pytest.fixture
async def server(authority: Authority, seen: set[int]) -> AsyncIterator[ChassisServer]:
    async def answer(request: Any, context: Any) -> Any:
        (pem,) = context.auth_context()["x509_pem_cert"]
        seen.add(x509.load_pem_x509_certificate(pem).serial_number)
        await asyncio.sleep(0.001)
        return request

    async with running(EchoServicer(answer).servicer(), tls=await identity(authority, "memory")) as started:
        yield started


async def call(channel: grpc.aio.Channel) -> Echo:
    async with channel:
        return await EchoStub(channel).unary(Echo(count=7), metadata=PLANNER, timeout=5)


async def test_processes_of_one_authority_talk(server: ChassisServer, authority: Authority) -> None:
    tls = await identity(authority, "gateway")
    answer = await call(client.channel(f"127.0.0.1:{server.port}", tls=tls, peer="memory"))

    assert answer.count == 7


async def unencrypted(port: int, _authority: Authority, _folder: Path) -> grpc.aio.Channel:
    return client.channel(f"127.0.0.1:{port}")


async def without_one(port: int, authority: Authority, _folder: Path) -> grpc.aio.Channel:
    options = [("grpc.ssl_target_name_override", "memory")]
    trusting = grpc.ssl_channel_credentials(await asyncio.to_thread(authority.file.read_bytes))
    return grpc.aio.secure_channel(f"127.0.0.1:{port}", trusting, options=options)


async def of_another_authority(port: int, authority: Authority, folder: Path) -> grpc.aio.Channel:
    other = Authority(folder / "other")
    await asyncio.to_thread(other.renew, NAMES)
    files = TlsFiles(other.certificate("gateway"), other.key("gateway"), authority.file)
    tls = await asyncio.to_thread(TlsIdentity, files)
    return client.channel(f"127.0.0.1:{port}", tls=tls, peer="memory")


async def to_another_process(port: int, authority: Authority, _folder: Path) -> grpc.aio.Channel:
    return client.channel(f"127.0.0.1:{port}", tls=await identity(authority, "gateway"), peer="storage")


@pytest.mark.parametrize("connect", [unencrypted, without_one, of_another_authority, to_another_process])
async def test_who_is_none_or_finds_another_than_it_looks_for_gets_no_connection(
    server: ChassisServer,
    authority: Authority,
    tmp_path: Path,
    seen: set[int],
    connect: Callable[[int, Authority, Path], Awaitable[grpc.aio.Channel]],
) -> None:
    channel = await connect(server.port, authority, tmp_path)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call(channel)

    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert seen == set()


async def test_a_certificate_of_the_same_authority_that_names_no_process_is_refused(
    server: ChassisServer, authority: Authority, seen: set[int]
) -> None:
    tls = await identity(authority, "stranger")
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call(client.channel(f"127.0.0.1:{server.port}", tls=tls, peer="memory"))

    assert reason(failed.value) == "CREDENTIAL_INVALID"
    assert seen == set()


async def test_a_token_of_a_process_counts_from_that_process_alone(
    server: ChassisServer, authority: Authority
) -> None:
    async def show(name: str) -> Echo:
        tls = await identity(authority, name)
        async with client.channel(f"127.0.0.1:{server.port}", tls=tls, peer="memory") as channel:
            token = tokens.metadata("memory", kind="service")
            answer: Echo = await EchoStub(channel).kernel(Echo(count=7), metadata=token, timeout=5)
            return answer

    assert (await show("memory")).count == 7
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await show("gateway")
    assert reason(failed.value) == "CREDENTIAL_INVALID"


async def test_the_door_asks_agents_for_tokens_and_not_for_certificates(authority: Authority) -> None:
    tls = await identity(authority, "gateway")
    trusting = grpc.ssl_channel_credentials(await asyncio.to_thread(authority.file.read_bytes))
    async with running(EchoServicer().servicer(), tls=tls, trust_ids=False) as server:
        answer = await call(grpc.aio.secure_channel(f"localhost:{server.port}", trusting))

    assert answer.count == 7


async def test_new_certificates_under_load_fail_no_call(
    server: ChassisServer, authority: Authority, seen: set[int]
) -> None:
    ours, theirs = await identity(authority, "gateway"), server._tls
    assert theirs is not None
    failures: list[grpc.aio.AioRpcError] = []
    answered = 0
    done = asyncio.Event()

    async def keep_calling(stub: Any) -> None:
        nonlocal answered
        while not done.is_set():
            try:
                await stub.unary(Echo(count=1), metadata=PLANNER, timeout=10)
                answered += 1
            except grpc.aio.AioRpcError as failure:
                failures.append(failure)

    async with client.channel(f"127.0.0.1:{server.port}", tls=ours, peer="memory") as channel:
        stub = EchoStub(channel)
        chat = stub.chat(metadata=PLANNER, timeout=60)
        callers = [asyncio.create_task(keep_calling(stub)) for _ in range(8)]
        said = []
        for turn in range(5):
            await asyncio.to_thread(authority.renew, NAMES, everything=True)
            await asyncio.gather(ours.refresh(), theirs.refresh())
            wanted = answered + 40
            await until(lambda wanted=wanted: answered >= wanted or bool(failures))  # type: ignore[misc]
            await chat.write(Echo(count=turn))
            said.append((await chat.read()).count)
        done.set()
        await asyncio.gather(*callers)
        await chat.done_writing()
        assert await chat.read() is grpc.aio.EOF

    assert failures == []
    assert said == [0, 1, 2, 3, 4]  # a stream goes on over the connection that it was opened on
    assert len(seen) == 6


async def test_a_server_shows_the_new_certificate_from_the_next_connection_on(
    server: ChassisServer, authority: Authority
) -> None:
    def shown() -> int:
        pem = ssl.get_server_certificate(("127.0.0.1", server.port))
        return x509.load_pem_x509_certificate(pem.encode()).serial_number

    before = await asyncio.to_thread(shown)
    await asyncio.to_thread(authority.renew, NAMES, everything=True)
    assert server._tls is not None
    await server._tls.refresh()

    assert await asyncio.to_thread(shown) != before


async def test_half_of_a_new_pair_is_not_taken_up(authority: Authority) -> None:
    tls = await identity(authority, "gateway")
    told: list[None] = []
    tls.on_change(lambda: told.append(None))
    key = authority.key("gateway")
    old = await asyncio.to_thread(key.read_bytes)
    await asyncio.to_thread(authority.renew, NAMES, everything=True)
    new = await asyncio.to_thread(key.read_bytes)
    await asyncio.to_thread(key.write_bytes, old)
    await tls.refresh()
    assert told == []

    await asyncio.to_thread(key.write_bytes, new)
    await tls.refresh()
    await tls.refresh()
    assert told == [None]


@pytest.mark.parametrize("broken", ["certificate", "key", "authorities"])
def test_what_cannot_be_used_is_named(authority: Authority, tmp_path: Path, broken: str) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"no PEM")
    files = {
        "certificate": authority.certificate("memory"),
        "key": authority.key("memory"),
        "authorities": authority.file,
    }

    with pytest.raises(TlsUnusable, match=str(wrong)):
        TlsIdentity(TlsFiles(**{**files, broken: wrong}))
    with pytest.raises(TlsUnusable, match="is not the key of"):
        TlsIdentity(TlsFiles(**{**files, "key": authority.key("gateway")}))


async def test_settings_that_belong_together_are_all_set(authority: Authority) -> None:
    with pytest.raises(ConfigError, match="belong together"):
        await Process("memory", {"AIOS_TLS_CERT": str(authority.certificate("memory"))}).read_certificate()
    plain = Process("memory", {})
    await plain.read_certificate()
    assert plain.tls is None
