"""The demo's act that waits for a person: it runs when one says yes, and not otherwise."""

import pytest

from launcher.demo import approval
from tests.system.cluster import Cluster

pytestmark = [pytest.mark.system, pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="package")]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (True, "you approved, it ran once: succeeded"),
        (False, "you rejected, it did not run: "),
        (None, "nobody at a terminal decided, so it was left waiting and did not run"),
    ],
)
async def test_what_the_person_says_is_what_happens(kernel: Cluster, *, said: bool | None, told: str) -> None:
    asked: list[str] = []

    async def ask(question: str) -> bool | None:
        asked.append(question)
        return said

    name = f"nora-{said}".lower()
    async with kernel.admin() as admin:
        shown = await approval.show(admin, ask, decided=False, name=name, person_id=f"person-of-{name}")

    assert shown.right, shown.text
    assert told in shown.text
    (question,) = asked
    assert f"{name} wants tools/publish" in question
    assert approval.TEXT in question


async def test_the_administrator_decides_only_when_told_to(kernel: Cluster) -> None:
    async def ask(question: str) -> bool | None:
        raise AssertionError(f"nobody is to be asked: {question}")

    async with kernel.admin() as admin:
        shown = await approval.show(admin, ask, decided=True, name="nora-yes", person_id="person-of-nora")

    assert shown.right, shown.text
    assert "the demo's administrator (--yes) approved" in shown.text
