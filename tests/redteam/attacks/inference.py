"""Prompts, constraints and tools that cost the engine or the gateway much before they are admitted."""

import asyncio
import json
from typing import Any

import grpc

from aios.api.inference.v1 import inference_pb2
from aios.api.scheduler.v1 import scheduler_pb2
from tests.redteam.fire import Fire, attack
from tests.redteam.ground import Ground

INFERENCE = "inference.v1.InferenceService/"
MEGABYTE = 1 << 20


def _ask(text: str = "hello", **fields: object) -> inference_pb2.GenerateRequest:
    request = inference_pb2.GenerateRequest(prompt=text, max_tokens=4)
    for name, value in fields.items():
        setattr(request, name, value)
    return request


def _schemas() -> list[str]:
    def counted(length: int) -> dict[str, object]:
        inner = {"type": "object", "properties": {"b": {"type": "string"}}}
        array = {"type": "array", "items": inner, "maxItems": length}
        return {"type": "object", "properties": {"a": array}, "required": ["a"]}

    nested: dict[str, object] = {"type": "string"}
    for _ in range(200):
        nested = {"type": "array", "items": nested, "minItems": 3, "maxItems": 9}
    doubled: dict[str, object] = {"$defs": {"d0": {"type": "string"}}}
    for n in range(1, 40):
        one = {"$ref": f"#/$defs/d{n - 1}"}
        doubled["$defs"][f"d{n}"] = {"type": "array", "prefixItems": [one, one]}  # type: ignore[index]
    doubled["$ref"] = "#/$defs/d39"
    wide = {"anyOf": [{"const": f"{n}" * 20} for n in range(2_500)]}
    return [
        json.dumps(counted(10**9)),
        json.dumps(counted(10**5)),
        json.dumps(nested),
        json.dumps(doubled),
        json.dumps(wide),
        json.dumps({"$ref": "#"}),
        json.dumps({"type": "string", "pattern": "(a+)+" * 200}),
        json.dumps({"type": "string", "minLength": 10**9}),
        "[" * 60_000,
        '{"type":"object","properties":' * 2_000,
    ]


@attack("refused-prompts", "memory kept for calls that were refused")
async def refused_prompts(ground: Ground, fire: Fire) -> None:
    big = "x" * (MEGABYTE - 1)
    bad = inference_pb2.Constraint(regex="(")
    async with ground.channel() as channel:

        async def shoot(number: int) -> None:
            request = inference_pb2.GenerateRequest(prompt=big, max_tokens=4, constraint=bad)
            request.request_id = f"r{number}"
            await fire.call(channel, INFERENCE + "Generate", request)

        await fire.together(shoot, workers=8)


@attack("constraints", "grammars that unroll, in the gateway and in the engine")
async def constraints(ground: Ground, fire: Fire) -> None:
    schemas = _schemas()
    regexes = [
        "(a|b){1,9999}" * 30,
        "((a*)*)*" * 100,
        "[a-z]{1,1000}{1,1000}",
        "a)|(?:.*",
        "(?=" * 500,
        "\\p{L}" * 500,
        "(" * 2_000,
    ]
    async with ground.channel() as channel:

        async def shoot(number: int) -> None:
            limits = inference_pb2.Constraint(json_schema=schemas[number % len(schemas)])
            if number % 2:
                limits = inference_pb2.Constraint(regex=regexes[number % len(regexes)])
            request = inference_pb2.GenerateRequest(prompt="hi", max_tokens=4, constraint=limits)
            await fire.call(channel, INFERENCE + "Generate", request)

        await fire.together(shoot, workers=6)


@attack("huge-prompts", "tokenising before admission")
async def huge_prompts(ground: Ground, fire: Fire) -> None:
    texts = [
        "a" * (MEGABYTE - 1),
        " \u200b" * 200_000,
        "<|im_start|>" * 80_000,
        "\n" * (MEGABYTE - 1),
        "🙂" * 250_000,
    ]
    async with ground.channel() as channel:

        async def shoot(number: int) -> None:
            text = texts[number % len(texts)]
            await fire.call(channel, INFERENCE + "Generate", _ask(text))
            counted = inference_pb2.CountTokensRequest(texts=[text[:16_000]] * 64)
            await fire.call(channel, INFERENCE + "CountTokens", counted)
            await fire.call(
                channel, INFERENCE + "Embed", inference_pb2.EmbedRequest(texts=[text[:4_000]] * 64)
            )

        await fire.together(shoot, workers=6)


@attack("generation-flood", "more generations than the engine can make, and cancelling them")
async def generation_flood(ground: Ground, fire: Fire) -> None:
    async with ground.channel() as channel:

        async def shoot(number: int) -> None:
            request = _ask(f"count {number}", max_tokens=400, request_id=f"g{number}")
            if number % 4 == 0:
                await fire.call(channel, INFERENCE + "StreamGenerate", _streamed(request), timeout=0.3)
                cancel = inference_pb2.CancelGenerationRequest(
                    name=f"agents/{ground.agent}/generations/g{number}"
                )
                await fire.call(channel, INFERENCE + "CancelGeneration", cancel)
            elif not fire.over:
                await _cut(fire, channel, request)

        await fire.together(shoot, workers=48)


async def _cut(fire: Fire, channel: grpc.aio.Channel, request: inference_pb2.GenerateRequest) -> None:
    """Send a call and leave before it ends."""
    generate: Any = channel.unary_unary("/aios.api.inference.v1.InferenceService/Generate")
    call = generate(request.SerializeToString(), metadata=fire.ground.metadata, timeout=20)
    fire.tried += 1
    await asyncio.sleep(min(0.5, fire.left))
    call.cancel()
    fire.answers["left"] += 1


def _streamed(request: inference_pb2.GenerateRequest) -> inference_pb2.StreamGenerateRequest:
    return inference_pb2.StreamGenerateRequest(generation=request)


@attack("cancel-storm", "cancelling what is not there, and what belongs to others")
async def cancel_storm(ground: Ground, fire: Fire) -> None:
    async with ground.channel() as channel:

        async def shoot(number: int) -> None:
            whose = (ground.agent, ground.victim, ground.stranger)[number % 3]
            name = f"agents/{whose}/syscalls/s{number}"
            outcome = await fire.call(
                channel,
                "scheduler.v1.SchedulerService/CancelSyscall",
                scheduler_pb2.CancelSyscallRequest(name=name),
            )
            mine = whose == ground.agent
            fire.never(outcome.code.name == "OK" and not mine, "cancelled a call of somebody else")

        await fire.together(shoot, workers=32)
