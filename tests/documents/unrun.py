"""What of the documents is not run, and why. Each entry must fit something, or the tests fail."""

from typing import Final

DOCUMENTS: Final = {
    "deploy/README.md": "its commands need a cluster, or build images",
    "protos/README.md": "its commands need other languages' tools: make test-polyglot runs them",
}
"""Whole documents whose commands are not run; what they show of files is read all the same."""

BLOCKS: Final = {
    (
        "sdk/python/README.md",
        "async def test_the_keeper_notes_what_it_is_told",
    ): "tests/rpc/sdk/test_sdk_readme.py",
    ("services/scheduler/core/policies/README.md", "class SlackThenSpread"): (
        "tests/unit/scheduler/test_core_policy_guide.py"
    ),
    ("services/scheduler/core/policies/README.md", "def test_the_least_slack_goes_first"): (
        "tests/unit/scheduler/test_core_policy_guide.py"
    ),
    ("services/chassis/README.md", "class MemoryServicer"): "tests/rpc/memory/test_memory_rpc.py",
    ("services/chassis/README.md", "async with serving("): "tests/rpc/memory/test_memory_rpc.py",
}
"""Code by document and a part of it, with the test that runs it, or that runs what it is an excerpt of."""

COMMANDS: Final = {
    "make demo": "has a test of its own, tests/system/test_demo.py",
    "make test": "is what runs this",
    "python -m pip": "changes the environment: test_documents_wheel.py installs apart",
    "codex exec": "a client of somebody else's: make test-clients runs it",
    "uv run --no-project": "agents of other frameworks: make test-clients runs them",
    "python -m services.storage ": "a process of a kernel, which needs the others",
    "python -m services.tgi_local.demo_model": "trains and weighs the tiny model, for hours",
    "aios why planner": "needs a call that waits just then",
    "aios approvals show": "needs an approval that waits just then",
    "aios approvals approve": "needs an approval that waits just then",
    "aios mcp add files": "needs a server of the reader's",
    "aios mcp approve files": "needs a server of the reader's",
}
"""Commands by how they begin."""

ONCE: Final = {
    "aios persons create amy": "an id means one person for ever",
    "aios agents register draftsman": "an id means one agent for ever",
    "aios kill draftsman": "it was purged, and an id means one agent for ever",
    "aios purge draftsman": "it was purged, and an id means one agent for ever",
    "aios up --openai": "each of them has started on what other kernels left",
    "aios up --tgi": "each of them has started on what other kernels left",
    "aios up --embedded-model": "each of them has started on what other kernels left",
}
"""Commands that the second time are refused, rightly; they are run the first time."""

GO_ON: Final = ("aios logs gateway --follow", "aios trace coder")
"""Commands that go on until Ctrl-C: they run for a while, and Ctrl-C must end them."""

USUAL: Final = ("make run", "aios up")
"""What keeps a kernel up with its own model: who has one up already leaves it."""

SERVES: Final = (*USUAL, "aios up ")
"""Commands that keep a kernel up: they run in another terminal, where Ctrl-C ends the one before them."""

ENDS: Final = "aios down"
"""The command that ends the kernel."""

NOT_PLAYED: Final = {
    "class Teller": "with a form for its answer, a call of a tool ends as CONSTRAINT_UNMET",
}
"""Examples whose model cannot be played on a real kernel, by a part of them; they run there all the same."""
