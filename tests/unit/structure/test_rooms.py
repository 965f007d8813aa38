"""The floor plan: known rooms, the same names everywhere, no imports in a circle."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MANAGERS = ("access", "context", "memory", "scheduler", "storage", "tool")
PROCESSES = (*MANAGERS, "sandbox", "tgi_local")

ROOMS = {"core", "service", "store", "adapters", "wire", "servicer"}
FILES = {"__init__", "__main__", "main", "config", "metrics", "servicer", "model", "errors", "ports"}
EVERYWHERE = {"main", "config", "metrics", "servicer", "errors", "ports", "core", "service", "wire"}
"""What each process has; `model`, `store` and `adapters` where there is something to put into them."""

EXTRA = {"tgi_local": {"demo_model"}, "tool": {"drivers", "egress"}}
"""Rooms of one process alone."""

CHASSIS_ROOMS = {"runtime", "rpc", "auth", "db", "dispatch", "constraints", "sandbox", "isolation"}
CHASSIS_FILES = {
    "__init__",
    "chat",
    "codec",
    "json_text",
    "json_values",
    "quotas",
    "shares",
    "bodies",
    "turns",
    "gate",
    "shared_looks",
    "embedding",
    "idempotency",
    "joinable",
    "entrance",
    "aside",
    "judges",
    "notifier",
    "pace",
    "schema_cost",
    "streams",
    "text_search",
    "times",
    "tool_names",
}
GATEWAY = {
    "__init__",
    "__main__",
    "main",
    "config",
    "metrics",
    "errors",
    "routing",
    "servicer",
    "syscalls",
    "forwarder",
    "control_gate",
    "data_gate",
    "places",
    "inference",
    "http",
}
INFERENCE = {
    "__init__",
    "core",
    "service",
    "adapters",
    "backends",
    "model",
    "errors",
    "ports",
    "servicer",
    "wire",
}


def inside(folder: Path) -> set[str]:
    """Name the modules and packages that lie directly in a folder."""
    return {
        path.stem
        for path in folder.iterdir()
        if path.suffix == ".py" or (path.is_dir() and any(path.rglob("*.py")) and path.name != "__pycache__")
    }


@pytest.mark.parametrize("process", PROCESSES)
def test_every_module_of_a_process_lies_in_a_known_room(process: str) -> None:
    extra = EXTRA.get(process, set())

    assert inside(ROOT / "services" / process) <= ROOMS | FILES | extra


@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_has_the_same_rooms(process: str) -> None:
    assert inside(ROOT / "services" / process) >= EVERYWHERE


def test_the_chassis_and_the_gateway_have_known_rooms_too() -> None:
    assert inside(ROOT / "services/chassis") <= CHASSIS_ROOMS | CHASSIS_FILES
    assert inside(ROOT / "gateway") <= GATEWAY
    assert inside(ROOT / "gateway/inference") <= INFERENCE


@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_has_a_readme_and_every_room_says_what_it_is(process: str) -> None:
    folder = ROOT / "services" / process

    assert (folder / "README.md").is_file()
    for room in (room for room in ROOMS if (folder / room).is_dir()):
        tree = ast.parse((folder / room / "__init__.py").read_text())
        assert ast.get_docstring(tree), room


def test_production_packages_hold_no_stores_in_memory() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources()
        for name in read(path).classes
        if name.startswith(("InMemory", "Fake"))
    ]

    assert found == []


def test_no_import_runs_in_a_circle() -> None:
    assert circles(imports()) == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy what import-linter reads, so that something can be planted in it."""
    ignore = shutil.ignore_patterns("__pycache__", "demo_model", "*.gguf", "*.pyi")
    for name in ("services", "gateway", "launcher"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    shutil.copytree(ROOT / "sdk/python/src/aios", tmp_path / "aios", ignore=ignore)
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def test_the_walls_stand_and_notice_a_framework_in_every_core_and_every_service(copy: Path) -> None:
    assert lint(copy) == (0, set())

    planted = set()
    for folder, line in (
        ("core", "import grpc"),
        ("core", "import asyncio"),
        ("service", "import sqlalchemy"),
    ):
        for home in (*(f"services/{name}" for name in PROCESSES), "gateway/inference"):
            room = copy / home / folder
            victim = next(path for path in sorted(room.rglob("*.py")) if path.stem != "__init__")
            victim.write_text(f"{line}\n{victim.read_text()}")
            module = ".".join(victim.relative_to(copy).with_suffix("").parts)
            planted.add(f"{module} -> {line.split()[1]}")

    status, broken = lint(copy)

    assert status == 1
    assert broken >= planted


def lint(folder: Path) -> tuple[int, set[str]]:
    """Run import-linter in a folder; return its exit status and the imports that it refuses."""
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command as c; c()",
        "--no-cache",
    ]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env={"PYTHONPATH": "."}
    )
    lines = (line.strip().removeprefix("-").strip() for line in done.stdout.splitlines())
    return done.returncode, {line.split(" (")[0] for line in lines if " -> " in line}


def sources() -> Iterator[Path]:
    """Yield every module of the kernel."""
    for name in ("services", "gateway", "launcher"):
        yield from (ROOT / name).rglob("*.py")


def module_of(path: Path) -> str:
    """Name the module in a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@dataclass(frozen=True, slots=True)
class Module:
    """What a module says, wherever in the file that stands."""

    classes: frozenset[str]
    imported: frozenset[str]
    """Modules that are imported whole."""
    taken: frozenset[tuple[str, str]]
    """Modules that a name is imported from, and the name."""


@cache
def read(path: Path) -> Module:
    """Read a module once for all tests."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    imported = (alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names)
    taken = (
        (node.module, alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    )
    classes = (node.name for node in nodes if isinstance(node, ast.ClassDef))
    return Module(frozenset(classes), frozenset(imported), frozenset(taken))


def imports() -> dict[str, set[str]]:
    """Return which module of the kernel imports which."""
    files = {module_of(path): path for path in sources()}
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        said = read(path)
        named = {full if (full := f"{source}.{name}") in files else source for source, name in said.taken}
        graph[module] = (named | said.imported) & set(files)
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that reach each other."""
    reach: dict[str, set[str]] = {}
    for start, direct in graph.items():
        seen: set[str] = set()
        todo = list(direct)
        while todo:
            module = todo.pop()
            if module not in seen:
                seen.add(module)
                todo += graph[module]
        reach[start] = seen
    groups = {tuple(sorted(other for other in reach[one] if one in reach[other])) for one in graph}
    return sorted(list(group) for group in groups if group)


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]
