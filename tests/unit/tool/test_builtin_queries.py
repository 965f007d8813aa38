"""The built-in tools that search and query files: what they answer, and what they cannot be made to do."""

import json
from typing import Any

import pytest

from services.tool.drivers.builtin import csv_worker
from services.tool.drivers.builtin.limits import MAX_CSV_BYTES, MAX_JSON_BYTES, MAX_SEARCHED_BYTES
from services.tool.errors import ArgumentsInvalid, ToolFailed
from tests.fakes.tool_jobs import Bench

PEOPLE = b'name,age,zip\nann,31,007\n"bob, jr",,010\n'


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.files.put("people.csv", PEOPLE)
    made.files.put("src/a.py", b"import os\n\ndef run():\r\n    os.system()\n")
    made.files.put("src/b.py", b"import sys\n")
    made.files.put("data.json", json.dumps({"items": [{"n": 1}, {"n": 5}], "names": ["x"]}).encode())
    return made


async def test_grep_tells_path_line_and_text(bench: Bench) -> None:
    found = await bench("grep", pattern=r"^import|OS\.", ignore_case=True)
    assert found["result"] == "src/a.py:1: import os\nsrc/a.py:4:     os.system()\nsrc/b.py:1: import sys"
    assert not found["truncated"]
    assert (await bench("grep", pattern=r"run\(\):$", files="*.py", directory="src"))[
        "result"
    ] == "nothing found"
    assert (await bench("grep", pattern=r"run\(\):", files="**/*.py"))["result"] == "src/a.py:3: def run():"
    some = await bench("grep", pattern="import", limit=1)
    assert (some["result"], some["truncated"]) == ("src/a.py:1: import os", True)


async def test_grep_passes_over_what_is_no_text_or_too_large_and_says_so(bench: Bench) -> None:
    bench.files.put("binary", b"import\0")
    bench.files.put("large", b"import\n" + b"x" * MAX_SEARCHED_BYTES)

    found = await bench("grep", pattern="import", files="*")
    assert found["result"] == "large:1: import"
    assert found["not_searched"] == ["binary", "large"]


async def test_grep_stops_at_its_bounds_and_says_so(bench: Bench) -> None:
    for number in range(10):
        bench.files.put(f"big/{number}", b"a\n" * (MAX_SEARCHED_BYTES // 2))

    nothing = await bench("grep", pattern="b", directory="big")
    assert (nothing["result"], nothing["truncated"]) == ("nothing found", True)
    many = await bench("grep", pattern="a", directory="big", limit=500)
    assert (many["result"].count("\n"), many["truncated"]) == (499, True)


@pytest.mark.parametrize("pattern", ["(", "(?=a)", "(a)\\1", "a)(?:b", "(a{1000}){1000}", "\ud800", "[z-a]"])
async def test_a_pattern_that_is_none_is_told_even_of_no_files(bench: Bench, pattern: str) -> None:
    for files in ("**", "nowhere"):
        with pytest.raises(ToolFailed, match="no RE2 expression"):
            await bench("grep", pattern=pattern, files=files)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(x+x+)+y", b"x" * 1_000_000),
        ("(a|a)*$b", b"a" * 1_000_000),
        ("[^z]*z", b"a\n" * 500_000 + b"z"),
        ("(.*)(.*)(.*)(.*)(.*)q", b"a" * 1_000_000),
        (r"\n", b"\n" * 1_000_000),
        ("a{0,1000}b", b"a" * 1_000_000),
    ],
)
async def test_no_pattern_takes_more_than_linear_time(bench: Bench, pattern: str, text: bytes) -> None:
    bench.files.put(
        "trap", text
    )  # what backtracks, or looks again from each line, ends by the test's timeout
    found = (await bench("grep", pattern=pattern, files="trap"))["result"]
    assert found in {"nothing found", "trap:500001: z"}


async def test_json_is_asked_by_jmespath(bench: Bench) -> None:
    assert (await bench("json_query", path="data.json", query="items[?n > `2`].n"))["result"] == [5]
    assert (await bench("json_query", path="data.json", query="nothing"))["result"] is None
    bench.files.put("half.json", b'"\\ud800"')
    assert (await bench("json_query", path="half.json", query="@"))["result"] == "?"


@pytest.mark.parametrize(
    ("document", "query", "why"),
    [
        (b"[" * 100_000, "@", "nested too deep"),
        (b"{", "@", "no JSON"),
        (b"\xff", "@", "no JSON"),
        (b'{"a": NaN}', "@", "NaN is no number"),
        (b"1", "[" * 900, "nested too deep|cannot be answered"),
        (b"1", "(" * 900 + "@" + ")" * 90, "nested too deep|cannot be answered"),
        (b'"x"', "sum(@)", "cannot be answered"),
        (b"1", "|".join(["[@,@]"] * 60), "larger than"),
        (json.dumps("x" * 300_000).encode(), "@", "larger than"),
        (b" " * MAX_JSON_BYTES + b"1", "@", "longer than"),
    ],
)
async def test_what_cannot_be_taken_out_of_json_is_told(
    bench: Bench, document: bytes, query: str, why: str
) -> None:
    bench.files.put("x.json", document)
    with pytest.raises(ToolFailed, match=why):
        await bench("json_query", path="x.json", query=query)


async def sql(bench: Bench, query: str, **more: Any) -> Any:
    return await bench("csv_query", tables={"people": "people.csv"}, sql=query, **more)


async def test_csv_files_are_tables_with_numbers_where_all_are(bench: Bench) -> None:
    bench.files.put("zips.csv", b"\xef\xbb\xbfzip;town;town;\n007;A;B\n010;C\n")
    found = await sql(bench, "SELECT name, age + 1, zip FROM people ORDER BY name")
    assert found["result"] == [["ann", 32, "007"], ["bob, jr", None, "010"]]
    assert found["columns"] == ["name", "age + 1", "zip"]
    both = {"p": "people.csv", "z": "zips.csv"}
    assert (await bench("csv_query", tables={"z": "zips.csv"}, sql="SELECT * FROM z", delimiter=";")) == {
        "result": [["007", "A", "B", ""], ["010", "C", "", ""]],
        "columns": ["zip", "town", "town_2", "column_4"],
        "truncated": False,
    }
    counted = await bench("csv_query", tables=both, sql="SELECT (SELECT count(*) FROM p), count(*) FROM z")
    assert counted["result"] == [[2, 2]]
    cut = await sql(bench, "SELECT name FROM people", limit=1)
    assert (len(cut["result"]), cut["truncated"]) == (1, True)


@pytest.mark.parametrize(
    "query",
    [
        "ATTACH ':memory:' AS x",
        "ATTACH '/tmp/x.db' AS x",
        "PRAGMA trusted_schema = ON",
        "SELECT * FROM pragma_table_info('people')",
        "SELECT load_extension('x')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT readfile('/etc/passwd')",
        "SELECT writefile('/tmp/x', 'y')",
        "CREATE TABLE x(a)",
        "CREATE VIRTUAL TABLE x USING fts5(a)",
        "CREATE TEMP TABLE x(a)",
        "CREATE TEMP TRIGGER x AFTER INSERT ON people BEGIN SELECT 1; END",
        "INSERT INTO people VALUES (1, 2, 3)",
        "UPDATE people SET age = 1",
        "DELETE FROM people",
        "DROP TABLE people",
        "VACUUM INTO '/tmp/x'",
        "REINDEX",
        "ANALYZE",
        "BEGIN",
        "SELECT 1; SELECT 2",
        "",
        "-- nothing",
        "SELECT \ud800",
        "SELECT ?",
        "SELECT " + "+".join("1" * 500),
        "SELECT 1" + " UNION SELECT 1" * 100,
        "SELECT hex(zeroblob(900000))",
        "SELECT group_concat(a.name || hex(zeroblob(400000))) FROM people a, people b",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
        "SELECT '" + "x" * 9_900 + "'" + " LIKE '" + "%a" * 20,
    ],
)
async def test_no_sql_does_anything_but_read_in_bounded_steps(
    bench: Bench, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_worker, "MAX_STEPS", 1_000_000)
    with pytest.raises((ToolFailed, ArgumentsInvalid)):
        await sql(bench, query)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "names 1 to"),
        (b",".join([b"c"] * 501), "names 1 to"),
        (b'a\n"' + b"x" * 100_000, "no CSV"),
        (b"a\n" + b"x" * MAX_CSV_BYTES, "longer than"),
    ],
)
async def test_a_file_that_makes_no_table_is_told(bench: Bench, data: bytes, why: str) -> None:
    bench.files.put("people.csv", data)
    with pytest.raises(ToolFailed, match=why):
        await sql(bench, "SELECT 1")


@pytest.mark.parametrize("name", ["a b", "1", "", "x" * 40, 'a"b', "sqlite_x"])
async def test_a_table_has_a_plain_name(bench: Bench, name: str) -> None:
    with pytest.raises((ToolFailed, ArgumentsInvalid)):
        await bench("csv_query", tables={name: "people.csv"}, sql="SELECT 1")


async def test_names_of_columns_are_data_and_no_sql(bench: Bench) -> None:
    bench.files.put("people.csv", b'"a"" TEXT); DROP TABLE people; --",rowid,b\0c\n1,2,3\n')
    found = await sql(bench, "SELECT * FROM people")
    assert found["result"] == [[1, 2, 3]]
    assert found["columns"] == ['a" TEXT); DROP TABLE people; --', "rowid", "bc"]


async def test_a_result_larger_than_can_be_shown_is_cut_between_rows(bench: Bench) -> None:
    bench.files.put("people.csv", b"a\n" + (b"x" * 10_000 + b"\n") * 100)
    found = await sql(bench, "SELECT a FROM people")
    assert found["truncated"]
    assert 0 < len(found["result"]) < 30
    with pytest.raises(ToolFailed, match="larger than can be shown"):
        await sql(bench, "SELECT group_concat(a) FROM (SELECT a FROM people LIMIT 40)")
