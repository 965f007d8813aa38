"""Credentials, retries and agents against a fake kernel on a real socket."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import aios
from aios import errors
from aios._link import Link
from aios._retry import RetryPolicy
from aios._settings import Target
from aios._tokens import NoToken
from aios._transport import Transport
from aios.kernel import Kernel
from aios.testing import FakeKernel
from aios.testing.server import Handlers
from aios.types.agents import Credential, Hints

QUICK = RetryPolicy(window=5.0, first_delay=0.01, max_delay=0.05)


async def test_an_administrator_registers_finds_and_steers_agents(fake: FakeKernel) -> None:
    async with fake.connect() as kernel:
        handle = await kernel.agents.register(
            "writer", kind="author", hints=Hints(priority=-5, max_wait=1.5), labels={"team": "a"}
        )
        await kernel.agents.register("editor", parent="writer")
        updated = await kernel.agents.update("writer", display_name="The Writer")
        suspended = await kernel.agents.suspend("writer")
        resumed = await kernel.agents.resume("writer")
        listed = await kernel.agents.list()
        watch = aiter(kernel.agents.watch())
        events = [await anext(watch) for _ in listed]
        killed = await kernel.agents.kill("writer")

    assert handle.id == "writer"
    assert handle.agent.hints.priority == -5
    assert handle.agent.hints.max_wait == 1.5
    assert updated.display_name == "The Writer"
    assert updated.labels == {"team": "a"}
    assert suspended.state == "suspended"
    assert resumed.state == "active"
    assert [agent.id for agent in listed] == ["editor", "writer"]
    assert all(event.initial for event in events)
    assert killed == 2


async def test_an_agent_sees_itself_and_not_others(fake: FakeKernel, agent: Kernel) -> None:
    async with fake.connect() as admin:
        await admin.agents.register("other")

    assert (await agent.agents.get()).id == "planner"
    with pytest.raises(errors.PermissionDenied):
        await agent.agents.get("other")


async def test_a_long_list_is_read_page_by_page(fake: FakeKernel) -> None:
    async with fake.connect() as kernel:
        for number in range(12):
            await kernel.agents.register(f"a{number:02}")

        assert len(await kernel.agents.list()) == 12
        assert len(await kernel.agents.list(limit=5)) == 5


async def test_registering_twice_is_an_error_but_a_retry_is_not(fake: FakeKernel) -> None:
    async with fake.connect() as kernel:
        fake.fail_next("RegisterAgent", errors.Unavailable("restarting"))
        await kernel.agents.register("writer")

        with pytest.raises(errors.AlreadyExists) as caught:
            await kernel.agents.register("writer")

    assert caught.value.reason == "AGENT_EXISTS"
    assert caught.value.metadata == {"agent": "agents/writer"}


async def test_an_expired_token_is_renewed_with_the_key(fake: FakeKernel, agent: Kernel) -> None:
    fake.expire_tokens()
    with fake.intercept() as calls:
        answer = await agent.llm.chat("hello")

    assert answer.text == "echo: hello"
    assert calls.count("IssueToken") == 1
    assert calls.count("Generate") == 2


async def test_a_token_that_expired_while_access_was_down_is_renewed_by_the_next_call(
    fake: FakeKernel, agent: Kernel
) -> None:
    fake.expire_tokens()
    fake.fail_next("IssueToken", errors.Unavailable("access is down"))
    fake.fail_next("IssueToken", errors.Unavailable("access is still down"))

    assert (await agent.llm.chat("hello")).text == "echo: hello"


async def test_a_token_is_renewed_before_it_expires() -> None:
    async with FakeKernel(token_life=0.3) as fake, fake.agent() as agent:
        for _ in range(8):
            await agent.agents.get()
            await agent.llm.chat("x", timeout=1.0)
            await asyncio.sleep(0.06)

        assert sum(call.method == "IssueToken" for call in fake.calls) >= 1


async def test_a_bare_token_is_not_renewed(fake: FakeKernel) -> None:
    async with fake.connect() as admin:
        handle = await admin.agents.register("writer")
        bare = admin.as_agent(handle.credential.token)
        fake.expire_tokens()

        with pytest.raises(errors.Unauthenticated):
            await bare.agents.get()


async def test_an_expired_credential_without_a_key_is_refused_at_once(fake: FakeKernel) -> None:
    async with fake.connect() as admin:
        with pytest.raises(errors.CredentialExpired):
            admin.as_agent(Credential(token="t", expire_time=datetime.fromtimestamp(0, UTC)))


async def test_an_agent_connects_with_its_key_alone(fake: FakeKernel) -> None:
    async with fake.connect() as admin:
        handle = await admin.agents.register("writer")
    async with aios.connect(fake.endpoint, agent_key=handle.credential.agent_key) as kernel:
        assert (await kernel.agents.get()).id == "writer"


async def test_the_admin_token_file_is_the_default(
    fake: FakeKernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "admin.token").write_text(fake.admin_token + "\n")
    monkeypatch.setenv("AIOS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("AIOS_ENDPOINT", fake.endpoint)
    monkeypatch.delenv("AIOS_TOKEN", raising=False)

    async with aios.connect() as kernel:
        assert await kernel.agents.list() == []


async def test_a_missing_token_file_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOS_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("AIOS_TOKEN", raising=False)

    async with aios.connect("127.0.0.1:1") as kernel:
        with pytest.raises(errors.Unauthenticated, match="aios up"):
            await kernel.agents.list()


async def test_a_restart_of_the_kernel_is_invisible(fake: FakeKernel) -> None:
    async with fake.connect() as kernel:
        await kernel.agents.register("before")
        port = fake.endpoint
        await fake.stop()
        waiting = asyncio.create_task(kernel.agents.list())
        await asyncio.sleep(0.3)
        await fake.start(port)

        assert [agent.id for agent in await waiting] == ["before"]


async def test_a_kernel_that_stays_away_is_an_error_after_the_window() -> None:
    async with aios.connect("127.0.0.1:1", "t", retry=RetryPolicy(window=0.1)) as kernel:
        with pytest.raises(errors.Unavailable):
            await kernel.agents.list()


async def test_errors_carry_what_the_kernel_said(fake: FakeKernel, agent: Kernel) -> None:
    told = errors.InvalidRequest(
        "2 rules are broken", violations=(errors.Violation("agent.kind", "is too long"),), metadata={"a": "b"}
    )
    fake.fail_next("GetAgent", told)

    with pytest.raises(errors.InvalidRequest) as caught:
        await agent.agents.get()

    assert caught.value.violations == told.violations
    assert caught.value.metadata == {"a": "b"}
    assert "agent.kind: is too long" in str(caught.value)


async def test_kernels_of_one_loop_share_a_channel(fake: FakeKernel) -> None:
    async with fake.connect() as one, fake.connect() as two:
        assert await one._transport.link.channel() is await two._transport.link.channel()


async def test_a_fake_kernel_complains_about_what_was_never_used() -> None:
    with pytest.raises(AssertionError, match="never used"):
        async with FakeKernel() as fake:
            fake.reply("unheard")


async def test_a_connection_is_encrypted_and_the_server_checked(tmp_path: Path) -> None:
    certificate, key = await asyncio.to_thread(self_signed, tmp_path)
    server = grpc.aio.server()
    pair = (await asyncio.to_thread(key.read_bytes), await asyncio.to_thread(certificate.read_bytes))
    async with FakeKernel() as fake:
        server.add_generic_rpc_handlers((Handlers(fake),))
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
        await server.start()
        trusted = Target(f"localhost:{port}", tls=True, ca_file=str(certificate))
        strangers = Target(f"localhost:{port}", tls=True)
        assert await _ping(trusted) > 0
        with pytest.raises(errors.Unavailable):
            await _ping(strangers)
        await server.stop(None)


async def _ping(target: Target) -> float:
    async with Kernel(Transport(Link(target), NoToken(), RetryPolicy(window=0)), owner=True) as kernel:
        return await kernel.ping()


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*form))
    return folder / "cert.pem", folder / "key.pem"


async def test_an_agent_is_found_again_and_lives_on_without_its_key(fake: FakeKernel) -> None:
    async with fake.connect() as kernel:
        first = await kernel.agents.get_or_register("guide", kind="helper")
        again = await kernel.agents.get_or_register("guide", kind="other")
        guide = kernel.as_agent(again)
        fake.expire_tokens()

        assert (await guide.agents.get()).kind == "helper"
    assert (first.existed, again.existed, again.credential.agent_key) == (False, True, "")
    with pytest.raises(ValueError, match="id"):
        await kernel.agents.get_or_register("")


async def test_a_lost_key_is_replaced(fake: FakeKernel) -> None:
    async with fake.connect() as kernel:
        lost = await kernel.agents.register("guide")
        kept = await kernel.agents.issue_key("guide", old_keys="keep")
        assert (await kernel.as_agent(lost).agents.get()).id == "guide"
        made = await kernel.agents.issue_key("guide", old_keys="end_with_tokens", reason="lost")
        for ended in (lost, kept):
            with pytest.raises(errors.Unauthenticated):
                await kernel.as_agent(ended).agents.get()

        assert (await kernel.as_agent(made).agents.get()).id == "guide"
        with pytest.raises(errors.PermissionDenied):
            await kernel.as_agent(made).agents.issue_key("me")
        with pytest.raises(ValueError, match="old_keys"):
            await kernel.agents.issue_key("guide", old_keys="burn")  # type: ignore[arg-type]


async def test_an_agent_is_deleted_and_its_id_stays_its_own(fake: FakeKernel) -> None:
    async with fake.connect() as kernel:
        await kernel.agents.register("guide")
        gone = await kernel.agents.delete("guide", reason="done")
        with pytest.raises(errors.NotFound):
            await kernel.agents.get("guide")
        with pytest.raises(errors.AlreadyExists):
            await kernel.agents.get_or_register("guide")

    assert gone.purging
