"""Agents that no kernel schedules: each asks the embedded engine straight.

The engine's queue is first come, first served. Their tools are the kernel's, so that they do the same work.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final

import aiohttp

from aios import errors
from aios.agent import AgentResult, FinishReason, Step, ToolRun
from aios.kernel import Kernel
from aios.syscalls import RunnableTool, resolve, run_as_text
from aios.types.llm import Answer, Timings, ToolCall, Usage
from launcher.demo.stage import MOST_STEPS, MOST_TOKENS, TASK_SECONDS
from launcher.demo.tasks import OFFERED
from services.tgi_local.demo_model.asked import SYSTEM, TOOLS
from services.tgi_local.demo_model.chat import Tool, parse_calls, render, system_content
from services.tgi_local.demo_model.generate import PARAMS

_MILLISECONDS: Final = 1000
_LENGTH: Final = "length"
_SYSTEM: Final = system_content(SYSTEM, [Tool(name, PARAMS[name], text) for name, text in TOOLS])


class Bare:
    """Solves tasks with an engine at a base URL. `session` shows the engine's key."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._url = f"{base}/generate"

    async def solve(self, kernel: Kernel, prompt: str, on_step: Callable[[Step], None]) -> AgentResult:
        """Work on a task in the same loop as `aios.Agent`. Raises Unavailable without an answer."""
        tools = await resolve(kernel, OFFERED)
        talk = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": prompt}]
        steps: list[Step] = []
        while len(steps) < MOST_STEPS:
            said, cut, answer = await self._ask(render(talk, generation_prompt=True))
            runs = await _run(answer.tool_calls, tools)
            talk.append({"role": "assistant", "content": said})
            talk += [{"role": "tool", "content": run.result} for run in runs]
            steps.append(Step(len(steps), answer, runs))
            on_step(steps[-1])
            if not runs:
                reason: FinishReason = "length" if cut else "done"
                return AgentResult(answer.text, reason, output=answer.text, steps=tuple(steps))
        return AgentResult(answer.text, "max_steps", output=answer.text, steps=tuple(steps))

    async def _ask(self, prompt: str) -> tuple[str, bool, Answer]:
        """Return what the model wrote, whether it was cut by length, and the answer in it."""
        body = {"inputs": prompt, "parameters": {"max_new_tokens": MOST_TOKENS, "details": True}}
        timeout = aiohttp.ClientTimeout(total=TASK_SECONDS)
        try:
            async with self._session.post(self._url, json=body, timeout=timeout) as response:
                told = await response.json()
                if response.status != HTTPStatus.OK:
                    raise errors.Unavailable(f"the engine refuses: {told}")
                waited = int(response.headers["x-queue-time"]) / _MILLISECONDS
        except (aiohttp.ClientError, TimeoutError) as error:
            raise errors.Unavailable(f"the engine does not answer: {error}") from error
        said, details = str(told["generated_text"]), told["details"]
        calls = _calls(said)
        usage = Usage(completion_tokens=int(details["generated_tokens"]))
        text = "" if calls else said
        answer = Answer(text=text, tool_calls=calls, usage=usage, timings=Timings(wait=waited))
        return said, details["finish_reason"] == _LENGTH, answer


def _calls(said: str) -> tuple[ToolCall, ...]:
    try:
        written: list[Any] = parse_calls(said)
    except ValueError:
        return ()
    return tuple(
        ToolCall(str(number), str(call["name"]), json.dumps(call["arguments"]))
        for number, call in enumerate(written)
    )


async def _run(calls: Sequence[ToolCall], tools: dict[str, RunnableTool]) -> tuple[ToolRun, ...]:
    known = [call for call in calls if call.name in tools]
    results = await asyncio.gather(*(run_as_text(tools[call.name], call.arguments) for call in known))
    return tuple(
        ToolRun(call.name, call.arguments_json, result) for call, result in zip(known, results, strict=True)
    )
