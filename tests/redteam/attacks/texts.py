"""Texts that cost their reader much: policies, queries, patterns, page tokens, names."""

import base64
import random

from aios.api.access.v1 import access_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.scheduler.v1 import scheduler_pb2
from aios.api.storage.v1 import storage_pb2
from tests.redteam.fire import Fire, attack
from tests.redteam.ground import Ground

ACCESS = "access.v1.AccessService/"
STORAGE = "storage.v1.StorageService/"
MEMORY = "memory.v1.MemoryService/"


def _policies() -> list[str]:
    deep = '@id("d") permit(principal,action,resource) when { %s };'
    conjuncts = " && ".join(f"context.untrusted == {n % 2 == 0}".lower() for n in range(3000))
    return [
        deep % ("(" * 800 + "true" + ")" * 800),
        deep % ("!" * 20_000 + "true"),
        deep % ("[" * 5_000 + "]" * 5_000 + " == []"),
        deep % ("if true then " * 2_000 + "true" + " else false" * 2_000),
        deep % conjuncts,
        deep % ('"' + "\\u{1F600}" * 6_000 + '" == ""'),
        deep % ("{" + ",".join(f"a{n}: {n}" for n in range(6_000)) + "} == {}"),
        "permit(principal,action,resource);" * 1_500,
        deep % ("principal" + ".parent" * 8_000),
        "/*" * 30_000,
    ]


@attack("policies", "native recursion and long judgements in access")
async def policies(ground: Ground, fire: Fire) -> None:
    texts = _policies()
    async with ground.channel() as channel:

        async def shoot(number: int) -> None:
            text = texts[number % len(texts)]
            outcome = await fire.call(
                channel, ACCESS + "ValidatePolicy", access_pb2.ValidatePolicyRequest(text=text)
            )
            fire.never(outcome.code.name == "OK", "an ordinary agent had a policy judged")
            put = access_pb2.PutPolicyRequest()
            put.policy.name, put.policy.text = f"policies/p{number}", text
            outcome = await fire.call(channel, ACCESS + "PutPolicy", put)
            fire.never(outcome.code.name == "OK", "an ordinary agent put a policy in force")

        await fire.together(shoot, workers=16)


@attack("queries", "searches, patterns and globs that backtrack or unroll")
async def queries(ground: Ground, fire: Fire) -> None:
    root = f"agents/{ground.agent}/files"
    words = [
        '"' * 999,
        "NEAR(" * 400,
        "a* " * 900,
        "(" * 1_000,
        "a OR " * 600,
        "^" * 4_000,
        "\u0000a",
        "*" * 4_000,
        "ⅷ" * 1_300,
    ]
    globs = ["*a" * 127, "**/" * 85, "[" * 256, "[!a-" * 64, "{a,b}" * 51, "?" * 256, "*" * 255 + "b"]
    async with ground.channel() as channel:
        for n in range(20):
            request = storage_pb2.WriteFileRequest(name=f"{root}/{'a' * 60}/{n}", content=b"a" * 5_000)
            await fire.call(channel, STORAGE + "WriteFile", request)

        async def shoot(number: int) -> None:
            word, glob = words[number % len(words)], globs[number % len(globs)]
            mode = 1 + number % 3
            found = storage_pb2.SearchFilesRequest(parent=root, query=word, pattern=glob, mode=mode)  # type: ignore[arg-type]
            await fire.call(channel, STORAGE + "SearchFiles", found)
            listed = storage_pb2.ListFilesRequest(parent=root, recursive=True, pattern=glob)
            await fire.call(channel, STORAGE + "ListFiles", listed)
            note = memory_pb2.SearchNotesRequest(parent=f"agents/{ground.agent}", query=word)
            await fire.call(channel, MEMORY + "SearchNotes", note)

        await fire.together(shoot, workers=8)


@attack("forged-numbers-and-pages", "page tokens made by hand, numbers that are none, names that climb")
async def forged(ground: Ground, fire: Fire) -> None:
    rng = random.Random(7)  # noqa: S311 - not secret
    names = [
        "../x",
        "a/../../b",
        "/etc/passwd",
        "a//b",
        ".",
        "..",
        "a\\b",
        "%2e%2e/x",
        "\uff41/x",
        "x" * 1_000,
        "é" * 500,
    ]
    async with ground.channel() as channel:

        async def shoot(number: int) -> None:
            token = base64.urlsafe_b64encode(rng.randbytes(rng.randrange(200))).decode()
            if number % 3 == 0:
                token = base64.urlsafe_b64encode(b'{"v":1,"k":[' + b"[" * 300 + b"]}").decode()
            pages = {
                ACCESS + "ListGrants": access_pb2.ListGrantsRequest(page_token=token),
                ACCESS + "ListApprovals": access_pb2.ListApprovalsRequest(page_token=token),
                STORAGE + "ListFiles": storage_pb2.ListFilesRequest(
                    parent=f"agents/{ground.agent}/files", page_token=token
                ),
                MEMORY + "ListNotes": memory_pb2.ListNotesRequest(
                    parent=f"agents/{ground.agent}", page_token=token
                ),
            }
            for label, request in pages.items():
                outcome = await fire.call(channel, label, request)
                fire.never(outcome.code.name == "OK" and bool(token), f"{label} took a forged page token")
            policy = scheduler_pb2.SetPolicyRequest(scheduling_class=1 + number % 5)  # type: ignore[arg-type]
            policy.policy.name = "fifo"
            policy.policy.parameters["share"] = float("nan")
            outcome = await fire.call(channel, "scheduler.v1.SchedulerService/SetPolicy", policy)
            fire.never(outcome.code.name == "OK", "an ordinary agent set the scheduler's policy")
            name = f"agents/{ground.agent}/files/{names[number % len(names)]}"
            await fire.call(
                channel, STORAGE + "WriteFile", storage_pb2.WriteFileRequest(name=name, content=b"x")
            )

        await fire.together(shoot, workers=8)
