"""An agent whose act waits for a person: the one at the terminal decides, or nobody does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import aios
from aios.kernel import Kernel
from aios.types.access import Approval
from aios.types.tools import CallInfo
from launcher.demo.devices import Shown

AGENT: Final = "nora"
PERSON: Final = "you"
ADMINISTRATOR: Final = "the demo's administrator (--yes)"
DEVICE: Final = "approval"
TEXT: Final = "Agents share one model here."
_CALL_SECONDS: Final = 20.0
"""The longest that the call may take to ask, and after a decision to end."""
_LOOK: Final = 0.05
_OPEN: Final = frozenset({"waiting_approval"})
_ENDED: Final = frozenset({"succeeded", "failed", "cancelled", "unknown"})

Ask = Callable[[str], Awaitable[bool | None]]
"""Puts a question to the person; None: nobody answered."""


async def show(
    admin: Kernel, ask: Ask, *, decided: bool, name: str = AGENT, person_id: str = PERSON
) -> Shown:
    """Let an agent ask for what cannot be taken back, and see to what the person says.

    `decided`: the administrator says yes in the person's place, without asking. Raises TimeoutError, or an
    AiosError.
    """
    published: list[str] = []

    @aios.tool
    def publish(text: str) -> str:
        """Publish a text for all the world; it cannot be taken back."""
        published.append(text)
        return "published"

    agent = admin.as_agent(await admin.agents.register(name, kind="publisher"))
    person = admin.as_person((await admin.access.create_person(person_id)).person_key)
    async with admin.tools.provide(publish, effect="irreversible"):
        call = await agent.tools.start("publish", {"text": TEXT})
        waiting = await _until(agent, call, _OPEN | _ENDED)
        if waiting.state not in _OPEN or published:
            return Shown(DEVICE, f"the call did not wait for a person: it is {waiting.state}", right=False)
        asked = await person.access.approval(waiting.approval)
        said = True if decided else await ask(_question(asked))
        if said is None:
            return await _left(agent, call, published)
        decider = admin if decided else person
        await decider.access.decide(asked.name, approve=said, arguments_sha256=asked.arguments_sha256)
        ended = await _until(agent, call, _ENDED)
    return _outcome(ended, published, approved=said, who=ADMINISTRATOR if decided else PERSON)


def _question(asked: Approval) -> str:
    who = asked.agent.removeprefix("agents/")
    return f"{who} wants {asked.resource} with {asked.arguments_preview}: approve?"


def _outcome(ended: CallInfo, published: list[str], *, approved: bool, who: str) -> Shown:
    if approved:
        right = ended.state == "succeeded" and published == [TEXT]
        return Shown(DEVICE, f"{AGENT} asked to publish, {who} approved, it ran once: {ended.state}", right)
    right = ended.state != "succeeded" and not published
    return Shown(DEVICE, f"{AGENT} asked to publish, {who} rejected, it did not run: {ended.state}", right)


async def _left(agent: Kernel, call: str, published: list[str]) -> Shown:
    """Nobody decided: the call must still wait. It is withdrawn, since the kernel of the demo ends soon."""
    still = await agent.tools.get_call(call)
    await agent.tools.cancel(call, reason="nobody decided")
    right = still.state in _OPEN and not published
    text = f"{AGENT} asked to publish; nobody at a terminal decided, so it was left waiting and did not run"
    return Shown(DEVICE, text if right else f"without a decision the call is {still.state}", right)


async def _until(agent: Kernel, call: str, states: frozenset[str]) -> CallInfo:
    """Wait until a call is in one of the states. Raises TimeoutError."""
    async with asyncio.timeout(_CALL_SECONDS):
        while True:
            info = await agent.tools.get_call(call)
            if info.state in states:
                return info
            await asyncio.sleep(_LOOK)
