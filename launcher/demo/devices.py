"""Shows tools as devices: code in the sandbox, a web service, an MCP server, an agent's own tool."""

import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aios import errors
from aios.kernel import Kernel
from aios.types.drafts import Example
from aios.types.llm import ToolSpec
from launcher.demo.neighbours import STOCK, Neighbours

AGENT: Final = "lea"
_TEXT: Final = {"type": "string"}
_SECONDS: Final = 30.0
_MEAN: Final = """
import statistics

def mean(numbers):
    return statistics.fmean(numbers)
"""
_NUMBERS: Final = [2, 4, 9]
_CODE: Final = "print(sum(n for n in range(2, 100) if all(n % d for d in range(2, n))))"


@dataclass(frozen=True, slots=True)
class Shown:
    """One device, and what came of it."""

    device: str
    text: str
    right: bool = True
    skipped: bool = False

    def line(self) -> str:
        """Write it out."""
        mark = "skipped: " if self.skipped else "" if self.right else "WRONG: "
        return f"{self.device:<10} {mark}{self.text}"


async def show(admin: Kernel, around: Neighbours | None, why_alone: str) -> list[Shown]:
    """Let an agent use every kind of device. `around`: None where nothing is around, `why_alone` says why."""
    agent = admin.as_agent(await admin.agents.register(AGENT, kind="devices"))
    acts: list[tuple[str, Callable[[], Awaitable[Shown]]]] = [
        ("sandbox", lambda: _computes(agent)),
        ("self-made", lambda: _makes(agent)),
    ]
    shown = [await _tried(device, act) for device, act in acts]
    if around is None:
        return [*shown, *(Shown(device, why_alone, skipped=True) for device in ("http", "mcp"))]
    shown.append(await _tried("http", lambda: _asks(admin, agent, around)))
    shown.append(await _tried("mcp", lambda: _speaks(admin, agent, around)))
    return shown


async def _tried(device: str, act: Callable[[], Awaitable[Shown]]) -> Shown:
    """Skip what this machine cannot isolate; whatever else fails is wrong."""
    try:
        return await act()
    except errors.AiosError as error:
        skipped = error.reason == "SANDBOX_UNAVAILABLE"
        return Shown(device, error.message, right=skipped, skipped=skipped)


async def _computes(agent: Kernel) -> Shown:
    result = await agent.tools.call("python", {"code": _CODE}, run_timeout=_SECONDS)
    told = str(result.value)
    return Shown(
        "sandbox", f"python: the sum of the primes below 100 is {_said(result.value)}", "1060" in told
    )


async def _makes(agent: Kernel) -> Shown:
    numbers = {"type": "array", "items": {"type": "number"}, "minItems": 1}
    spec = ToolSpec(
        "mean",
        "Tell the mean of numbers.",
        {"type": "object", "properties": {"numbers": numbers}, "required": ["numbers"]},
    )
    examples = [Example({"numbers": [1, 2]}, 1.5), Example({"numbers": [4]}, 4.0)]
    made = await agent.tools.register_python(spec, _MEAN, examples=examples)
    result = await agent.tools.call(made.name, {"numbers": _NUMBERS})
    text = f"{made.name}, tried with its own examples: the mean of 2, 4 and 9 is {result.value}"
    return Shown("self-made", text, result.value == statistics.fmean(_NUMBERS))


async def _asks(admin: Kernel, agent: Kernel, around: Neighbours) -> Shown:
    parameters = {"type": "object", "properties": {"item": _TEXT}, "required": ["item"]}
    spec = ToolSpec("stock", "Tell how many of an item are in stock.", parameters)
    await admin.tools.register_http(spec, around.stock_url, method="GET", effect="reversible")
    result = await agent.tools.call("stock", {"item": "bolts"})
    text = f"tools/stock at {around.origin}: {_said(result.value)}"
    return Shown("http", text, result.value == {"item": "bolts", "count": STOCK["bolts"]})


async def _speaks(admin: Kernel, agent: Kernel, around: Neighbours) -> Shown:
    server = await admin.mcp.add_url("words", around.mcp_url, effect="reversible")
    result = await agent.tools.call("words.backwards", {"text": "drawer"})
    text = f"{', '.join(server.tools)} of an MCP server: {_said(result.value)}"
    await admin.mcp.remove("words")
    return Shown("mcp", text, "reward" in str(result.value))


def _said(value: Any) -> str:
    """Write a result in one short line."""
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    return " ".join(str(value).split())[:60]
