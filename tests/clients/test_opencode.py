"""The unmodified OpenCode command line at the door, in all three protocols it speaks."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
import pytest
import pytest_asyncio

from tests.clients.door import Door
from tests.clients.environments import REQUIREMENTS, Completed, Node, node_environment, run
from tests.clients.family import family
from tests.fakes.scripted import Call, Rule, ScriptedModel
from tests.fakes.waiting import until
from tests.system.cluster import Cluster

PROVIDERS: Final = {
    "chat": "@ai-sdk/openai-compatible",
    "responses": "@ai-sdk/openai",
    "messages": "@ai-sdk/anthropic",
}
CHILD: Final = "OPENCODECHILD"
ROOT: Final = "OPENCODEROOT"


def shell(command: str) -> Call:
    """Return a call of OpenCode's shell."""
    return Call("bash", {"command": command, "description": "Writes a file."})


def scene(work: Path) -> tuple[Rule, ...]:
    """Return what the model does for a session in a folder."""
    write = Call("write", {"filePath": str(work / "written.txt"), "content": "written\n"})
    task = {"description": "child", "prompt": f"{CHILD} write a file", "subagent_type": "general"}
    return (
        Rule(has=CHILD, lacks=ROOT, tools=True, outputs=0, calls=(shell("echo child > child.txt"),)),
        Rule(has=CHILD, lacks=ROOT, tools=True, text="child done"),
        Rule(has=ROOT, tools=False, text="a title"),
        Rule(has=ROOT, outputs=0, calls=(shell("echo root > root.txt; cat root.txt"),)),
        Rule(has=ROOT, outputs=1, calls=(write, Call("task", task))),
        Rule(has=ROOT, text="all done"),
    )


@dataclass(frozen=True, slots=True)
class OpenCode:
    """An OpenCode with a folder to work in and a home of its own."""

    node: Node
    folder: Path
    door: Door

    @property
    def work(self) -> Path:
        """Where it works."""
        return self.folder / "work"

    async def run(self, protocol: str, prompt: str, model: str = "scripted") -> Completed:
        """Let it work on a prompt until it has ended."""
        home = self.folder / "home"
        for each in (self.work, home):
            each.mkdir()
        (self.work / "opencode.json").write_bytes(orjson.dumps(self._config(protocol, model)))
        kinds = ("data", "config", "cache", "state")
        switches = ("AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD", "DEFAULT_PLUGINS")
        environment = {
            "PATH": self.node.path,
            "HOME": str(home),
            **{f"XDG_{kind.upper()}_HOME": str(home / kind) for kind in kinds},
            **{f"OPENCODE_DISABLE_{switch}": "1" for switch in switches},
        }
        # The launcher needs its install script; the program itself comes as a package of its own.
        program = self.node.folder / "node_modules" / "opencode-linux-x64-baseline" / "bin" / "opencode"
        command = (program, "run", "--format", "json", prompt)
        return await run(*command, environment=environment, cwd=self.work)

    def _config(self, protocol: str, model: str) -> dict[str, Any]:
        return {
            "autoupdate": False,
            "share": "disabled",
            "model": f"aios/{model}",
            "small_model": f"aios/{model}",
            "enabled_providers": ["aios"],
            "permission": {"*": "allow"},
            "provider": {
                "aios": {
                    "npm": PROVIDERS[protocol],
                    "name": "aios",
                    "options": {"baseURL": f"{self.door.url}/v1", "apiKey": self.door.key},
                    "models": {model: {"name": model, "limit": {"context": 262_144, "output": 32_000}}},
                }
            },
        }


@pytest_asyncio.fixture(loop_scope="session")
async def opencode(door: Door, tmp_path: Path) -> OpenCode:
    """Bring OpenCode to the door."""
    node = await node_environment("opencode", REQUIREMENTS / "npm-opencode.txt")
    return OpenCode(node, tmp_path, door)


@pytest.mark.parametrize("protocol", PROVIDERS)
async def test_its_shell_its_files_and_its_subagent_work(
    protocol: str, opencode: OpenCode, kernel: Cluster, model: ScriptedModel
) -> None:
    before = len(model.asked(ROOT))
    with model.rules(*scene(opencode.work)):
        async with family(kernel, opencode.door) as agents:
            done = await opencode.run(protocol, f"{ROOT} do it")
            await agents.is_root_and_child()

    assert "all done" in done.out, done.tail
    texts = {each.name: each.read_text() for each in opencode.work.glob("*.txt")}
    assert texts == {"root.txt": "root\n", "written.txt": "written\n", "child.txt": "child\n"}
    told = model.asked(ROOT)[before:][-1].outputs
    assert "root" in told[0]
    assert "child done" in told[-1]


async def test_killing_the_root_stops_its_subagents_call(
    opencode: OpenCode, kernel: Cluster, model: ScriptedModel
) -> None:
    before = len(model.asked(CHILD))
    endless = Rule(has=CHILD, lacks=ROOT, text="a long thought", behaviour={"token_delay": 3600.0})

    def states() -> list[str]:
        return [each.state for each in model.asked(CHILD)[before:] if ROOT not in each.text]

    with model.rules(endless, *scene(opencode.work)):
        session = asyncio.create_task(opencode.run("chat", f"{ROOT} do it"))
        await until(lambda: "running" in states())
        async with kernel.admin() as admin:
            await admin.agents.kill(opencode.door.agent)
        await until(lambda: "dropped" in states())
        done = await session

    assert "all done" not in done.out


async def test_a_prompt_that_can_never_fit_does_not_make_it_try_for_ever(
    opencode: OpenCode, kernel: Cluster
) -> None:
    before = await refused(kernel)
    done = await opencode.run("chat", "hello", model="short")
    told = {status: count - before.get(status, 0) for status, count in (await refused(kernel)).items()}

    assert "window" in done.out + done.err, done.tail
    assert told["400"] == 2
    assert 1 <= told["403"] <= 3


async def refused(kernel: Cluster) -> dict[str, int]:
    """Return how many chats the door has answered, by status."""
    page = f"http://127.0.0.1:{kernel.plan.base_port + 10}/metrics"
    async with aiohttp.ClientSession() as client, client.get(page) as answer:
        lines = (await answer.text()).splitlines()
    found: dict[str, int] = {}
    for line in lines:
        if line.startswith("aios_door_requests_total{") and 'dialect="chat"' in line:
            status = line.partition('status="')[2].partition('"')[0]
            found[status] = found.get(status, 0) + int(float(line.rpartition(" ")[2]))
    return found
