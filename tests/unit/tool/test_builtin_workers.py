"""The worker processes of the built-in tools: what a question does to one ends there."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.tool.drivers.builtin.workers import Workers
from services.tool.errors import ToolFailed
from tests.fakes.tool_jobs import Bench


@pytest.fixture
async def processes() -> AsyncIterator[Workers]:
    """Yield pools that start processes."""
    made = Workers()
    yield made
    await made.close()


@pytest.fixture
def bench(processes: Workers) -> Bench:
    return Bench(workers=processes)


async def test_questions_are_answered_in_processes_each_csv_one_in_a_fresh_one(
    bench: Bench, processes: Workers
) -> None:
    bench.files.put("a.csv", b"n\n1\n")
    bench.files.put("a.json", b'{"n": 1}')

    for _ in range(2):
        answer = await bench("csv_query", tables={"a": "a.csv"}, sql="SELECT n FROM a")
        assert answer["result"] == [[1]]
        assert (await bench("json_query", path="a.json", query="n"))["result"] == 1
    with pytest.raises(ToolFailed, match="not authorized"):
        await bench("csv_query", tables={"a": "a.csv"}, sql="PRAGMA user_version")
    assert processes._text.started == 1
    assert processes._csv.started >= 3


@pytest.mark.torture
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("json_query", {"path": "bomb.json", "query": "[@,@][].[@,@][].[@,@][].[@,@][].[@,@][].[@,@][]"}),
        ("json_query", {"path": "bomb.json", "query": "sort_by(@, &to_string(@))|" * 20 + "@"}),
        (
            "csv_query",
            {
                "tables": {"t": "rows.csv"},
                "sql": "SELECT count(*) FROM t a, t b WHERE a.x LIKE '%' || b.x || '%_'",
            },
        ),
        (
            "csv_query",
            {"tables": {"t": "rows.csv"}, "sql": "SELECT a.x, b.x FROM t a, t b, t c ORDER BY 1, 2"},
        ),
    ],
)
async def test_a_question_that_takes_everything_costs_itself_alone(
    bench: Bench, tool: str, arguments: dict[str, Any]
) -> None:
    bench.files.put("bomb.json", b"[" + b"[]," * 1_300_000 + b"[]]")
    bench.files.put("rows.csv", b"x\n" + b"abcdefghij\n" * 100_000)
    bench.files.put(
        "wide.csv", b",".join(b"%d" % n for n in range(500)) + b"\n" + (b"," * 499 + b"\n") * 15_000
    )
    bench.files.put("a.json", b"1")

    with pytest.raises(ToolFailed, match=r"too much time or memory|larger than|takes too long"):
        await bench(tool, **arguments)
    assert (await bench("json_query", path="a.json", query="@"))["result"] == 1
