"""What is pinned of MCP servers and their tools, and what of them may be shown. Pure.

A server's word is all that anybody knows of its tools, and it can change any day. So what was accepted is
pinned: the SHA-256 of canonical JSON of everything that a model, a policy or a person reads. What is not
pinned is not shown. Names are taken as they are or not at all, and what cannot be seen is shown escaped.
"""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from services.tool.core.mcp_servers import Definition, HttpServer, KnownTool, McpServer, StdioServer
from services.tool.core.schemas import check_schema
from services.tool.errors import SchemaInvalid
from services.tool.model import Driver, DriverKind, Effect, McpBinding, Tool

PINNED: Final = (
    "name",
    "title",
    "description",
    "inputSchema",
    "outputSchema",
    "annotations",
    "icons",
    "execution",
    "_meta",
)
"""The fields of a definition that count; others are not kept and never shown."""
MAX_TOOLS: Final = 256
MAX_DEFINITION: Final = 160 * 1024
"""Longest definition. Unit: characters of its JSON with all but ASCII escaped."""
MAX_DEFINITIONS: Final = 1_300_000
"""All definitions of a server together, so that old and new fit one answer. Unit: the same."""
MAX_TOOL_ID: Final = 128
MAX_TITLE: Final = 128
MAX_DESCRIPTION: Final = 4_096
MAX_PROBLEM: Final = 1_024
_SERVER: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_BLANKS: Final = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and signs that show nothing."""
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Categories whose characters cannot be seen or change how others are shown."""
_TEXTS: Final = frozenset({"description", "title", "$comment"})
"""Members of a schema that only people and models read; they can be shown escaped without another meaning."""


def canonical(value: Any) -> str:
    """Write a JSON value in the one way that is hashed: sorted keys, no blanks, Unicode as it is."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def pin(text: str) -> str:
    """Return the SHA-256 of a canonical text in hexadecimal. Half a surrogate pair counts as itself."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def server_pin(reached: StdioServer | HttpServer, programs: Mapping[str, str]) -> str:
    """Return the SHA-256 of what a server is, without its secrets and settings.

    `programs`: the SHA-256 of each file that a command names, by the argument that names it.
    """
    if isinstance(reached, StdioServer):
        told: dict[str, Any] = {
            "command": list(reached.command),
            "environment": dict(reached.environment),
            "network": reached.allow_network,
            "programs": dict(programs),
        }
    else:
        told = {"url": reached.url, "headers": dict(reached.headers)}
        if reached.oauth is not None:
            told["oauth"] = [reached.oauth.token_url, reached.oauth.client_id, *reached.oauth.scopes]
    return pin(canonical(told))


def offer_digest(server_now: str, known: Iterable[KnownTool]) -> str:
    """Return the SHA-256 of all that a server offers now: what a person accepts is exactly this."""
    offered = {each.tool: pin(each.offered) for each in known if each.offered}
    return pin(canonical({"server": server_now, "tools": offered}))


def definition(shown: Mapping[str, Any]) -> Definition:
    """Return a tool's definition from its members. Raises ValueError for what is no JSON."""
    kept = {field: shown[field] for field in PINNED if shown.get(field) is not None}
    return Definition(str(shown.get("name", "")), canonical(kept))


def server_id_problem(server: str) -> str:
    """Tell why a server cannot have this id; empty: it can.

    With a dot in it, server `a` with a tool `b.c` and server `a.b` with a tool `c` would meet.
    """
    return "" if _SERVER.fullmatch(server) else "the id of a server that owns tools holds no dot"


def taken(
    server: McpServer, shown: Sequence[Definition], *, truncated: bool = False
) -> tuple[tuple[Definition, ...], tuple[str, ...]]:
    """Choose what is taken of the tools that a server shows; returns it by name, and why others are not."""
    counts = Counter(each.tool.casefold() for each in shown)
    passed = ["the list of tools does not end; only its first part was read"] if truncated else []
    chosen: list[Definition] = []
    room = MAX_DEFINITIONS
    for each in sorted(shown, key=lambda one: one.tool):
        if server.allowed_tools and each.tool not in server.allowed_tools:
            continue
        size = len(json.dumps(each.text)) if len(each.text) <= MAX_DEFINITION else MAX_DEFINITION + 1
        why = "two tools differ in nothing but case" if counts[each.tool.casefold()] > 1 else ""
        if len(chosen) == MAX_TOOLS or (size > room and size <= MAX_DEFINITION):
            why = why or "the server offers too much"
        why = why or _why_not(server, each, size)
        if why:
            passed.append(f"{visible(each.tool[:64]) or 'a tool without a name'}: {why}")
            continue
        room -= size
        chosen.append(each)
    names = {each.tool for each in shown}
    passed += [
        f"{visible(name)}: the server has no such tool" for name in server.allowed_tools if name not in names
    ]
    return tuple(chosen), tuple(dict.fromkeys(passed))


def _why_not(server: McpServer, each: Definition, size: int) -> str:
    if not _NAME.fullmatch(each.tool):
        return "its name has other characters than A-Z a-z 0-9 . _ - or is too long"
    if len(tool_id(server.id, each.tool)) > MAX_TOOL_ID:
        return f"its name is longer than {MAX_TOOL_ID} characters together with the server's"
    if size > MAX_DEFINITION:
        return f"its definition is larger than {MAX_DEFINITION} characters"
    try:
        tool = tool_of(server, each)
        check_schema(tool.parameters_schema, "inputSchema", of_object=True)
        check_schema(tool.result_schema, "outputSchema", of_object=False)
    except SchemaInvalid as error:
        return error.message
    except ValueError as error:
        return str(error)
    return ""


def tool_id(server: str, tool: str) -> str:
    """Return the kernel's id of a server's tool."""
    return f"{server}.{tool}"


def tool_of(server: McpServer, accepted: Definition) -> Tool:
    """Return the kernel's tool for a definition. Raises ValueError for what cannot be shown safely."""
    shown = json.loads(accepted.text)
    annotations = shown.get("annotations") or {}
    description = visible(shown.get("description") or "")
    if len(description) > MAX_DESCRIPTION:
        raise ValueError(f"its description is longer than {MAX_DESCRIPTION} characters")
    return Tool(
        id=tool_id(server.id, accepted.tool),
        title=visible(shown.get("title") or annotations.get("title") or "", lines=False)[:MAX_TITLE],
        description=description,
        parameters_schema=_schema_text(shown.get("inputSchema") or {"type": "object"}),
        result_schema=_schema_text(shown["outputSchema"]) if shown.get("outputSchema") else "",
        effect=effect_of(server, annotations),
        max_concurrency=server.max_concurrency,
        timeout_seconds=server.timeout_seconds,
        driver=Driver(
            DriverKind.MCP,
            mcp=McpBinding(server=server.id, tool=accepted.tool, pinned_sha256=pin(accepted.text)),
        ),
        returns_untrusted=True,
        untrusted=server.untrusted,
        owner=server.owner,
        created_at=server.created_at,
        updated_at=server.created_at,
    )


def effect_of(server: McpServer, annotations: Mapping[str, Any]) -> Effect:
    """Return what a tool does to the world; the server's word counts where it is trusted, within bounds."""
    if server.trust_annotations:
        if annotations.get("readOnlyHint") is True and annotations.get("destructiveHint") is not True:
            return Effect.IDEMPOTENT
        if annotations.get("destructiveHint") is False:
            return Effect.REVERSIBLE
    # Nobody outside can promise that running it leaves no trace.
    return Effect.IDEMPOTENT if server.default_effect is Effect.PURE else server.default_effect


def visible(text: str, *, lines: bool = True) -> str:
    """Return a text with everything escaped that cannot be seen or changes how the rest is shown.

    `lines`: line breaks and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(each, lines=lines) for each in text)


def hides(text: str) -> bool:
    """Tell whether a text holds something that cannot be seen."""
    return visible(text, lines=False) != text


def _shown(character: str, *, lines: bool) -> str:
    if lines and character in "\n\t":
        return character
    code = ord(character)
    selector = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF  # noqa: PLR2004 - variation selectors
    if unicodedata.category(character) in _HIDDEN or character in _BLANKS or selector:
        return f"\\u{{{code:x}}}"
    return character


def _schema_text(schema: Any) -> str:
    """Write a schema as it is shown. Raises ValueError when what matters in it holds what cannot be seen."""
    if not isinstance(schema, dict):
        raise ValueError("its schema is no object")  # noqa: TRY004 - one kind of error for what is not taken
    return json.dumps(_cleaned(schema), separators=(",", ":"), ensure_ascii=False)


def _cleaned(schema: dict[str, Any]) -> dict[str, Any]:
    """Copy a schema with its texts for readers escaped, level by level: a stranger chose how deep it is."""
    top: dict[str, Any] = {}
    stack: list[tuple[Any, dict[str, Any] | list[Any]]] = [(schema, top)]
    while stack:
        source, target = stack.pop()
        members = source.items() if isinstance(source, dict) else ((None, each) for each in source)
        for key, value in members:
            kept: Any = value
            if key is not None and hides(key):
                raise ValueError("its schema has a name with characters that cannot be seen")
            if isinstance(value, dict):
                kept = {}
            elif isinstance(value, list):
                kept = []
            elif isinstance(value, str):
                kept = _text(key, value)
            if isinstance(target, list):
                target.append(kept)
            elif key is not None:
                target[key] = kept
            if isinstance(value, dict | list):
                stack.append((value, kept))
    return top


def _text(key: str | None, value: str) -> str:
    if key in _TEXTS:
        return visible(value)
    if visible(value) != value:
        raise ValueError("its schema has a value with characters that cannot be seen")
    return value


def compared(known: Sequence[KnownTool], offered: Sequence[Definition]) -> tuple[KnownTool, ...]:
    """Hold what is offered now against what was accepted; what is neither is left out."""
    now = {each.tool: each.text for each in offered}
    before = {each.tool: each.accepted for each in known}
    found = (KnownTool(name, before.get(name, ""), now.get(name, "")) for name in sorted({*now, *before}))
    return tuple(each for each in found if each.accepted or each.offered)


def problem_text(problems: Sequence[str]) -> str:
    """Put problems together for people, as far as there is room."""
    text = "; ".join(problems)
    return text if len(text) <= MAX_PROBLEM else text[: MAX_PROBLEM - 1] + "…"
