"""The agents of `examples/frameworks`, each in its framework, with two environment variables set."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.clients.door import Door
from tests.clients.environments import REQUIREMENTS, ROOT, pins, python_environment, run
from tests.fakes.scripted import Call, Rule, ScriptedModel

EXAMPLES: Final = ROOT / "examples" / "frameworks"
OWN_ENVIRONMENTS: Final = ("crewai", "llamaindex")
"""They want an older OpenAI SDK than the others."""
FRAMEWORKS: Final = sorted(path.parent.name for path in EXAMPLES.glob("*/main.py"))

PRODUCT: Final = "7006652"
MULTIPLY: Final = (Call("multiply", {"a": 1234, "b": 5678}),)
FINAL: Final = Call("final_result", {"value": 7006652, "explanation": "multiplied"})

SCRIPTS: Final[Mapping[str, tuple[Rule, ...]]] = {
    "langgraph": (Rule(has="did I ask", text="You asked for a product."),),
    "openai_agents": (
        Rule(has="openai_agents", outputs=0, calls=(Call("transfer_to_mathematician"),)),
        Rule(has="openai_agents", outputs=1, calls=MULTIPLY),
    ),
    "pydantic_ai": (Rule(has="pydantic_ai", outputs=1, calls=(FINAL,)),),
    "smolagents": (
        Rule(has="smolagents", lacks=PRODUCT, calls=MULTIPLY),
        Rule(has="smolagents", calls=(Call("final_answer", {"answer": f"It is {PRODUCT}."}),)),
    ),
    "autogen": (Rule(has="autogen", lacks="Calculate with", text="APPROVED"),),
    "crewai": (Rule(has="You are writer", text=f"The product is {PRODUCT}."),),
}
"""What the model does otherwise than to call the tool and tell its result."""
ENDINGS: Final = {
    "langgraph": "You asked for a product.",
    "openai_agents": f"mathematician: It is {PRODUCT}.",
    "pydantic_ai": f"{PRODUCT}: multiplied",
    "autogen": "reviewer: APPROVED",
    "crewai": f"The product is {PRODUCT}.",
}
SILENT: Final = {"CREWAI_DISABLE_TELEMETRY": "true", "OTEL_SDK_DISABLED": "true", "HF_HUB_OFFLINE": "1"}
"""Some frameworks report to their makers unless told not to."""


@pytest.mark.parametrize("name", FRAMEWORKS)
async def test_an_agent_runs_its_tool_and_answers(
    name: str, door: Door, model: ScriptedModel, tmp_path: Path
) -> None:
    pinned = name if name in OWN_ENVIRONMENTS else "frameworks"
    python = await python_environment(pinned, REQUIREMENTS / f"{pinned}.txt")
    mark = f"PRODUCT {name}"
    usual = (
        Rule(has=mark, outputs=0, calls=MULTIPLY),
        Rule(has=mark, text=f"It is {PRODUCT}."),
    )
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **door.environment, **SILENT}

    with model.rules(*SCRIPTS.get(name, ()), *usual):
        done = await run(python, EXAMPLES / name / "main.py", mark, environment=environment, cwd=tmp_path)

    assert done.status == 0, done.tail
    assert done.out.splitlines()[-1] == ENDINGS.get(name, f"It is {PRODUCT}.")
    told = [each for each in model.asked(mark) if PRODUCT in each.text]
    assert told, "the tool's result never reached the model"


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_an_example_is_tested_at_the_versions_it_names(name: str) -> None:
    pinned = name if name in OWN_ENVIRONMENTS else "frameworks"
    wanted = {re.sub(r"\[.*\]", "", each) for each in pins(EXAMPLES / name / "requirements.txt")}

    assert wanted <= set(pins(REQUIREMENTS / f"{pinned}.txt"))
