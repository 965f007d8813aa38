"""Being somebody else: forged tokens, managers past the gateway, services' names, approvals of one's own."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import jwt

from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.storage.v1 import storage_pb2
from tests.redteam.attacks.room import brood
from tests.redteam.fire import Fire, attack
from tests.redteam.ground import Ground
from tests.system.world import bearer

ACCESS = "access.v1.AccessService/"


def _part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def forgeries(token: str, victim: str) -> Iterator[str]:
    """Yield tokens that claim to be the victim."""
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    stolen = {**claims, "sub": victim}
    signature = token.split(".")[2]
    yield f"{_part({**header, 'alg': 'none'})}.{_part(stolen)}."
    yield f"{_part(header)}.{_part(stolen)}.{signature}"
    yield f"{_part({**header, 'jwk': {'kty': 'OKP'}})}.{_part(stolen)}.{signature}"
    yield jwt.encode(
        stolen, "secret-of-thirty-two-bytes-at-least!", algorithm="HS256", headers={"kid": header["kid"]}
    )
    for change in ({"kind": "admin"}, {"kind": "service"}, {"tenant": "system"}, {"exp": time.time() + 1e9}):
        yield f"{_part(header)}.{_part({**claims, **change})}.{signature}"
    yield "a" * 8_000
    yield token + "A"
    yield "." * 1_000


@attack("forged-tokens", "acting as another agent, an administrator or a service")
async def forged(ground: Ground, fire: Fire) -> None:
    notes = memory_pb2.ListNotesRequest(parent=f"agents/{ground.victim}")
    async with ground.channel() as channel:
        tokens = list(forgeries(ground.token, ground.victim))

        async def shoot(number: int) -> None:
            how = bearer(tokens[number % len(tokens)])
            outcome = await fire.call(channel, "memory.v1.MemoryService/ListNotes", notes, how)
            fire.never(outcome.code.name == "OK", "a forged token was taken")

        await fire.together(shoot, workers=16)


@attack("past-the-gateway", "managers called directly, with methods that only the kernel has")
async def past(ground: Ground, fire: Fire) -> None:
    calls: list[tuple[str, str, Any]] = [
        (
            "memory",
            "memory.v1.MemoryService/ListNotes",
            memory_pb2.ListNotesRequest(parent=f"agents/{ground.agent}"),
        ),
        (
            "storage",
            "storage.v1.StorageService/ListFiles",
            storage_pb2.ListFilesRequest(parent=f"agents/{ground.agent}/files"),
        ),
        ("access", ACCESS + "Check", access_pb2.CheckRequest(action="memory.read")),
        ("access", ACCESS + "UseApproval", access_pb2.UseApprovalRequest(tenant="acme", name="approvals/a")),
        ("access", ACCESS + "AppendAudit", access_pb2.AppendAuditRequest(tenant="acme")),
        ("access", ACCESS + "WatchRevision", access_pb2.WatchRevisionRequest()),
    ]
    stranger = memory_pb2.ListNotesRequest(parent=f"agents/{ground.stranger}")

    async def shoot(number: int) -> None:
        name, label, request = calls[number % len(calls)]
        async with ground.channel(name) as channel:
            outcome = await fire.call(channel, label, request, timeout=5.0)
            fire.never(outcome.code.name == "OK", f"{label} past the gateway answered what an agent holds")
            outcome = await fire.call(channel, label, request, ())
            fire.never(outcome.code.name == "OK", f"{label} answered without a credential")
        async with ground.channel() as channel:
            outcome = await fire.call(channel, "memory.v1.MemoryService/ListNotes", stranger)
            fire.never(outcome.code.name == "OK" and len(outcome.seen) > 40, "read another tenant's notes")

    await fire.together(shoot, workers=8)


@attack("services-names", "tokens for a service, keys that are guessed")
async def services(ground: Ground, fire: Fire) -> None:
    async with ground.channel("access") as channel:

        async def shoot(number: int) -> None:
            request = access_pb2.IssueTokenRequest()
            if number % 2:
                request.service_key.service, request.service_key.key = "gateway", f"guess{number}" * 4
            else:
                request.agent_key.key = f"{ground.key[:-4]}{number:04d}"
            outcome = await fire.call(channel, ACCESS + "IssueToken", request, ())
            fire.never(outcome.code.name == "OK", "a guessed key was exchanged for a token")

        await fire.together(shoot, workers=8)


@attack("own-approvals", "approving one's own calls, by children, grants and groups")
async def approvals(ground: Ground, fire: Fire) -> None:
    async with ground.channel() as channel:
        kin = await brood(ground, fire, channel, 4, "kin")

        async def shoot(number: int) -> None:
            everybody = [ground.metadata, *kin.values()]
            how = everybody[number % len(everybody)]
            listed = await fire.call(
                channel, ACCESS + "ListApprovals", access_pb2.ListApprovalsRequest(), how
            )
            names = [one.name for message in listed.messages for one in message.approvals]
            for name in [*names[:3], f"approvals/a{number}"]:
                decide = access_pb2.DecideApprovalRequest(name=name, decision=1)  # type: ignore[arg-type]
                outcome = await fire.call(channel, ACCESS + "DecideApproval", decide, how)
                fire.never(outcome.code.name == "OK", "an agent decided an approval")
            grant = access_pb2.CreateGrantRequest()
            grant.grant.grantee = f"agents/{ground.agent}"
            grant.grant.resource = f"approvals/a{number}"
            grant.grant.actions.append("access.approve")
            outcome = await fire.call(channel, ACCESS + "CreateGrant", grant, how)
            fire.never(outcome.code.name == "OK", "an agent gave leave to decide approvals")
            group = access_pb2.AddMemberRequest(group="groups/admins", member=f"agents/{ground.agent}")
            outcome = await fire.call(channel, ACCESS + "AddMember", group, how)
            fire.never(outcome.code.name == "OK", "an agent joined a group by itself")

        await fire.together(shoot, workers=8)


@attack("privilege", "more than an agent has: caps, other trees, other tenants")
async def privilege(ground: Ground, fire: Fire) -> None:
    async with ground.channel() as channel:

        async def shoot(number: int) -> None:
            whose = (ground.victim, ground.stranger)[number % 2]
            requests: list[tuple[str, Any]] = [
                ("agent.v1.AgentService/KillAgent", agent_pb2.KillAgentRequest(name=f"agents/{whose}")),
                ("agent.v1.AgentService/SuspendAgent", agent_pb2.SuspendAgentRequest(name=f"agents/{whose}")),
                (
                    "agent.v1.AgentService/RegisterAgent",
                    agent_pb2.RegisterAgentRequest(parent=f"agents/{whose}"),
                ),
                (
                    "agent.v1.AgentService/RegisterAgent",
                    agent_pb2.RegisterAgentRequest(tenant="system", agent_id=f"x{number}"),
                ),
                (
                    "memory.v1.MemoryService/GetNote",
                    memory_pb2.GetNoteRequest(name=f"agents/{whose}/notes/secret"),
                ),
                (
                    "storage.v1.StorageService/StatFile",
                    storage_pb2.StatFileRequest(name=f"agents/{whose}/files/secret"),
                ),
                (ACCESS + "RevokeToken", access_pb2.RevokeTokenRequest(agent=f"agents/{whose}")),
                (ACCESS + "QueryAudit", access_pb2.QueryAuditRequest(agent=f"agents/{whose}")),
                (ACCESS + "VerifyAudit", access_pb2.VerifyAuditRequest()),
            ]
            label, request = requests[number % len(requests)]
            outcome = await fire.call(channel, label, request)
            allowed = label.endswith("VerifyAudit")
            fire.never(outcome.code.name == "OK" and not allowed, f"{label} on {whose} was let in")

        await fire.together(shoot, workers=16)


@attack("engine-past-the-gateway", "the embedded engine without a credential, and from a web page")
async def engine(ground: Ground, fire: Fire) -> None:
    body = {"inputs": "hello", "parameters": {"max_new_tokens": 4}}
    heads: list[dict[str, str]] = [
        {},
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Authorization": "Bearer " + "a" * 43},
        {"Authorization": "Basic Og=="},
    ]
    async with aiohttp.ClientSession() as session:

        async def shoot(number: int) -> None:
            head = heads[number % len(heads)]
            for path in ("/generate", "/generate_stream", "/tokenize", "/v1/chat/completions", "/"):
                status, _ = await fire.web(session, "POST", ground.engine + path, json=body, headers=head)
                fire.never(status == 200, f"{path} answered with {head}")

        await fire.together(shoot, workers=8)
