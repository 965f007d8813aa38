"""An agent that writes code: it runs its tests in the sandbox, reads what failed and mends it.

The model is scripted, but it goes on only when the output of a tool says what it needs to know.
"""

from collections.abc import Sequence
from typing import Final

import pytest

import aios
from aios.agent import AgentResult
from aios.errors import PreconditionFailed
from aios.kernel import Kernel
from tests.fakes.scripted import Call, Rule, scripted_model
from tests.system.cluster import cluster

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="package")]

UNDONE: Final = "def total(prices, discount):\n    return sum(prices)\n"
BROKEN: Final = "def total(prices, discount):\n    return sum(prices) * discount // 100\n"
MENDED: Final = "def total(prices, discount):\n    return sum(prices) * (100 - discount) // 100\n"
TESTS: Final = """\
import unittest

from prices import total


class Prices(unittest.TestCase):
    def test_a_discount_is_taken_off(self):
        self.assertEqual(total([60, 40], 10), 90)
"""
RUN_TESTS: Final = """\
import pathlib, sys, unittest

result = unittest.TextTestRunner(stream=sys.stderr).run(unittest.defaultTestLoader.discover("shop"))
pathlib.Path("shop/report.txt").write_text(f"{result.testsRun} run, {len(result.failures)} failed\\n")
if not result.wasSuccessful():
    sys.exit(1)
print(f"{result.testsRun} passed")
"""
FAILURE: Final = "AssertionError: 10 != 90"
DONE: Final = "The discount is taken off, and the tests pass."


def _edit(old: str, new: str, **more: str) -> Call:
    return Call("edit", {"path": "shop/prices.py", "old_text": old, "new_text": new, **more})


TESTING: Final = Call("python", {"code": RUN_TESTS, "files": ["shop/**"]})
SCRIPT: Final = (
    Rule(outputs=0, calls=(Call("glob", {"pattern": "shop/*.py"}),)),
    Rule(outputs=1, has="shop/prices.py", calls=(Call("read_file", {"path": "shop/prices.py"}),)),
    Rule(
        outputs=2,
        has="return sum(prices)",
        calls=(_edit("sum(prices)", "sum(prices) * discount // 100", etag="$etag"),),
    ),
    Rule(outputs=3, has="replaced once", calls=(TESTING,)),
    Rule(outputs=4, has=FAILURE, calls=(_edit("* discount", "* (100 - discount)"),)),
    Rule(outputs=5, calls=(TESTING,)),
    Rule(outputs=6, has="1 passed", text=DONE),
)
"""What the model does after so many results, if they hold the text. Else it greets, and the run is over."""


class Coder(aios.Agent):
    """A coding agent with every tool that the kernel has for it."""

    system = "You write code, and run its tests before you say that it works."
    tools = (aios.AllTools(),)


async def _contents(agent: Kernel, path: str) -> Sequence[str]:
    """Return what a file held in each of its versions, oldest first."""
    versions = sorted(each.version for each in await agent.files.versions(path))
    return [await agent.files.read_text(path, version=version) for version in versions]


async def _isolates(agent: Kernel) -> None:
    """Skip the test where this machine has nothing to run foreign code in."""
    try:
        await agent.tools.call("python", {"code": "print(1)"})
    except PreconditionFailed as missing:
        if missing.reason != "SANDBOX_UNAVAILABLE":
            raise
        pytest.skip(f"no sandbox works here: {missing}")


async def test_a_coding_agent_mends_what_its_tests_say_is_broken() -> None:
    async with (
        scripted_model(*SCRIPT) as model,
        cluster(openai=(model.url,)) as kernel,
        kernel.admin() as admin,
    ):
        agent = await kernel.agent(admin, "coder")
        await _isolates(agent)
        await agent.files.write("shop/prices.py", UNDONE)
        await agent.files.write("shop/test_prices.py", TESTS)
        await agent.files.write("diary.txt", "mine\n")
        result: AgentResult = await Coder(agent).run("Let total() take the discount off, in percent.")
        runs = result.tool_runs
        assert [run.name for run in runs] == ["glob", "read_file", "edit", "python", "edit", "python"]
        assert runs[3].result.startswith("error: ")
        assert FAILURE in runs[3].result
        assert '"result":"1 passed\\n"' in runs[5].result
        assert '"changed":["shop/report.txt"]' in runs[5].result
        assert (result.text, result.finish_reason) == (DONE, "done")
        history = await _contents(agent, "shop/prices.py")
        others = {
            path: await _contents(agent, path)
            for path in ("shop/test_prices.py", "shop/report.txt", "diary.txt")
        }
        found = await agent.tools.call("glob", {"pattern": "**"})

    assert history == [UNDONE, BROKEN, MENDED]
    # The run that failed wrote nothing, and the one that passed its report alone.
    assert others == {
        "shop/test_prices.py": [TESTS],
        "shop/report.txt": ["1 run, 0 failed\n"],
        "diary.txt": ["mine\n"],
    }
    assert sorted(file["path"] for file in found.value["result"]) == sorted([*others, "shop/prices.py"])
