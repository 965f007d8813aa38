"""What to do next about an error: one hint for each reason that the kernel can give.

`AiosError.hint` is the way to it; the `aios` command prints it below the error.
"""

from collections.abc import Mapping
from typing import Final

HINTS: Final[Mapping[str, str]] = {
    "INVALID_REQUEST": "Correct the field that is named and send the call again.",
    "MALFORMED_REQUEST": (
        "Use the protos of this kernel's version: `aios --version` and `aios doctor` tell both."
    ),
    "REQUEST_TOO_LARGE": "Send less at once, or in pieces: `aios files put` uploads files of any size.",
    "UNKNOWN_METHOD": (
        "Update the kernel, or use a client as old as it is: `aios --version` and `aios doctor`."
    ),
    "INTERNAL": "Look for the error id in the kernel's log: `aios logs`.",
    "SERVICE_UNAVAILABLE": (
        "Start the kernel with `aios up`, or say where it is: AIOS_ENDPOINT, and AIOS_CA_FILE if it "
        "speaks TLS."
    ),
    "DRAINING": "Try again in a moment: the process stops, and the next one answers.",
    "DEADLINE_EXCEEDED": "Give the call more time, or see what it waits for: `aios queue`.",
    "CANCELLED": "See in `aios audit` who cancelled it, and start it again if that was a mistake.",
    "IDEMPOTENCY_MISMATCH": "Use a new request_id for a new request.",
    "INVALID_PAGE_TOKEN": "Start the list again from its first page.",
    "SLOW_READER": "Read faster, and open the stream again after the last sequence that came.",
    "REQUEST_POISONED": "Change the request: sent as it is, it would end the process again.",
    "CREDENTIAL_MISSING": (
        "Start the kernel with `aios up`, which leaves its token in AIOS_DATA_DIR; or set AIOS_TOKEN or "
        "AIOS_AGENT_KEY."
    ),
    "CREDENTIAL_INVALID": (
        "Check AIOS_TOKEN, AIOS_AGENT_KEY and AIOS_DATA_DIR: they must be this kernel's; "
        "`aios env AGENT` prints an agent's key."
    ),
    "CREDENTIAL_EXPIRED": "Get a new token, or use an agent's key, which renews itself: AIOS_AGENT_KEY.",
    "CREDENTIAL_REVOKED": "Ask an administrator for a new key: the old one is void for good.",
    "PERMISSION_DENIED": (
        "Ask the owner or an administrator for a grant: `aios grants add AGENT RESOURCE ACTION`."
    ),
    "ACCESS_UNAVAILABLE": "Try again in a moment; see with `aios doctor` whether the access service is up.",
    "AGENT_INACTIVE": (
        "A suspended agent goes on after `aios agents resume AGENT`; a killed one has ended: register "
        "another."
    ),
    "AGENT_NOT_FOUND": (
        "See which agents there are with `aios ps --all`, or make it: `aios agents register AGENT`."
    ),
    "AGENT_EXISTS": (
        "Choose another id; or go on as that agent: `get_or_register` in Python, or a new key of it by "
        "`aios agents key AGENT`. See it with `aios agents show AGENT`."
    ),
    "POLICY_INVALID": "Correct the policy's text where the message points.",
    "RULE_NOT_FOUND": "See which rules there are: `aios grants`.",
    "AGENT_TREE_LIMIT": "End children that are done (`aios kill AGENT`), or register the agent higher up.",
    "APPROVAL_NOT_FOUND": "See what waits: `aios approvals`.",
    "APPROVAL_DECIDED": "Ask anew: a decision holds for one call and once.",
    "APPROVAL_EXPIRED": "Ask anew, and have it decided sooner: `aios approvals`.",
    "GROUP_CYCLE": "Choose another member: a group cannot hold itself.",
    "RULE_PROTECTED": "Add a rule of your own instead: the kernel's stay.",
    "PERSON_NOT_FOUND": "See which persons there are: `aios persons`.",
    "LAST_ADMINISTRATOR": "Make another administrator first: `aios persons create NAME --administrator`.",
    "AGENT_ALIVE": "End the agent first: `aios kill AGENT`.",
    "QUEUE_FULL": "Come back later, or see who fills the queue: `aios queue`.",
    "WAIT_EXPIRED": "Allow a longer wait, or see why it is long: `aios queue` and `aios why CALL`.",
    "NO_BACKEND": "See which models are served: `aios models`, and why none is: `aios logs gateway`.",
    "SCHEDULER_UNAVAILABLE": "Try again in a moment; see with `aios doctor` whether the scheduler is up.",
    "NEVER_FITS": (
        "Ask for less: fewer tokens, or fewer calls that start together. `aios models` tells the room."
    ),
    "SYSCALL_NOT_FOUND": "See what waits and runs: `aios queue`. What has ended is in `aios audit`.",
    "UNKNOWN_SCHEDULING_POLICY": "Choose one that `aios policy` lists.",
    "TOO_MANY_CALLS": "Wait for calls of yours to end, or cancel some: `aios queue`, `aios cancel CALL`.",
    "MODEL_NOT_FOUND": "Choose one that `aios models` lists, or leave the model out.",
    "PROMPT_TOO_LONG": (
        "Shorten the prompt or the answer's limit, or use a model with a larger window: `aios models`."
    ),
    "CONSTRAINT_INVALID": "Simplify the schema or expression where the message points.",
    "BACKEND_REFUSED": "Change the request as the message of the inference server says.",
    "BACKEND_FAILED": (
        "Try again; see the inference server's state with `aios queue` and `aios logs gateway`."
    ),
    "GENERATION_NOT_FOUND": "Start it again: what is long finished is no longer kept.",
    "EVENTS_EXPIRED": "Read the result as a whole instead of following it from there.",
    "CONSTRAINT_UNMET": "Ask again, with more room for the answer or a simpler schema.",
    "CAPABILITY_MISSING": "Leave the feature out, or use a model that has it: `aios models`.",
    "NOTE_NOT_FOUND": "See which notes there are: `aios memory list`.",
    "QUOTA_EXCEEDED": "See what is used with `aios usage`, and delete what is not needed.",
    "ETAG_MISMATCH": "Read it again, and make the change on what it is now.",
    "ALREADY_EXISTS": "Choose another name, or change what is there.",
    "FILE_NOT_FOUND": (
        "See which files there are: `aios files list --recursive`, deleted ones: `aios files trash`."
    ),
    "WRONG_FILE_KIND": "See what lies there: `aios files list`.",
    "DIRECTORY_NOT_EMPTY": "Delete what it holds too: `aios files rm --recursive PATH`.",
    "PATH_INVALID": "Use a relative path of plain names, such as notes/plan.md.",
    "DATA_CORRUPT": (
        "Restore it: an older version with `aios files rollback`, or a backup of the data directory."
    ),
    "UPLOAD_NOT_FOUND": "Begin the upload again.",
    "OFFSET_MISMATCH": "Go on where the upload stands: `expected_offset` in the metadata.",
    "DISK_FULL": "Make room on the kernel's disk, or delete files: `aios files rm PATH`.",
    "RECORD_NOT_FOUND": "See which collections there are: `aios records`.",
    "QUERY_INVALID": 'Write the query more simply: words, or "a phrase".',
    "UPLOAD_INCOMPLETE": "Send the rest from `expected_offset` in the metadata.",
    "CHECKSUM_MISMATCH": "Send the bytes again: they changed on the way.",
    "NOT_COMPARABLE": "Get both versions and compare them locally: `aios files get PATH`.",
    "CONTEXT_NOT_FOUND": "See which conversations there are: `aios contexts`.",
    "WINDOW_TOO_SMALL": "Shorten or unpin what is pinned, or give the conversation a larger token budget.",
    "SNAPSHOT_NOT_FOUND": "Start the generation again: its snapshot is gone.",
    "ORPHAN_TOOL_RESULT": "Append the message with the tool call first.",
    "SNAPSHOT_CONFLICT": "Leave the generation to the process that has taken it over.",
    "SNAPSHOT_KEY_MISSING": "Give the context manager the key it was encrypted under, and start it again.",
    "TOOL_NOT_FOUND": "See which tools there are: `aios tools list`.",
    "TOOL_ARGUMENTS_INVALID": "Give the arguments that `aios tools show TOOL` tells.",
    "TOOL_SCHEMA_INVALID": "Correct or simplify the schema where the message points.",
    "TOOL_BUSY": "Come back later, or allow the tool more calls at once.",
    "TOOL_TIMEOUT": "Ask the tool for less at once, or register it with a longer timeout.",
    "TOOL_FAILED": "Correct what the tool's message says, and call it again.",
    "UNKNOWN_OUTCOME": "Check whether it has happened before you repeat it.",
    "APPROVAL_REQUIRED": "Have a person approve it: `aios approvals`.",
    "CALL_NOT_FOUND": "See what was called: `aios audit`.",
    "TOOL_PROVIDER_LOST": "Start the process that provides the tool again.",
    "TOOL_CHANGED": "Look at what changed, and accept it: `aios mcp approve NAME`.",
    "MCP_SERVER_NOT_FOUND": "See which servers there are: `aios mcp list`.",
    "MCP_SERVER_FAILED": "See how it stands: `aios mcp list`, and why: `aios logs tool`.",
    "SANDBOX_UNAVAILABLE": (
        "Install bubblewrap, or see what the self-test found: `aios doctor`, `aios logs tool`."
    ),
    "TOOL_RESULT_INVALID": "Correct the tool: what it returns must match its schema, and be small enough.",
    "CALL_LEASE_LOST": "Drop the result: the call is another process's now.",
    "EGRESS_DENIED": (
        "Allow the origin: AIOS_TOOL_EGRESS_ALLOW at the start of the kernel, and `aios tools egress` for "
        "the tenant."
    ),
    "SECRET_NOT_FOUND": "Set it: `aios secrets set NAME --bound-to ORIGIN`.",
    "SECRETS_UNAVAILABLE": "Give the tool manager the key that sealed them: AIOS_TOOL_SECRET_KEYS_FILE.",
    "TOOL_NOT_TESTED": "Run its examples first: `aios tools test DRAFT`.",
    "TOOL_IN_USE": "Wait until those calls have ended, or say that they may break: --allow-breaking.",
}
"""By reason. Each names a next step. A test compares the keys with the proto, the commands with `aios`."""

GRANTABLE: Final = frozenset(
    {
        "agent.clear_untrusted",
        "agent.control",
        "agent.list",
        "agent.privilege",
        "agent.read",
        "agent.trace",
        "agent.update",
        "context.delete",
        "context.read",
        "context.write",
        "inference.cancel",
        "inference.watch",
        "memory.delete",
        "memory.read",
        "memory.write",
        "scheduler.cancel",
        "scheduler.explain",
        "scheduler.list",
        "storage.delete",
        "storage.read",
        "storage.write",
        "tool.call",
        "tool.cancel",
        "tool.read",
        "tool.register",
    }
)
"""Actions that a grant can give. A test compares them with the access service's table."""


def hint_of(reason: str, metadata: Mapping[str, str]) -> str:
    """Return what to do about an error, as exactly as its facts allow; empty for an unknown reason."""
    if reason == "PERMISSION_DENIED" and metadata.get("action"):
        return _permission(metadata)
    if reason == "AGENT_EXISTS" and (agent := metadata.get("agent", "")).startswith("agents/"):
        return HINTS[reason].replace("AGENT", agent.removeprefix("agents/"))
    if reason == "NEVER_FITS" and "gang_size" in metadata:
        return (
            f"Start at most {metadata.get('slots', 'so many')} together; or let each start when there is "
            "room: `together=False` in `llm.gather`."
        )
    return HINTS.get(reason, "")


def _permission(facts: Mapping[str, str]) -> str:
    """Say which grant would permit it and how to give it, or that no grant does."""
    action = facts["action"]
    if action not in GRANTABLE:
        return (
            f"No grant gives {action}: do it as an administrator (without --agent-key), "
            "or let a policy of the tenant permit it."
        )
    grantee = facts.get("agent", "AGENT").removeprefix("agents/")
    resource = facts.get("resource") or "RESOURCE"
    family = action.partition(".")[0]
    others = " ".join(sorted(one for one in GRANTABLE if one.startswith(f"{family}.") and one != action))
    return (
        f"The owner or an administrator gives it with `aios grants add {grantee} {resource} {action}`. "
        f"Others of the kind: {others}."
    )
