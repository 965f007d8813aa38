# ruff: noqa: INP001  # a script, not a package
"""Writes `aios.sync`, the synchronous twin of `aios.calls`, from the source of the asynchronous classes.

    python sdk/python/tools/generate_sync.py

A test runs `render` and compares, so that the two can never differ. Needs ruff, which formats the result.
"""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

SOURCE: Final = Path(__file__).parents[1] / "src" / "aios"
CLASSES: Final = {
    "access": "Access",
    "agents": "Agents",
    "branches": "Branches",
    "contexts": "Contexts",
    "drafts": "Drafts",
    "files": "Files",
    "llm": "Llm",
    "mcp": "Mcp",
    "memory": "Memory",
    "queue": "Queue",
    "quotas": "Quotas",
    "records": "Records",
    "secrets": "Secrets",
    "tools": "Tools",
    "web": "Web",
}
"""Module and class of each area."""

WRAPPED: Final = {"TextStream": "SyncTextStream", "Provider": "SyncProvider"}
"""Asynchronous objects that calls return, and their hand-written twins in `aios.sync.objects`."""


def render(area: str) -> str:
    """Return the source of an area's synchronous module."""
    tree = ast.parse((SOURCE / "calls" / f"{area}.py").read_text(encoding="utf-8"))
    name = CLASSES[area]
    kind = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    methods = [
        _method(node, name) for node in kind.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    kind.name = f"Sync{name}"
    kind.body = [kind.body[0], *[method for method in methods if method is not None]]
    for docstring in (node for node in ast.walk(kind) if isinstance(node, ast.Constant)):
        docstring.value = _without_async(docstring.value)
    body = ast.unparse(ast.fix_missing_locations(ast.Module([kind], [])))
    lines = [
        f'"""Synchronous twin of `aios.calls.{area}`. Written by tools/generate_sync.py; do not edit."""',
        "",
        *_imports(tree, kind, area, name),
        "",
        "",
        body,
    ]
    return _formatted("\n".join(lines) + "\n")


def _without_async(text: object) -> Any:
    """Return a docstring that speaks of blocking calls."""
    if not isinstance(text, str):
        return text
    return text.replace("async with", "with").replace("async for", "for").replace("await ", "")


def _method(node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> ast.FunctionDef | None:
    if node.name == "__init__":
        lines = ["self._inner = inner", "self._portal = portal"]
        source = f"def __init__(self, inner: {name}, portal: Portal) -> None:\n    " + "\n    ".join(lines)
        return _parsed(source)
    if node.name.startswith("_"):
        return None
    names = [decorator.id for decorator in node.decorator_list if isinstance(decorator, ast.Name)]
    doc = [node.body[0]] if ast.get_docstring(node) else []
    returns, body = _twin(node, names)
    decorators: list[ast.expr] = [
        ast.Name("contextmanager") if n == "asynccontextmanager" else ast.Name(n) for n in names
    ]
    method = _parsed("def method(self) -> None: ...")
    method.name, method.args, method.returns, method.decorator_list = (
        node.name,
        node.args,
        returns,
        decorators,
    )
    method.body = node.body if "overload" in names else [*doc, *body]
    return method


def _twin(
    node: ast.FunctionDef | ast.AsyncFunctionDef, decorators: list[str]
) -> tuple[ast.expr, list[ast.stmt]]:
    """Return the return annotation and the body of a method's twin."""
    call = f"self._inner.{node.name}({_arguments(node.args)})"
    returns = ast.unparse(node.returns) if node.returns else "None"
    if "asynccontextmanager" in decorators:
        inner = returns.removeprefix("AsyncIterator[").removesuffix("]")
        twin = WRAPPED[inner]
        text = f"with self._portal.entered({call}) as entered:\n    yield {twin}(entered, self._portal)"
        return _expression(f"Iterator[{twin}]"), ast.parse(text).body
    if returns.startswith("AsyncIterator["):
        return _expression(returns.removeprefix("Async")), ast.parse(
            f"return self._portal.iterate({call})"
        ).body
    if returns in WRAPPED:
        twin = WRAPPED[returns]
        return _expression(twin), ast.parse(f"return {twin}({call}, self._portal)").body
    keyword = "" if returns == "None" else "return "
    return _expression(returns), ast.parse(f"{keyword}self._portal.run({call})").body


def _arguments(args: ast.arguments) -> str:
    positional = [arg.arg for arg in args.args[1:]]
    variadic = [f"*{args.vararg.arg}"] if args.vararg else []
    return ", ".join([*positional, *variadic, *(f"{arg.arg}={arg.arg}" for arg in args.kwonlyargs)])


def _imports(tree: ast.Module, twin: ast.ClassDef, area: str, name: str) -> list[str]:
    used = {node.id for node in ast.walk(twin) if isinstance(node, ast.Name)}
    lines = [
        f"from aios.calls.{area} import {name}",
        "from aios.sync.portal import Portal",
        *(
            f"from aios.sync.objects import {twin_name}"
            for twin_name in WRAPPED.values()
            if twin_name in used
        ),
    ]
    if "Iterator" in used:
        lines.append("from collections.abc import Iterator")
    if "contextmanager" in used:
        lines.append("from contextlib import contextmanager")
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            kept = [alias for alias in node.names if (alias.asname or alias.name) in used]
            lines += [ast.unparse(ast.ImportFrom(node.module, [alias], 0)) for alias in kept]
    variables = [ast.unparse(node) for node in tree.body if _is_type_variable(node, used)]
    if variables:
        lines += ["from typing import TypeVar", "", *variables]
    return lines


def _is_type_variable(node: ast.stmt, used: set[str]) -> bool:
    is_call = isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
    return is_call and ast.unparse(node).startswith(tuple(f"{name} = TypeVar" for name in used))


def _parsed(source: str) -> ast.FunctionDef:
    node = ast.parse(source).body[0]
    if not isinstance(node, ast.FunctionDef):
        raise TypeError(source)
    return node


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _formatted(source: str) -> str:
    ruff = [sys.executable, "-m", "ruff"]
    sort = [
        *ruff,
        "check",
        "--quiet",
        "--select",
        "I,F401",
        "--fix",
        "--stdin-filename",
        str(SOURCE / "sync" / "x.py"),
        "-",
    ]
    fixed = subprocess.run(sort, input=source, capture_output=True, text=True, check=True).stdout  # noqa: S603  # fixed words
    form = [*ruff, "format", "--quiet", "--stdin-filename", str(SOURCE / "sync" / "x.py"), "-"]
    return subprocess.run(form, input=fixed, capture_output=True, text=True, check=True).stdout  # noqa: S603  # fixed words


def main() -> None:
    """Write every module."""
    for area in CLASSES:
        (SOURCE / "sync" / f"{area}.py").write_text(render(area), encoding="utf-8")


if __name__ == "__main__":
    main()
