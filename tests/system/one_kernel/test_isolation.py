"""No agent sees or changes what belongs to another: every method, tried by strangers with amy's own names."""

import asyncio
import base64
import hmac
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.message import Message

from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2
from aios.api.gateway.v1 import gateway_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.scheduler.v1 import scheduler_pb2
from aios.api.storage.v1 import storage_pb2
from gateway.routing import manager_of
from services.access.adapters.keys import KeyFile
from services.chassis.rpc.methods import Audience
from tests.fakes.kernel import chat
from tests.system.cluster import Cluster
from tests.system.one_kernel.secrets_of_amy import (
    AMY,
    MARK,
    READS,
    Probes,
    Secrets,
    everything,
    keep_secrets,
    marked,
)
from tests.system.world import (
    FROM_OUTSIDE,
    METHODS,
    Metadata,
    Outcome,
    Stubs,
    bearer,
    grpc_ports,
    open_channel,
    send,
    watching,
)

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(120),
    pytest.mark.asyncio(loop_scope="package"),
]


@dataclass
class World:
    """A kernel with amy, who has secrets, and strangers: bob of her tenant, carol and an amy of another."""

    kernel: Cluster
    stubs: Stubs
    admin: Metadata
    amy: Metadata
    strangers: dict[str, Metadata]
    kept: Secrets
    probes: Probes


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def world(kernel: Cluster) -> AsyncIterator[World]:
    async with open_channel(kernel.plan.gateway) as channel:
        stubs, admin = Stubs(channel), bearer(kernel.admin_token)
        amy = await stubs.register(admin, "amy")
        strangers = {
            "bob": await stubs.register(admin, "bob"),
            "amy of rival": await stubs.register(admin, "amy", "rival"),
            "carol of rival": await stubs.register(admin, "carol", "rival"),
        }
        await stubs.register(admin, "dora")
        kept = await keep_secrets(stubs, amy)
        yield World(kernel, stubs, admin, amy, strangers, kept, Probes(kept))


COMMONS = {
    "access.v1.AccessService/GetApproval",
    "access.v1.AccessService/GetGroup",
    "access.v1.AccessService/GetJwks",
    "access.v1.AccessService/GetPolicy",
    "access.v1.AccessService/IssueToken",
    "access.v1.AccessService/ListApprovals",
    "access.v1.AccessService/ListGrants",
    "access.v1.AccessService/ListGroups",
    "access.v1.AccessService/ListMembers",
    "access.v1.AccessService/ListPolicies",
    "access.v1.AccessService/ListPolicyVersions",
    "access.v1.AccessService/WatchApprovals",
    "access.v1.AccessService/WhoAmI",
    "inference.v1.InferenceService/CountTokens",
    "inference.v1.InferenceService/Embed",
    "inference.v1.InferenceService/Generate",
    "inference.v1.InferenceService/ListModels",
    "inference.v1.InferenceService/StreamGenerate",
    "scheduler.v1.SchedulerService/GetPolicy",
    "scheduler.v1.SchedulerService/GetQueue",
    "tool.v1.ToolService/CallTool",
    "tool.v1.ToolService/CompleteCall",
    "tool.v1.ToolService/GetTool",
    "tool.v1.ToolService/ListMcpServers",
    "tool.v1.ToolService/ListTools",
    "tool.v1.ToolService/ReportCallProgress",
}
"""Methods about the caller itself or what its tenant shares. Whatever is not here is refused to strangers."""
LAST = (
    "agent.v1.AgentService/SuspendAgent",
    "agent.v1.AgentService/ResumeAgent",
    "agent.v1.AgentService/KillAgent",
    "access.v1.AccessService/RevokeToken",
)
"""What ends the caller itself where the name is its own: tried after everything else."""
WATCHES = {
    "access.v1.AccessService/WatchApprovals": access_pb2.WatchApprovalsRequest(),
    "agent.v1.AgentService/WatchAgents": agent_pb2.WatchAgentsRequest(),
    "gateway.v1.GatewayService/WatchSyscalls": gateway_pb2.WatchSyscallsRequest(
        name="agents/me", descendants=True
    ),
    "scheduler.v1.SchedulerService/WatchSchedule": scheduler_pb2.WatchScheduleRequest(),
    "storage.v1.StorageService/WatchFiles": storage_pb2.WatchFilesRequest(parent="agents/me/files"),
}


async def attack(world: World, who: str) -> list[Outcome]:
    """Try every method about amy's things as a stranger."""
    agent = who.split(maxsplit=1)[0]
    labels = [*(each for each in FROM_OUTSIDE if each not in LAST), *LAST]
    requests = [
        (label, request)
        for label in labels
        for request in (*world.probes.of(label), *world.probes.with_own(label, agent))
    ]
    # Afterwards, what the stranger has itself: a copy would show there.
    requests += [(label, request) for label in READS for request in world.probes.with_own(label, agent)]
    return [
        await send(world.stubs.channel, label, request, world.strangers[who]) for label, request in requests
    ]


async def test_strangers_learn_nothing_and_change_nothing(world: World) -> None:
    before = await everything(world.stubs, world.amy, world.probes)
    attacks = dict(
        zip(
            world.strangers,
            await asyncio.gather(*(attack(world, who) for who in world.strangers)),
            strict=True,
        )
    )
    after = await everything(world.stubs, world.amy, world.probes)

    for who, outcomes in attacks.items():
        leaks = [outcome.text for outcome in outcomes if marked(outcome)]
        assert leaks == [], who
        broken = [each.text for each in outcomes if each.reason == "INTERNAL" or each.code.name == "UNKNOWN"]
        assert broken == [], who
    for label, messages in before.items():
        assert messages == after[label], label


async def test_whatever_is_amys_is_refused_by_name(world: World) -> None:
    for who in ("bob", "carol of rival"):
        for label in FROM_OUTSIDE:
            if label in COMMONS:
                continue
            for request in world.probes.of(label):
                outcome = await send(world.stubs.channel, label, request, world.strangers[who])

                assert outcome.reason == "PERMISSION_DENIED", f"{who}: {outcome.text}"


async def test_the_table_names_no_method_that_is_gone() -> None:
    assert COMMONS | set(LAST) | set(WATCHES) | set(READS) <= set(METHODS)


async def test_watching_strangers_see_nothing_of_what_amy_does(world: World) -> None:
    seen: list[bytes] = []
    watches = [
        asyncio.create_task(watching(world.stubs.channel, label, request, world.strangers[who], seen))
        for label, request in WATCHES.items()
        for who in ("bob", "carol of rival")
    ]
    own: list[bytes] = []
    schedule = WATCHES["scheduler.v1.SchedulerService/WatchSchedule"]
    label = "scheduler.v1.SchedulerService/WatchSchedule"
    watches.append(asyncio.create_task(watching(world.stubs.channel, label, schedule, world.amy, own)))
    try:
        while b"".join(own).count(MARK.encode()) < 20:
            await _act(world)
    finally:
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)

    assert MARK.encode() not in b"".join(seen)


async def _act(world: World) -> None:
    """Have amy do things whose names are marked."""
    call = secrets.token_hex(4)
    write = storage_pb2.WriteFileRequest(name=f"{AMY}/files/{MARK}-now.txt", content=MARK.encode())
    await world.stubs.storage.WriteFile(write, metadata=world.amy)
    request = chat("hello", max_tokens=2, request_id=f"{MARK}-{call}")
    await world.stubs.inference.Generate(request, metadata=world.amy)


NOTE = memory_pb2.GetNoteRequest(name=f"{AMY}/notes/secret")
GET = "memory.v1.MemoryService/GetNote"


async def test_a_grant_opens_exactly_what_it_names_until_it_is_revoked(world: World) -> None:
    channel, bob = world.stubs.channel, world.strangers["bob"]
    grant = {"grantee": "agents/bob", "resource": NOTE.name, "actions": ["memory.read"]}
    made = await world.stubs.access.CreateGrant(
        access_pb2.CreateGrantRequest(grant=grant), metadata=world.amy
    )
    granted = await _until(channel, GET, NOTE, bob, "")
    beside = [
        await send(channel, label, request, metadata)
        for label, request, metadata in [
            (GET, memory_pb2.GetNoteRequest(name=f"{AMY}/notes/other"), bob),
            (GET, NOTE, world.strangers["carol of rival"]),
            ("memory.v1.MemoryService/ListNotes", memory_pb2.ListNotesRequest(parent=AMY), bob),
            ("memory.v1.MemoryService/DeleteNote", memory_pb2.DeleteNoteRequest(name=NOTE.name), bob),
        ]
    ]
    await world.stubs.access.RevokeGrant(
        access_pb2.RevokeGrantRequest(name=made.grant.name), metadata=world.amy
    )
    ended = await _until(channel, GET, NOTE, bob, "PERMISSION_DENIED")

    assert f"{MARK}-note".encode() in granted.seen
    assert [each.reason for each in beside] == ["PERMISSION_DENIED"] * 4
    assert not any(marked(each) for each in [*beside, ended])


async def test_a_shared_file_is_readable_until_the_share_is_revoked(world: World) -> None:
    channel, bob = world.stubs.channel, world.strangers["bob"]
    name, read = f"{AMY}/files/plan.txt", "storage.v1.StorageService/ReadFile"
    share = storage_pb2.ShareFileRequest(name=name, grantee="agents/bob", role="SHARE_ROLE_READER")
    await world.stubs.storage.ShareFile(share, metadata=world.amy)
    granted = await _until(channel, read, storage_pb2.ReadFileRequest(name=name), bob, "")
    write = storage_pb2.WriteFileRequest(name=name, content=b"mine")
    written = await send(channel, "storage.v1.StorageService/WriteFile", write, bob)
    revoke = storage_pb2.RevokeShareRequest(name=name, grantee="agents/bob")
    await world.stubs.storage.RevokeShare(revoke, metadata=world.amy)
    ended = await _until(channel, read, storage_pb2.ReadFileRequest(name=name), bob, "PERMISSION_DENIED")

    assert marked(granted)
    assert written.reason == "PERMISSION_DENIED"
    assert not marked(ended)


async def _until(
    channel: grpc.aio.Channel, label: str, request: Message, metadata: Metadata, wanted: str
) -> Outcome:
    """Send a call until it ends with the reason wanted; a change of the rules travels for a moment."""
    async with asyncio.timeout(20):
        while (outcome := await send(channel, label, request, metadata)).reason != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return outcome


async def test_an_identity_in_the_body_or_beside_the_credential_is_ignored(world: World) -> None:
    stubs = world.stubs
    bob = (*world.strangers["bob"], ("aios-agent", "amy"), ("aios-tenant", "rival"), ("x-agent", "amy"))
    note: Any = {"name": "agents/me/notes/mine", "content": "c", "writer": AMY}
    put = await stubs.memory.PutNote(memory_pb2.PutNoteRequest(note=note), metadata=bob)
    grant: Any = {
        "grantee": "agents/dora",
        "resource": "agents/me/notes/mine",
        "actions": ["memory.read"],
        "creator": AMY,
    }
    granted = await stubs.access.CreateGrant(access_pb2.CreateGrantRequest(grant=grant), metadata=bob)
    child = agent_pb2.RegisterAgentRequest(agent_id="child-of-bob", tenant="rival")
    registered = await send(stubs.channel, "agent.v1.AgentService/RegisterAgent", child, bob)

    assert (put.note.name, put.note.writer) == ("agents/bob/notes/mine", "agents/bob")
    assert granted.grant.creator == "agents/bob"
    assert not registered.messages or registered.messages[0].agent.tenant == "default"


@dataclass(frozen=True)
class Forge:
    """Makes bad tokens out of a good one, with the true key, so that only one thing is wrong with each."""

    token: str
    key: Ed25519PrivateKey

    @property
    def claims(self) -> dict[str, Any]:
        """Claims of the good token."""
        claims: dict[str, Any] = jwt.decode(self.token, options={"verify_signature": False})
        return claims

    @property
    def kid(self) -> str:
        """Name of the true key."""
        return str(jwt.get_unverified_header(self.token)["kid"])

    def signed(self, key: Ed25519PrivateKey | None = None, kid: str = "", **claims: Any) -> str:
        """Sign the claims, some replaced, with the true key or another."""
        headers = {"kid": kid or self.kid}
        return jwt.encode({**self.claims, **claims}, key or self.key, algorithm="EdDSA", headers=headers)

    def confused(self, secret: bytes) -> str:
        """Sign with the public key as a shared secret, as a confused verifier would check it."""
        head = _b64(json.dumps({"alg": "HS256", "typ": "JWT", "kid": self.kid}).encode())
        body = f"{head}.{_b64(json.dumps(self.claims).encode())}"
        return f"{body}.{_b64(hmac.digest(secret, body.encode(), 'sha256'))}"

    def invalid(self) -> dict[str, str]:
        """Return every kind of token that is no credential."""
        public, now = self.key.public_key(), int(self.claims["iat"])
        body, _, signature = self.token.rpartition(".")
        return {
            "forged signature": self.signed(Ed25519PrivateKey.generate()),
            "broken signature": f"{body}.{signature[::-1]}",
            "no signature": f"{body}.",
            "alg none": jwt.encode(self.claims, "", algorithm="none", headers={"kid": self.kid}),
            "HS256 with the raw key": self.confused(public.public_bytes_raw()),
            "HS256 with the PEM key": self.confused(
                public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            ),
            "unknown key": self.signed(Ed25519PrivateKey.generate(), kid="other"),
            "wrong audience": self.signed(aud="another-kernel"),
            "foreign issuer": self.signed(iss="https://issuer.example"),
            "longer life than allowed": self.signed(exp=now + 10 * 86_400),
            "from the future": self.signed(iat=now + 3_600, exp=now + 4_000),
            "unknown kind": self.signed(kind="root"),
            "no token at all": "not.a.token",
        }


async def bad_credentials(world: World, door: str) -> dict[str, tuple[Metadata, str]]:
    """Return how a bad caller comes to a process, with the reason it is refused for."""
    path = world.kernel.plan.data_dir / "access-keys.json"
    keys = await asyncio.to_thread(KeyFile, path, datetime.now(UTC))
    good = world.amy[0][1].removeprefix("Bearer ")
    private = keys._keys[0].private
    forge = Forge(Forge(good, private).signed(aud=door), private)
    bad = {name: (bearer(token), "CREDENTIAL_INVALID") for name, token in forge.invalid().items()}
    now = int(forge.claims["iat"])
    bad["expired"] = (bearer(forge.signed(iat=now - 700, exp=now - 100)), "CREDENTIAL_EXPIRED")
    if door != "gateway":
        bad["what an agent holds, past the gateway"] = (bearer(good), "CREDENTIAL_INVALID")
    bad["missing"] = ((), "CREDENTIAL_MISSING")
    bad["another scheme"] = ((("authorization", "Basic YW15OmFteQ=="),), "CREDENTIAL_MISSING")
    return bad


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def test_every_method_refuses_every_bad_credential(world: World) -> None:
    async with AsyncExitStack() as stack:
        doors = {
            name: await stack.enter_async_context(open_channel(f"127.0.0.1:{port}"))
            for name, port in grpc_ports(world.kernel.plan).items()
        }
        comers = {name: await bad_credentials(world, name) for name in doors}
        for label, method in METHODS.items():
            if method.audience is Audience.PUBLIC:
                continue
            behind = manager_of(method.path) or "gateway"
            for door in {behind, "gateway"} if label in FROM_OUTSIDE else {behind}:
                bad = comers[door]
                outcomes = await asyncio.gather(
                    *(send(doors[door], label, b"", metadata, sample=20.0) for metadata, _ in bad.values())
                )
                for (name, (_, reason)), outcome in zip(bad.items(), outcomes, strict=True):
                    refusal = (outcome.code, outcome.reason)
                    expected = (grpc.StatusCode.UNAUTHENTICATED, reason)

                    assert refusal == expected, f"{name} at {door}: {outcome.text}"
