"""Agents that do their work while others attack: every call of theirs is timed, and none may be lost."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import grpc

from aios.api.agent.v1 import agent_pb2
from aios.api.inference.v1 import inference_pb2
from aios.api.memory.v1 import memory_pb2
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2
from tests.system.world import Metadata, Stubs

PACE: Final = 0.05
"""Pause between two calls. Unit: seconds."""
LONGEST: Final = 30.0
"""A call that takes longer is lost. Unit: seconds."""
TOKENS: Final = 8


@dataclass
class Record:
    """What one phase was like for the bystanders."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Durations of the calls that succeeded, by kind."""
    lost: list[str] = field(default_factory=list)
    """Calls that failed, in words."""

    def p99(self, kind: str) -> float:
        """Return the time that all but one call in a hundred of a kind took at most. Unit: seconds."""
        times = sorted(self.seconds[kind])
        return times[min(len(times) - 1, int(len(times) * 0.99))] if times else 0.0

    def add(self, other: "Record") -> None:
        """Add another phase's calls to this one's."""
        for kind, times in other.seconds.items():
            self.seconds[kind] += times
        self.lost += other.lost


class Bystander:
    """One agent with some of everything to do."""

    def __init__(self, stubs: Stubs, agent: str, metadata: Metadata) -> None:
        self._stubs = stubs
        self._agent = agent
        self._metadata = metadata
        self._number = 0

    async def work(self, until: Callable[[], bool], record: Record) -> None:
        """Call after call, until told to stop."""
        kinds: dict[str, Callable[[], Awaitable[object]]] = {
            "note": self._note,
            "file": self._file,
            "agent": self._ask,
            "tool": self._tool,
            "answer": self._answer,
        }
        while not until():
            for kind, call in kinds.items():
                self._number += 1
                began = time.perf_counter()
                try:
                    await call()
                except grpc.aio.AioRpcError as failure:
                    record.lost.append(f"{self._agent} {kind}: {failure.code().name} {failure.details()}")
                else:
                    record.seconds[kind].append(time.perf_counter() - began)
                await asyncio.sleep(PACE)

    async def _note(self) -> None:
        note = memory_pb2.PutNoteRequest()
        note.note.name = f"agents/{self._agent}/notes/n{self._number % 20}"
        note.note.content = f"note {self._number}"
        await self._stubs.memory.PutNote(note, metadata=self._metadata, timeout=LONGEST)

    async def _file(self) -> None:
        name = f"agents/{self._agent}/files/f{self._number % 20}"
        written = storage_pb2.WriteFileRequest(name=name, content=b"x" * 1_000)
        await self._stubs.storage.WriteFile(written, metadata=self._metadata, timeout=LONGEST)

    async def _ask(self) -> None:
        request = agent_pb2.GetAgentRequest(name=f"agents/{self._agent}")
        await self._stubs.agents.GetAgent(request, metadata=self._metadata, timeout=LONGEST)

    async def _tool(self) -> None:
        request = tool_pb2.CallToolRequest(tool="tools/calculator", arguments_json='{"expression": "6 * 7"}')
        async for _ in self._stubs.tools.CallTool(request, metadata=self._metadata, timeout=LONGEST):
            pass

    async def _answer(self) -> None:
        request = inference_pb2.GenerateRequest(prompt=f"What is {self._number}?", max_tokens=TOKENS)
        await self._stubs.inference.Generate(request, metadata=self._metadata, timeout=LONGEST)
