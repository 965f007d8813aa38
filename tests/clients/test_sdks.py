"""OpenAI's and Anthropic's SDKs, as they are installed, against the door: the tours in `inside`."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from tests.clients.door import Door
from tests.clients.environments import Node, run
from tests.clients.scenes import SCENES
from tests.fakes.scripted import GREETING, Rule, ScriptedModel
from tests.system.cluster import Cluster

INSIDE: Final = Path(__file__).parent / "inside"


@pytest.fixture(autouse=True)
def scenes(model: ScriptedModel) -> Iterator[None]:
    """Let the model play the scenes."""
    with model.rules(*SCENES):
        yield


def told(door: Door, model: ScriptedModel, **more: Any) -> dict[str, str]:
    """Return the variables of a tour."""
    tour = {"url": door.url, "key": door.key, "model": model.url.removesuffix("/v1"), **more}
    return {"PATH": "/usr/bin:/bin", "AIOS_TOUR": orjson.dumps(tour).decode()}


def tour(python: Path, name: str) -> list[Path | str]:
    """Return the command of a tour in Python."""
    return [python, "-m", "pytest", "-c", INSIDE / "pytest.ini", "--durations=5", INSIDE / f"{name}.py"]


@pytest.mark.parametrize("name", ["openai_tour", "responses_tour", "anthropic_tour"])
async def test_a_strict_client_in_python_takes_the_tour(
    name: str, door: Door, model: ScriptedModel, sdks: Path
) -> None:
    done = await run(*tour(sdks, name), environment=told(door, model), cwd=INSIDE)

    assert done.status == 0, done.tail


async def test_what_aios_env_prints_brings_both_sdks_to_the_door(kernel: Cluster, sdks: Path) -> None:
    where = {"AIOS_ENDPOINT": kernel.plan.gateway, "AIOS_DATA_DIR": str(kernel.plan.data_dir)}
    ask = """
import anthropic, openai
turns = [{"role": "user", "content": "hello"}]
print(openai.OpenAI().chat.completions.create(model="any", messages=turns).choices[0].message.content)
print(anthropic.Anthropic().messages.create(model="any", max_tokens=99, messages=turns).content[0].text)
"""

    printed = await run(
        Path(sys.executable).with_name("aios"), "env", "stock", "--format", "json", environment=where
    )
    done = await run(sdks, "-c", ask, environment=orjson.loads(printed.out))

    assert done.out == f"{GREETING}\n" * 2, done.tail


async def test_each_refusal_is_the_right_exception(
    *,
    door: Door,
    kernel: Cluster,
    model: ScriptedModel,
    faulty: list[ScriptedModel],
    narrow: ScriptedModel,
    sdks: Path,
) -> None:
    broken = Rule(has="BROKENTASK", behaviour={"error": (500, {"error": {"message": "out of order"}})})
    cut = Rule(has="CUTTASK", text="one two three four five", behaviour={"die_after": 2})
    busy = Rule(has="BUSY", text="a long thought", behaviour={"token_delay": 3600.0})
    async with kernel.admin() as admin:
        other, suspended = await admin.agents.register(), await admin.agents.register()
        await admin.agents.suspend(suspended.name)
    keys = {"other": other.credential.agent_key, "suspended": suspended.credential.agent_key}
    environment = told(door, model, **keys)

    with ExitStack() as stack:
        for each in (*faulty, narrow):
            stack.enter_context(each.rules(broken, cut, busy))
        async with door.kernel.llm.stream("BUSY", model="narrow") as occupied:
            await anext(occupied.texts())
            done = await run(*tour(sdks, "errors_tour"), environment=environment, cwd=INSIDE)

    assert done.status == 0, done.tail


async def test_a_client_in_node_takes_the_tour(door: Door, model: ScriptedModel, openai_node: Node) -> None:
    # The packages are looked for beside the file.
    file = openai_node.folder / "openai_tour.mjs"
    file.write_bytes((INSIDE / file.name).read_bytes())
    command = (openai_node.node, "--test", "--test-timeout=30000", file)

    done = await run(*command, environment=told(door, model))

    assert done.status == 0, done.tail
