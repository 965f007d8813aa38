"""Agents that play their programs in real time: straight at the backend, or through the kernel."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp
import grpc
import orjson

from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2, inference_pb2_grpc
from aios.api.scheduler.v1 import scheduler_pb2, scheduler_pb2_grpc
from services.scheduler.model import ParamValue
from tests.bench.live.plays import Sample
from tests.bench.live.prompts import messages
from tests.bench.sched.server import MAX_NEW_TOKENS
from tests.bench.sched.workloads import Program, Step

CALL_SECONDS: Final = 900.0
"""A call that takes longer fails the benchmark."""

REGISTRATIONS_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class Wording:
    """How a step is put to a backend."""

    messages: Callable[[Step], list[str]]
    limit: Callable[[Step], int]
    """Largest answer asked for. Unit: tokens."""

    chat: bool = True
    """Whether the kernel is given messages or, as the backend is without it, one text."""


TIMED: Final = Wording(lambda step: messages(step.blocks, step.output), lambda _: MAX_NEW_TOKENS)
"""For the server with the timing model: nobody knows an answer's length beforehand."""


class Overloaded(Exception):
    """The backend refuses a call because too many are there already."""


class Agents(Protocol):
    """Makes calls for agents."""

    async def call(self, sample: Sample) -> str:
        """Make one call, note its times, return the answer."""


async def play(programs: Sequence[Program], agents: Agents) -> list[Sample]:
    """Let every program arrive when it should, and make its calls one after another."""
    clock = asyncio.get_running_loop().time
    began = clock() + 0.05

    async def run(program: Program) -> list[Sample]:
        samples = []
        await asyncio.sleep(began + program.arrival - clock())
        for index, step in enumerate(program.steps):
            if step.after:
                await asyncio.sleep(step.after)
            sample = Sample(program, index, clock())
            await agents.call(sample)
            sample.finished = clock()
            samples.append(sample)
        return samples

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(program)) for program in programs]
    return [sample for task in tasks for sample in task.result()]


class DirectAgents:
    """Straight at one TGI-shaped server."""

    def __init__(self, url: str, wording: Wording = TIMED) -> None:
        self._url = f"{url}/generate_stream"
        self._wording = wording
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=timeout, read_bufsize=2**18
        )

    async def call(self, sample: Sample) -> str:
        """Make one call. Raises Overloaded."""
        step = sample.program.steps[sample.index]
        body = {
            "inputs": "".join(self._wording.messages(step)),
            "parameters": {
                "max_new_tokens": self._wording.limit(step),
                "do_sample": False,
                "details": True,
            },
        }
        clock = asyncio.get_running_loop().time
        last = b""
        async with self._session.post(self._url, data=orjson.dumps(body), headers=_JSON) as response:
            async for chunk in response.content.iter_any():
                if b'"error_type"' in chunk:
                    raise Overloaded
                sample.first_token = min(sample.first_token, clock())
                sample.tokens += chunk.count(b'"index"')
                last = (last + chunk)[-_TAIL:]
        event = orjson.loads(last[last.rindex(b"data:") + 5 :])
        return str(event["generated_text"])

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


class KernelAgents:
    """Registered agents with raw generated stubs."""

    def __init__(self, endpoint: str, admin_token: str, wording: Wording = TIMED) -> None:
        self._wording = wording
        self._channel = grpc.aio.insecure_channel(endpoint)
        self._inference: inference_pb2_grpc.InferenceServiceAsyncStub = (
            inference_pb2_grpc.InferenceServiceStub(self._channel)
        )
        self._agents: agent_pb2_grpc.AgentServiceAsyncStub = agent_pb2_grpc.AgentServiceStub(self._channel)
        self._scheduler: scheduler_pb2_grpc.SchedulerServiceAsyncStub = (
            scheduler_pb2_grpc.SchedulerServiceStub(self._channel)
        )
        self._admin = (("authorization", f"Bearer {admin_token}"),)
        self._metadata: dict[str, tuple[tuple[str, str], ...]] = {}

    async def use(self, policy: str, params: Mapping[str, ParamValue]) -> None:
        """Set the policy of the class that all these agents are in."""
        request = scheduler_pb2.SetPolicyRequest(
            scheduling_class=agent_pb2.SCHEDULING_CLASS_NORMAL,
            policy=scheduler_pb2.Policy(name=policy),
        )
        request.policy.parameters.update(params)
        await self._scheduler.SetPolicy(request, metadata=self._admin, timeout=10)

    async def register(self, programs: Sequence[Program]) -> None:
        """Register an agent for every program."""
        gate = asyncio.Semaphore(REGISTRATIONS_AT_ONCE)

        async def one(program: Program) -> None:
            hints = agent_pb2.SchedulingHints()
            hints.max_wait.FromSeconds(3600)
            request = agent_pb2.RegisterAgentRequest(kind=program.kind, hints=hints)
            async with gate:
                answer = await self._agents.RegisterAgent(request, metadata=self._admin, timeout=60)
            self._metadata[program.name] = (("authorization", f"Bearer {answer.credential.token}"),)

        await asyncio.gather(*(one(program) for program in programs))

    async def call(self, sample: Sample) -> str:
        """Make one call. Raises the kernel's refusal as grpc.aio.AioRpcError."""
        step = sample.program.steps[sample.index]
        generation = inference_pb2.GenerateRequest(
            max_tokens=self._wording.limit(step), step=sample.program.turn + sample.index
        )
        contents = self._wording.messages(step)
        if self._wording.chat:
            roles = ("ROLE_SYSTEM", *(["ROLE_USER"] * len(contents)))
            generation.messages.extend(
                chat_pb2.ChatMessage(role=role, content=content)
                for role, content in zip(roles, contents, strict=False)
            )
        else:
            generation.prompt = "".join(contents)
        request = inference_pb2.StreamGenerateRequest(generation=generation)
        metadata = self._metadata[sample.program.name]
        clock = asyncio.get_running_loop().time
        answer = ""
        async for message in self._inference.StreamGenerate(request, metadata=metadata, timeout=CALL_SECONDS):
            event = message.event
            if event.HasField("delta"):
                sample.first_token = min(sample.first_token, clock())
                sample.tokens += event.delta.token_count
            elif event.HasField("finished"):
                answer = event.finished.message.content
        return answer

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()


_JSON: Final = {"Content-Type": "application/json"}
_TAIL: Final = 16_384
"""The last event of an answer is shorter than that."""
