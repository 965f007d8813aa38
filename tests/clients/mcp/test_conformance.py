"""The suite of the protocol's authors against a real kernel, in the current revision and the one before.

It runs whole. What the kernel has no counterpart of fails, and stands here check by check with its reason, so
that every change is noticed, in either direction.
"""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from tests.clients.environments import REQUIREMENTS, Node, node_environment, run
from tests.clients.mcp.fixtures import Person, fixtures, way_in
from tests.system.cluster import Cluster

DOOR_OFFSET: Final = 20
SUITE: Final = "node_modules/@modelcontextprotocol/conformance/dist/index.js"
FAILED: Final = frozenset({"FAILURE", "WARNING"})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def suite() -> Node:
    """Return a Node.js with the suite."""
    return await node_environment("mcp-conformance", REQUIREMENTS / "npm-mcp-conformance.txt")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(kernel: Cluster) -> AsyncIterator[str]:
    """Return the address of an MCP server that has what the suite expects."""
    async with kernel.admin() as admin:
        handle = await admin.agents.register("conformance")
        url = f"http://127.0.0.1:{kernel.plan.base_port + DOOR_OFFSET}"
        async with (
            fixtures(admin.as_agent(handle), admin, handle.name),
            way_in(url, handle.credential.agent_key, Person(admin)) as address,
        ):
            yield address


PROMPTS: Final = "the kernel has no prompts"
COMPLETION: Final = "nor arguments of prompts to complete"
SAMPLING: Final = "tools of the kernel do not ask the client's model: they have the kernel's"
ROOTS: Final = "tools of the kernel do not read the client's folders"
QUESTIONS: Final = (
    "tools of the kernel ask the client nothing; what is asked is whether to try again once approved"
)
LOGGING: Final = "the kernel's log is not for its callers"
RESUMING: Final = "answers are not kept for connections that broke; the ledger has the results of calls"

PROMPT_SCENARIOS: Final[dict[str, Mapping[str, str]]] = {
    name: {name: PROMPTS}
    for name in (
        "prompts-list",
        "prompts-get-simple",
        "prompts-get-with-args",
        "prompts-get-embedded-resource",
        "prompts-get-with-image",
    )
}

EXPECTED: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "2026-07-28": {
        **PROMPT_SCENARIOS,
        "caching": {"sep-2549-prompts-list-caching-hints": PROMPTS},
        "completion-complete": {"completion-complete": COMPLETION},
        "server-stateless": {
            "sep-2575-server-rejects-undeclared-capability": SAMPLING,
            "sep-2575-missing-capability-http-400": SAMPLING,
        },
        "input-required-result-basic-elicitation": {"sep-2322-elicitation-incomplete": QUESTIONS},
        "input-required-result-basic-sampling": {"sep-2322-sampling-incomplete": SAMPLING},
        "input-required-result-basic-list-roots": {"sep-2322-list-roots-incomplete": ROOTS},
        "input-required-result-capability-check": {"sep-2322-respect-client-capabilities": SAMPLING},
        "input-required-result-multiple-input-requests": {"sep-2322-multiple-inputs-incomplete": SAMPLING},
        "input-required-result-ignore-extra-params": {"sep-2322-ignore-unexpected-params": QUESTIONS},
        "input-required-result-non-tool-request": {"sep-2322-non-tool-incomplete": PROMPTS},
    },
    "2025-11-25": {
        **PROMPT_SCENARIOS,
        "completion-complete": {"completion-complete": COMPLETION},
        "logging-set-level": {"logging-set-level": LOGGING},
        "tools-call-with-logging": {"tools-call-with-logging": LOGGING},
        "tools-call-sampling": {"tools-call-sampling": SAMPLING},
        "tools-call-elicitation": {"tools-call-elicitation": QUESTIONS},
        "elicitation-sep1034-defaults": {"elicitation-sep1034-general": QUESTIONS},
        "elicitation-sep1330-enums": {"elicitation-sep1330-general": QUESTIONS},
        "server-sse-polling": {
            "incoming-sse-event": RESUMING,
            "server-sse-priming-event": RESUMING,
            "server-sse-retry-field": RESUMING,
        },
    },
}
"""What fails, and why it may: revision, scenario, check."""
PASSED: Final = {"2026-07-28": 25, "2025-11-25": 20}
"""Scenarios of which every check passes."""


def outcomes(results: Path) -> dict[str, frozenset[str]]:
    """Return the checks that failed, by scenario; the extension for tasks left out."""
    found: dict[str, frozenset[str]] = {}
    for file in results.glob("*/checks.json"):
        scenario = file.parent.name.removeprefix("server-").rpartition("-2026-")[0]
        if not scenario.startswith("tasks-"):
            checks = json.loads(file.read_text())
            found[scenario] = frozenset(check["id"] for check in checks if check["status"] in FAILED)
    return found


@pytest.mark.parametrize("revision", EXPECTED)
async def test_the_suite_passes_but_for_what_the_kernel_does_not_have(
    revision: str, server: str, suite: Node, tmp_path: Path
) -> None:
    options = ("--url", server, "--requirements", revision, "-o", tmp_path)
    done = await run(suite.node, suite.folder / SUITE, "server", *options)

    found = outcomes(tmp_path)
    failed = {scenario: checks for scenario, checks in found.items() if checks}
    assert failed == {scenario: frozenset(checks) for scenario, checks in EXPECTED[revision].items()}, (
        done.tail
    )
    assert len(found) - len(failed) == PASSED[revision], done.tail
