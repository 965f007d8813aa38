"""A call that a person has to approve, over the rounds of revision 2026-07-28.

The person decides in the kernel, never here. What the client is asked is only whether to try again; whatever
it answers, the kernel looks for the approval itself. Between two rounds the client carries the call's id,
sealed.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

import mcp_types as types

from gateway.http.mcp.failures import META, details
from services.chassis.rpc.errors import ApprovalRequired, KernelError

KEY: Final = "approval"
_FORM: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "try_again": {
            "type": "boolean",
            "title": "Try the call again",
            "description": "Whether the approval was decided and the call is to be tried again.",
            "default": True,
        }
    },
}


@dataclass(frozen=True, slots=True)
class Round:
    """Where a call stands that waits for an approval."""

    call_id: str
    """The call's request_id, the same in every round: it runs once."""
    approval: str = ""
    """The approval that is waited for, such as `approvals/51c0`; empty in the first round."""


def asked_before(params: types.CallToolRequestParams) -> Round | None:
    """Return the round that a client's sealed state tells of, or None for a call that is new."""
    if params.request_state is None:
        return None
    carried = json.loads(params.request_state)
    return Round(carried["call"], carried["approval"])


def gave_up(params: types.CallToolRequestParams) -> bool:
    """Tell whether the client declined to try again."""
    answer = (params.input_responses or {}).get(KEY)
    return isinstance(answer, types.ElicitResult) and answer.action != "accept"


def can_be_asked(client: types.ClientCapabilities | None) -> bool:
    """Tell whether a client shows forms to its user; one that names no mode does."""
    asks = client.elicitation if client is not None else None
    return asks is not None and (asks.form is not None or asks.url is None)


def needs_approval(error: KernelError) -> bool:
    """Tell whether a call failed for want of an approval that can still be given."""
    metadata = error.metadata
    return error.reason == ApprovalRequired.reason and "approval" in metadata and "state" not in metadata


def ask_again(tool: str, error: KernelError, call_id: str) -> types.InputRequiredResult:
    """Ask the client to try again once a person has decided."""
    approval = error.metadata["approval"]
    form = types.ElicitRequestFormParams(
        message=f"A person must approve this call of {tool} in the kernel: {approval}. "
        "Confirm once that is decided; the call is then tried again. Confirming approves nothing.",
        requested_schema=_FORM,
    )
    return types.InputRequiredResult(
        input_requests={KEY: types.ElicitRequest(params=form)},
        request_state=json.dumps({"call": call_id, "approval": approval}),
        _meta={META: details(error)},
    )


def not_run(round_: Round) -> types.CallToolResult:
    """Return the result of a call that the client gave up."""
    text = f"the call was not run: {round_.approval} is still to be decided"
    told = {"reason": ApprovalRequired.reason, "metadata": {"approval": round_.approval}}
    return types.CallToolResult(content=[types.TextContent(text=text)], is_error=True, _meta={META: told})
