"""The unmodified Codex command line at the door: it runs a shell, and spawns a subagent that it waits for."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest_asyncio

from tests.clients.door import Door
from tests.clients.environments import REQUIREMENTS, Completed, Node, node_environment, run
from tests.clients.family import family
from tests.fakes.scripted import Call, Rule, ScriptedModel
from tests.fakes.waiting import until
from tests.system.cluster import Cluster

CONFIG: Final = """\
model = "{model}"
model_provider = "aios"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false

[model_providers.aios]
name = "aios"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "AIOS_KEY"
request_max_retries = 1
stream_max_retries = 1
stream_idle_timeout_ms = 2000

[analytics]
enabled = false
"""
CHILD: Final = "CODEXCHILD"
ROOT: Final = "CODEXROOT"
SPAWN: Final = Call("multi_agent_v1.spawn_agent", {"message": f"{CHILD} write a file", "fork_context": False})
WAIT: Final = Call("multi_agent_v1.wait_agent", {"targets": ["$agent_id"], "timeout_ms": 60_000})

SCENE: Final = (
    Rule(has=CHILD, lacks=ROOT, outputs=0, calls=(Call("exec_command", {"cmd": "echo child > child.txt"}),)),
    Rule(has=CHILD, lacks=ROOT, text="child done"),
    Rule(has=ROOT, outputs=0, calls=(Call("exec_command", {"cmd": "echo root > root.txt; cat root.txt"}),)),
    Rule(has=ROOT, outputs=1, calls=(SPAWN,)),
    Rule(has=ROOT, outputs=2, calls=(WAIT,)),
    # Longer than Codex waits for an event: it is kept waiting by events.
    Rule(has=ROOT, text="all done", behaviour={"latency": 4.0}),
)


@dataclass(frozen=True, slots=True)
class Codex:
    """A Codex with a folder to work in and a home of its own."""

    node: Node
    folder: Path
    door: Door

    @property
    def work(self) -> Path:
        """Where it works."""
        return self.folder / "work"

    async def run(self, prompt: str, model: str = "scripted") -> Completed:
        """Let it work on a prompt until it has ended."""
        home = self.folder / "home"
        environment = {
            "PATH": self.node.path,
            "HOME": str(home),
            "CODEX_HOME": str(home),
            "AIOS_KEY": self.door.key,
        }
        for each in (self.work, home):
            each.mkdir()
        (home / "config.toml").write_text(CONFIG.format(url=self.door.url, model=model))
        command = (self.node.program("codex"), "exec", "--skip-git-repo-check", "--json", "-C", self.work)
        return await run(*command, prompt, environment=environment)


@pytest_asyncio.fixture(loop_scope="session")
async def codex(door: Door, tmp_path: Path) -> Codex:
    """Bring Codex to the door."""
    node = await node_environment("codex", REQUIREMENTS / "npm-codex.txt")
    return Codex(node, tmp_path, door)


async def test_its_shell_and_its_subagent_work(codex: Codex, kernel: Cluster, model: ScriptedModel) -> None:
    with model.rules(*SCENE):
        async with family(kernel, codex.door) as agents:
            done = await codex.run(f"{ROOT} do it")
            await agents.is_root_and_child()

    assert "all done" in done.out, done.tail
    assert (codex.work / "root.txt").read_text() == "root\n"
    assert (codex.work / "child.txt").read_text() == "child\n"
    requests = model.asked(ROOT)
    assert [len(each.outputs) for each in requests] == [0, 1, 2, 3], "a step was asked for twice"
    told = requests[-1].outputs
    assert "root" in told[0]
    assert "child done" in told[-1]


async def test_killing_the_root_stops_its_subagents_call(
    codex: Codex, kernel: Cluster, model: ScriptedModel
) -> None:
    endless = Rule(has=CHILD, lacks=ROOT, text="a long thought", behaviour={"token_delay": 3600.0})
    with model.rules(endless, *SCENE):
        session = asyncio.create_task(codex.run(f"{ROOT} do it"))
        await until(lambda: "running" in states(model))
        async with kernel.admin() as admin:
            await admin.agents.kill(codex.door.agent)
        await until(lambda: states(model)[-1] == "dropped")
        done = await session

    assert "all done" not in done.out


def states(model: ScriptedModel) -> list[str]:
    """Return what became of the subagent's requests."""
    return [each.state for each in model.asked(CHILD) if ROOT not in each.text]


async def test_it_speaks_another_dialect_with_a_model_that_it_knows(
    codex: Codex, model: ScriptedModel
) -> None:
    """Its tools come among the items then, in namespaces, and the shell is called from a text."""
    script = "const done = await tools.exec_command({cmd: 'echo known > known.txt'}); text(done.exit_code);"
    scene = (
        Rule(has="CODEXKNOWN", outputs=0, calls=(Call("functions.exec", {"input": script}),)),
        Rule(has="CODEXKNOWN", text="all done"),
    )
    with model.rules(*scene):
        done = await codex.run("CODEXKNOWN do it", model="gpt-6.2-sol")

    assert "all done" in done.out, done.tail
    assert (codex.work / "known.txt").read_text() == "known\n"
