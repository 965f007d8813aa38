"""Closed loops of agents, at the bare backend and through the kernel."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import aiohttp
import grpc
import orjson

from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from aios.api.inference.v1 import inference_pb2, inference_pb2_grpc
from aios.api.memory.v1 import memory_pb2, memory_pb2_grpc
from aios.api.tool.v1 import tool_pb2, tool_pb2_grpc

PROMPT = "say something short"
CALL_SECONDS = 280.0
REGISTRATIONS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Loop:
    """One closed loop run. Unit: seconds."""

    end_to_end: float
    turnarounds: list[float]
    waits: list[float]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


async def closed_loop(agents: int, calls: int, call: Callable[[int], Awaitable[float]]) -> Loop:
    """Let `agents` make `calls` calls each, one after the other; `call` returns the wait it was told."""
    turnarounds: list[float] = []
    waits: list[float] = []

    async def agent(number: int) -> None:
        for _ in range(calls):
            began = time.perf_counter()
            waits.append(await call(number))
            turnarounds.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(agent(number) for number in range(agents)))
    return Loop(time.perf_counter() - began, turnarounds, waits)


class Bare:
    """Asyncio clients straight at the backend: the floor."""

    def __init__(self, url: str) -> None:
        self._url = url
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)
        self._body = orjson.dumps({"inputs": PROMPT, "parameters": {"max_new_tokens": 8, "details": True}})

    async def call(self, _agent: int) -> float:
        """Generate once."""
        async with self._session.post(f"{self._url}/generate", data=self._body, headers=_JSON) as response:
            orjson.loads(await response.read())
        return 0.0

    async def stream(self, tokens: int) -> int:
        """Stream one answer, parsing every event; returns its tokens."""
        body = orjson.dumps({"inputs": PROMPT, "parameters": {"max_new_tokens": tokens, "details": True}})
        count, rest = 0, b""
        async with self._session.post(f"{self._url}/generate_stream", data=body, headers=_JSON) as response:
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.startswith(b"data:"):
                        orjson.loads(line[5:])
                        count += 1
        return count

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


class Agents:
    """Registered agents with raw generated stubs."""

    def __init__(self, endpoint: str, admin_token: str) -> None:
        self.channel = grpc.aio.insecure_channel(endpoint)
        self._inference: inference_pb2_grpc.InferenceServiceAsyncStub = (
            inference_pb2_grpc.InferenceServiceStub(self.channel)
        )
        self._memory: memory_pb2_grpc.MemoryServiceAsyncStub = memory_pb2_grpc.MemoryServiceStub(self.channel)
        self._tools: tool_pb2_grpc.ToolServiceAsyncStub = tool_pb2_grpc.ToolServiceStub(self.channel)
        self._agents: agent_pb2_grpc.AgentServiceAsyncStub = agent_pb2_grpc.AgentServiceStub(self.channel)
        self._admin = (("authorization", f"Bearer {admin_token}"),)
        self.metadata: list[tuple[tuple[str, str], ...]] = []

    async def register(self, count: int) -> None:
        """Register as many more agents as are missing to `count`."""
        gate = asyncio.Semaphore(REGISTRATIONS_AT_ONCE)

        async def one() -> None:
            hints = agent_pb2.SchedulingHints()
            hints.max_wait.FromSeconds(300)
            request = agent_pb2.RegisterAgentRequest(hints=hints)
            async with gate:
                answer = await self._agents.RegisterAgent(request, metadata=self._admin, timeout=60)
            self.metadata.append((("authorization", f"Bearer {answer.credential.token}"),))

        await asyncio.gather(*(one() for _ in range(count - len(self.metadata))))

    async def call(self, agent: int) -> float:
        """Generate once; returns the wait the kernel reports."""
        request = inference_pb2.GenerateRequest(
            messages=[{"role": "ROLE_USER", "content": PROMPT}], max_tokens=8
        )
        answer = await self._inference.Generate(request, metadata=self.metadata[agent], timeout=CALL_SECONDS)
        wait = answer.finished.timings.wait
        return wait.seconds + wait.nanos / 1e9

    async def stream(self, agent: int, tokens: int) -> int:
        """Stream one answer; returns its tokens."""
        generation = inference_pb2.GenerateRequest(
            messages=[{"role": "ROLE_USER", "content": PROMPT}], max_tokens=tokens
        )
        request = inference_pb2.StreamGenerateRequest(generation=generation)
        count = 0
        async for event in self._inference.StreamGenerate(
            request, metadata=self.metadata[agent], timeout=CALL_SECONDS
        ):
            count += event.event.delta.token_count
        return count

    async def get_note(self) -> None:
        """Make one small unary call."""
        request = memory_pb2.GetNoteRequest(name="agents/me/notes/n")
        await self._memory.GetNote(request, metadata=self.metadata[0], timeout=30)

    async def calculate(self, number: int) -> float:
        """Call a built-in tool; returns how long it waited for its turn. Unit: seconds."""
        request = tool_pb2.CallToolRequest(
            tool="tools/calculator", arguments_json=f'{{"expression": "{number} + 1"}}'
        )
        wait = 0.0
        async for event in self._tools.CallTool(request, metadata=self.metadata[0], timeout=CALL_SECONDS):
            if event.HasField("started"):
                wait = event.started.wait.ToNanoseconds() / 1e9
        return wait

    async def close(self) -> None:
        """Close the connection."""
        await self.channel.close()


class RawNotes:
    """GetNote without the kernel."""

    def __init__(self, endpoint: str) -> None:
        self._channel = grpc.aio.insecure_channel(endpoint)
        self._stub: memory_pb2_grpc.MemoryServiceAsyncStub = memory_pb2_grpc.MemoryServiceStub(self._channel)

    async def get_note(self) -> None:
        """Make one small unary call."""
        await self._stub.GetNote(memory_pb2.GetNoteRequest(name="agents/me/notes/n"), timeout=30)

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()


async def unary_rate(call: Callable[[], Awaitable[None]], *, workers: int, seconds: float) -> float:
    """Return calls per second of `workers` closed loops over about `seconds`."""
    done = 0
    end = time.perf_counter() + seconds

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await call()
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(workers)))
    return done / (time.perf_counter() - began)


_JSON = {"Content-Type": "application/json"}
