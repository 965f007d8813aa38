"""The worked example of the guide to policies is a real policy."""

import re
from pathlib import Path
from typing import Any

from services.scheduler.core.policies import PolicyRegistry
from services.scheduler.core.policies.base import Policy
from tests.fakes.scheduling import desk, settings

GUIDE = Path(__file__).parents[3] / "services/scheduler/core/policies/README.md"


def example() -> type[Policy]:
    """Run the guide's first Python block and give the policy it defines."""
    block = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert block is not None
    names: dict[str, Any] = {"__name__": "example"}
    exec(block.group(1), names)  # noqa: S102 - the text is our own document
    policy: type[Policy] = names["SlackThenSpread"]
    return policy


def test_the_guides_example_does_what_the_guide_says() -> None:
    registry = PolicyRegistry()
    registry.add(example())
    d = desk(settings("slack", {"cap": 4}), slots=2, registry=registry)
    d.submit("busy1", agent="busy")
    d.submit("busy2", agent="busy")
    d.submit("busy3", agent="busy")
    d.submit("quiet", agent="quiet")
    d.submit("relaxed", due=90.0)
    d.submit("urgent", due=10.0)

    told = d.core.explain("busy3", 0.0)
    for _ in range(4):
        d.finish(d.order[-1])

    assert told.key == {"running_of_agent": 2}
    assert d.order == ["busy1", "busy2", "urgent", "relaxed", "quiet", "busy3"]


def test_the_guide_lists_every_built_in_policy() -> None:
    text = GUIDE.read_text()

    assert all(f"| `{name}`" in text for name in PolicyRegistry().names)
