"""The suite of the protocol's authors against the kernel's own client, by scenario, in both revisions.

What is not run has its reason below; a scenario that the suite gains fails until it stands in a list.
"""

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from tests.clients.environments import REQUIREMENTS, ROOT, Node, node_environment, run

SUITE: Final = "node_modules/@modelcontextprotocol/conformance/dist/index.js"
CLIENT: Final = Path(__file__).parents[1] / "inside" / "mcp_client.py"
FAILED: Final = frozenset({"FAILURE", "WARNING"})

PASSED: Final = (
    ("2025-11-25", "initialize"),
    ("2025-11-25", "tools_call"),
    ("2025-11-25", "sse-retry"),
    ("2026-07-28", "tools_call"),
    ("2026-07-28", "request-metadata"),
    ("2026-07-28", "http-standard-headers"),
    ("2026-07-28", "http-custom-headers"),
    ("2026-07-28", "http-invalid-tool-headers"),
    ("2026-07-28", "json-schema-ref-no-deref"),
    ("2026-07-28", "json-schema-2020-12-preservation"),
)

ASKED: Final = "servers ask the kernel's client nothing: no person or model sits behind a call of a tool"
FOUND: Final = "the operator names the authorization server; the kernel does not follow a server to one"
EXTENSION: Final = "an extension that the kernel does not offer"
NOT_RUN: Final[Mapping[str, str]] = {
    "elicitation-sep1034-client-defaults": ASKED,
    "sep-2322-client-request-state": ASKED,
    "auth/client-credentials-jwt": EXTENSION,
    "auth/client-credentials-basic": FOUND,
    "auth/enterprise-managed-authorization": EXTENSION,
    "auth/dpop": EXTENSION,
    "auth/dpop-nonce": EXTENSION,
    "auth/wif-jwt-bearer": EXTENSION,
    "sep-2640-client-no-prefetch": EXTENSION,
    "sep-2640-client-verify-digest": EXTENSION,
    "sep-2640-client-verify-size": EXTENSION,
    "sep-2640-client-verify-frontmatter": EXTENSION,
}
"""And all others of `auth/`: FOUND."""


def outcomes(results: Path) -> list[Mapping[str, str]]:
    """Return the checks of a run."""
    return [check for file in results.glob("**/checks.json") for check in json.loads(file.read_text())]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def suite() -> Node:
    """Return a Node.js with the suite."""
    return await node_environment("mcp-conformance", REQUIREMENTS / "npm-mcp-conformance.txt")


@pytest.mark.parametrize(("revision", "scenario"), PASSED)
async def test_a_scenario_passes(suite: Node, revision: str, scenario: str, tmp_path: Path) -> None:
    command = shlex.join([sys.executable, str(CLIENT)])
    options = ("--command", command, "--scenario", scenario, "--spec-version", revision, "-o", tmp_path)
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}

    done = await run(suite.node, suite.folder / SUITE, "client", *options, environment=surroundings)

    checks = outcomes(tmp_path)
    assert checks, done.tail
    assert [check["id"] for check in checks if check["status"] in FAILED] == [], done.tail


async def test_every_scenario_of_the_suite_is_run_or_has_a_reason(suite: Node) -> None:
    told = (await run(suite.node, suite.folder / SUITE, "list")).out
    client = told.partition("Client scenarios")[2].partition("\n\n")[0]
    known = {scenario for _, scenario in PASSED} | NOT_RUN.keys()

    listed = [line.split()[1] for line in client.splitlines() if line.startswith("  - ")]

    assert listed
    assert {name for name in listed if not name.startswith("auth/")} <= known
