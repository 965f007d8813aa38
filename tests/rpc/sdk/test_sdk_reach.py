"""A connection that cannot be made says why; one that is forgotten says so and leaks nothing."""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest

import aios
from aios import _channel, errors
from aios._retry import RetryPolicy
from aios.kernel import Kernel
from aios.testing import FakeKernel
from aios.testing.server import Handlers
from tests.rpc.sdk.test_sdk_connection import self_signed

SOON = RetryPolicy(connect_window=0.2)


@asynccontextmanager
async def encrypted(
    fake: FakeKernel, folder: Path, *, mutual: bool = False
) -> AsyncIterator[tuple[int, Path]]:
    """Let a fake kernel listen over TLS too; yields the port and the certificate."""
    certificate, key = await asyncio.to_thread(self_signed, folder)
    pair = (await asyncio.to_thread(key.read_bytes), await asyncio.to_thread(certificate.read_bytes))
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Handlers(fake),))
    credentials = grpc.ssl_server_credentials([pair], pair[1] if mutual else None, mutual)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    yield port, certificate
    await server.stop(None)


@contextmanager
def answering(reply: bytes) -> Iterator[int]:
    """Listen on a port where every connection is answered with the same bytes and then kept."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kept: list[socket.socket] = []

        def serve() -> None:
            try:
                while True:
                    connection, _ = listening.accept()
                    kept.append(connection)
                    connection.sendall(reply)
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in kept:
                connection.close()


async def unreachable(endpoint: str) -> errors.KernelUnreachable:
    async with aios.connect(endpoint, "t", retry=SOON) as kernel:
        with pytest.raises(errors.KernelUnreachable) as caught:
            await kernel.agents.list()
    return caught.value


async def test_a_kernel_that_is_away_is_an_error_that_says_what_to_do() -> None:
    error = await unreachable("127.0.0.1:1")

    assert error.metadata == {"address": "127.0.0.1:1", "cause": "refused"}
    assert "no kernel listens at 127.0.0.1:1" in str(error)
    for way_out in ("aios up", "make run", "AIOS_ENDPOINT"):
        assert way_out in error.hint
    assert error.hint in "".join(traceback.format_exception(error))


async def test_a_kernel_that_never_answered_is_given_up_long_before_the_retry_window() -> None:
    begun = time.monotonic()
    async with aios.connect(
        "127.0.0.1:1", "t", retry=RetryPolicy(window=600.0, connect_window=0.1)
    ) as kernel:
        with pytest.raises(errors.KernelUnreachable):
            await kernel.llm.chat("hello")
        with pytest.raises(errors.KernelUnreachable):
            async for _ in kernel.agents.watch():
                pass

    assert time.monotonic() - begun < 60  # of the window's 600


def test_the_first_contact_takes_at_most_two_seconds_by_default() -> None:
    assert RetryPolicy().connect_window == 2.0


async def test_a_kernel_that_answered_once_is_waited_for(fake: FakeKernel) -> None:
    async with aios.connect(fake.endpoint, fake.admin_token, retry=RetryPolicy(first_delay=0.01)) as kernel:
        await kernel.agents.register("before")
        await fake.stop()
        waiting = asyncio.create_task(kernel.agents.list())
        await asyncio.sleep(0.05)
        await fake.start(fake.endpoint)

        assert [agent.id for agent in await waiting] == ["before"]


async def test_an_unknown_host_is_named() -> None:
    error = await unreachable("nowhere.invalid:7070")

    assert error.metadata["cause"] == "unknown_host"
    assert "nowhere.invalid" in error.message


async def test_plain_text_to_a_kernel_with_tls_is_told(fake: FakeKernel, tmp_path: Path) -> None:
    async with encrypted(fake, tmp_path) as (port, _):
        error = await unreachable(f"localhost:{port}")

    assert error.metadata["cause"] == "plaintext_expected"
    assert f"https://localhost:{port}" in error.hint
    assert "AIOS_CA_FILE" in error.hint


async def test_tls_to_a_kernel_without_it_is_told(fake: FakeKernel) -> None:
    error = await unreachable(f"https://{fake.endpoint}")

    assert error.metadata["cause"] == "tls_expected"
    assert f"Write {fake.endpoint} without https://" in error.hint


async def test_a_certificate_of_another_authority_is_told(
    fake: FakeKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other, _ = await asyncio.to_thread(self_signed, tmp_path / "other")
    monkeypatch.setenv("AIOS_CA_FILE", str(other))
    async with encrypted(fake, tmp_path) as (port, certificate):
        wrong = await unreachable(f"https://localhost:{port}")
        monkeypatch.setenv("AIOS_CA_FILE", str(certificate))
        wrong_name = await unreachable(f"https://127.0.0.1:{port}")
        async with aios.connect(f"https://localhost:{port}", fake.admin_token) as kernel:
            assert await kernel.agents.list() == []

    assert wrong.metadata["cause"] == wrong_name.metadata["cause"] == "certificate"
    assert f"AIOS_CA_FILE={other}" in wrong.message
    assert "127.0.0.1" in wrong_name.message


async def test_a_missing_certificate_of_the_client_is_told(
    fake: FakeKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with encrypted(fake, tmp_path, mutual=True) as (port, certificate):
        monkeypatch.setenv("AIOS_CA_FILE", str(certificate))
        error = await unreachable(f"https://localhost:{port}")

    assert error.metadata["cause"] == "client_certificate"
    assert "AIOS_CERTIFICATE_FILE" in error.hint


async def test_a_certificate_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOS_CA_FILE", "/no/such/ca.pem")
    async with aios.connect("https://127.0.0.1:1", "t") as kernel:
        with pytest.raises(errors.PreconditionFailed, match=r"/no/such/ca\.pem") as caught:
            await kernel.ping()
    assert "AIOS_CA_FILE" in caught.value.hint


async def test_the_door_for_http_is_told_from_the_kernels_port() -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        error = await unreachable(f"127.0.0.1:{port}")

    assert error.metadata["cause"] == "http"
    assert f"127.0.0.1:{port - 20}" in error.hint


@pytest.mark.parametrize(("reply", "cause"), [(b"", "silent"), (b"220 mail ESMTP\r\n", "other")])
async def test_a_stranger_on_the_port_is_no_kernel(reply: bytes, cause: str) -> None:
    with answering(reply) as port:
        error = await unreachable(f"127.0.0.1:{port}")

    assert error.metadata["cause"] == cause


async def test_a_credential_that_expired_says_how_to_get_another(fake: FakeKernel) -> None:
    async with fake.connect() as admin:
        handle = await admin.agents.register("writer")
    fake.expire_tokens()
    async with aios.connect(fake.endpoint, handle.credential.token) as kernel:
        with pytest.raises(errors.Unauthenticated) as expired:
            await kernel.agents.get()
    async with aios.connect(fake.endpoint, agent_key="another-kernels") as kernel:
        with pytest.raises(errors.Unauthenticated) as unknown:
            await kernel.agents.get()

    assert "AIOS_AGENT_KEY" in expired.value.hint
    assert "another kernel's, or was revoked" in unknown.value.hint


async def test_connect_works_with_await_without_it_and_as_a_block(fake: FakeKernel) -> None:
    plain = aios.connect(fake.endpoint, fake.admin_token)
    awaited = await aios.connect(fake.endpoint, fake.admin_token)
    async with aios.connect(fake.endpoint, fake.admin_token) as entered:
        for kernel in (plain, awaited, entered):
            assert isinstance(kernel, Kernel)
            assert await kernel.agents.list() == []
    await plain.close()
    await plain.close()
    await awaited.close()

    for kernel in (plain, awaited, entered):
        with pytest.raises(errors.ConnectionClosed, match=r"aios\.connect\(\)"):
            await kernel.agents.list()


async def test_only_the_kernel_that_was_connected_closes_the_connection(fake: FakeKernel) -> None:
    async with aios.connect(fake.endpoint, fake.admin_token) as admin:
        async with admin.as_agent(await admin.agents.register("guest")) as guest:
            assert (await guest.agents.get()).id == "guest"

        assert len(await admin.agents.list()) == 1


def test_one_kernel_serves_one_event_loop_after_the_other() -> None:
    async def listed(kernel: Kernel, fake: FakeKernel) -> int:
        async with fake:
            return len(await kernel.agents.list())

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    kernel = aios.connect(f"127.0.0.1:{port}")

    async def once() -> None:
        fake = FakeKernel()
        await fake.start(f"127.0.0.1:{port}")
        assert await kernel.as_agent(fake.admin_token).agents.list() == []
        await fake.stop()

    asyncio.run(once())
    asyncio.run(once())
    asyncio.run(kernel.close())


async def test_a_kernel_shows_where_it_is_and_who_it_is_and_no_secret(fake: FakeKernel) -> None:
    async with aios.connect(fake.endpoint, fake.admin_token) as admin:
        handle = await admin.agents.register("writer")
        agent = admin.as_agent(handle)

        assert repr(agent) == f"<aios.Kernel at {fake.endpoint} as agents/writer>"
        assert fake.endpoint in repr(admin)
        assert fake.admin_token not in repr(admin)
    assert repr(admin).endswith(", closed>")


@pytest.mark.filterwarnings("always::ResourceWarning")
async def test_a_forgotten_close_warns_and_leaks_no_channel(fake: FakeKernel) -> None:
    kernel = aios.connect(fake.endpoint, fake.admin_token)
    await kernel.agents.list()
    shared = _channel._channels[asyncio.get_running_loop()]
    assert len(shared) == 1

    with pytest.warns(ResourceWarning, match=r"unclosed <connection to .*await kernel\.close\(\)"):
        del kernel

    assert not shared


async def test_a_kernel_that_was_never_used_holds_nothing_and_warns_of_nothing(fake: FakeKernel) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kernel = aios.connect(fake.endpoint)
        del kernel
        gc.collect()


def test_a_synchronous_kernel_that_is_closed_leaves_no_thread_behind() -> None:
    kernel = aios.connect_sync("127.0.0.1:1", "t", retry=SOON)
    (thread,) = [one for one in threading.enumerate() if one.name == "aios"]
    with pytest.raises(errors.KernelUnreachable):
        kernel.agents.list()
    kernel.close()
    kernel.close()

    assert not thread.is_alive()
    with pytest.raises(errors.ConnectionClosed):
        kernel.agents.list()
    forgotten = aios.connect_sync("127.0.0.1:1", "t")
    (thread,) = [one for one in threading.enumerate() if one.name == "aios"]
    del forgotten
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def test_a_failed_handshake_writes_nothing_of_grpcs_own_to_the_standard_error() -> None:
    script = """
        import socket, ssl, threading, aios
        listening = socket.create_server(("127.0.0.1", 0))
        def serve():
            while True:
                connection, _ = listening.accept()
                connection.sendall(b"no TLS here at all, and nothing like it")
        threading.Thread(target=serve, daemon=True).start()
        with aios.connect_sync(f"https://127.0.0.1:{listening.getsockname()[1]}", "t") as kernel:
            try:
                kernel.agents.list()
            except aios.errors.KernelUnreachable as error:
                print(error.reason)
    """
    words = [sys.executable, "-c", "import aios.errors\n" + textwrap.dedent(script)]
    clean = {name: value for name, value in os.environ.items() if name != "GRPC_VERBOSITY"}
    done = subprocess.run(words, capture_output=True, text=True, env=clean, check=False, timeout=30)

    assert done.stdout == "KERNEL_UNREACHABLE\n"
    assert done.stderr == ""
