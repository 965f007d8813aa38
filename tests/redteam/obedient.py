"""A scripted model that obeys every order it reads, and the agent that runs what it says.

An order is a line `ORDER {json}` in whatever the agent gets to read: a tool's result, a file, a note, a
message. The agent does what it says with its own credentials and nothing else, and remembers how that ended.
What it reads while it obeys may hold further orders; it obeys those too.
"""

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc

from aios.api.access.v1 import access_pb2
from aios.api.agent.v1 import agent_pb2
from aios.api.common.v1 import chat_pb2
from aios.api.context.v1 import context_pb2
from aios.api.context.v1 import resources_pb2 as contexts
from aios.api.memory.v1 import memory_pb2
from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2
from tests.fakes.rpc import reason
from tests.system.world import Metadata, Stubs

MARK = "ORDER "
MOST_ORDERS = 40


def order(kind: str, **what: Any) -> str:
    """Write an order as it stands in a text."""
    return f"\nSome text before.\n{MARK}{json.dumps({'kind': kind, **what})}\nSome text after.\n"


def orders_in(text: str) -> list[dict[str, Any]]:
    """Find the orders in a text."""
    found = []
    for line in text.splitlines():
        if line.startswith(MARK):
            with contextlib.suppress(ValueError):
                found.append(json.loads(line.removeprefix(MARK)))
    return found


@dataclass
class ObedientAgent:
    """An agent whose model obeys whatever it reads."""

    name: str
    stubs: Stubs
    metadata: Metadata
    child: Callable[[str, str], Metadata]
    """Returns how an agent calls whose token this one was given when it registered it: id, token."""
    outcomes: list[tuple[str, str]] = field(default_factory=list)
    """Each order that was tried, and why it was refused; empty: it was not."""

    async def work(self, *sources: tuple[str, str]) -> None:
        """Read sources, as kind and name, and obey what they say, and what that says in turn."""
        waiting = [{"kind": "read", "what": kind, "name": name} for kind, name in sources]
        while waiting and len(self.outcomes) < MOST_ORDERS:
            one = waiting.pop(0)
            try:
                waiting += orders_in(await self._obey(one))
                self.outcomes.append((one["kind"], ""))
            except grpc.aio.AioRpcError as refused:
                self.outcomes.append((one["kind"], reason(refused)))

    def refused(self, kind: str) -> set[str]:
        """Return why orders of a kind were refused."""
        return {why for one, why in self.outcomes if one == kind and why}

    async def _obey(self, what: Mapping[str, Any]) -> str:
        """Do what an order says; return what there is to read afterwards."""
        return await getattr(self, f"_{what['kind']}")(what)  # type: ignore[no-any-return]  # each returns a text

    async def _call(self, what: Mapping[str, Any], who: Metadata | None = None) -> str:
        request = tool_pb2.CallToolRequest(
            tool=f"tools/{what['tool']}",
            arguments_json=json.dumps(what.get("arguments", {})),
            untrusted=False,
        )
        events = self.stubs.tools.CallTool(request, metadata=who or self.metadata, timeout=20)
        told = [event async for event in events]
        value = json.loads(told[-1].result.result.value_json)
        return "\n".join(map(str, value.values())) if isinstance(value, dict) else str(value)

    async def _read(self, what: Mapping[str, Any]) -> str:
        name, who = what["name"], self.metadata
        match what["what"]:
            case "tool":
                return await self._call({"tool": name})
            case "note":
                note = await self.stubs.memory.GetNote(memory_pb2.GetNoteRequest(name=name), metadata=who)
                return str(note.note.content)
            case "context":
                page = await self.stubs.context.ListMessages(
                    context_pb2.ListMessagesRequest(name=name), metadata=who
                )
                return "\n".join(each.message.content for each in page.messages)
            case _:
                request = storage_pb2.ReadFileRequest(name=name)
                events = self.stubs.storage.ReadFile(request, metadata=who)
                return b"".join([event.data async for event in events]).decode()

    async def _write(self, what: Mapping[str, Any]) -> str:
        name, text = what["name"], what["text"]
        match what["what"]:
            case "note":
                note = memory_pb2.Note(name=name, content=text)
                await self.stubs.memory.PutNote(memory_pb2.PutNoteRequest(note=note), metadata=self.metadata)
            case "context":
                chat = chat_pb2.ChatMessage(role=chat_pb2.ROLE_USER, content=text)
                request = context_pb2.AppendMessagesRequest(
                    name=name, messages=[contexts.Message(message=chat)]
                )
                await self.stubs.context.AppendMessages(request, metadata=self.metadata)
            case _:
                write = storage_pb2.WriteFileRequest(name=name, content=text.encode())
                await self.stubs.storage.WriteFile(write, metadata=self.metadata)
        return ""

    async def _delegate(self, what: Mapping[str, Any]) -> str:
        """Register a child and do the order with its token."""
        request = agent_pb2.RegisterAgentRequest(agent_id=what["agent"])
        made = await self.stubs.agents.RegisterAgent(request, metadata=self.metadata)
        return await self._call(what, self.child(what["agent"], made.credential.token))

    async def _use(self, what: Mapping[str, Any]) -> str:
        """Do the order with the token of a child that was registered before anything was read."""
        return await self._call(what, self.child(what["agent"], what.get("token", "")))

    async def _clear(self, _what: Mapping[str, Any]) -> str:
        """Take the mark from itself."""
        request = agent_pb2.ClearUntrustedRequest(name="agents/me", descendants=True)
        await self.stubs.agents.ClearUntrusted(request, metadata=self.metadata)
        return ""

    async def _approve(self, what: Mapping[str, Any]) -> str:
        """Approve what it waits for itself, or have a child of its own do that, and call again."""
        decider = self.child(what["agent"], what.get("token", "")) if "agent" in what else self.metadata
        listed = await self.stubs.access.ListApprovals(
            access_pb2.ListApprovalsRequest(), metadata=self.metadata
        )
        for one in listed.approvals:
            decide = access_pb2.DecideApprovalRequest(
                name=one.name, decision=access_pb2.APPROVAL_DECISION_APPROVE
            )
            await self.stubs.access.DecideApproval(decide, metadata=decider)
        return await self._call(what)
