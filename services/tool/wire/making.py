"""Drafts and versions of what agents make, between protobuf and the model."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from aios.api.tool.v1 import making_pb2
from services.chassis.auth.identity import Caller, Scope
from services.chassis.rpc import names, paging
from services.chassis.rpc.wire import duration, stamp
from services.tool.core import making
from services.tool.core.making import Content, Draft, DraftState, Example, Trial, Version
from services.tool.service.making import Seen
from services.tool.wire import common, tools

PAGE: Final = 50
MOST: Final = 200
DRAFTS: Final = "drafts"
_STATES: Final = {
    DraftState.DRAFT: making_pb2.DRAFT_STATE_DRAFT,
    DraftState.TESTED: making_pb2.DRAFT_STATE_TESTED,
    DraftState.OWN: making_pb2.DRAFT_STATE_OWN,
    DraftState.SHARED: making_pb2.DRAFT_STATE_SHARED,
}


def draft_id(name: str, caller: Caller, field: str = "name") -> str:
    """Return the id in the name of a draft of the call's scope. Raises InvalidRequest."""
    return names.parse_in(name, DRAFTS, me=caller.agent, field=field).id


def version_id(name: str, caller: Caller) -> tuple[str, int]:
    """Return the draft and the number in the name of a version. Raises InvalidRequest."""
    draft, _, number = draft_id(name, caller).partition("/versions/")
    return draft, int(number)


def read(given: making_pb2.ToolDraft, caller: Caller, now: datetime) -> Draft:
    """Read a draft that a caller keeps. Raises InvalidRequest."""
    content = Content(
        title=given.title,
        description=given.description,
        parameters_schema=given.parameters_schema_json,
        result_schema=given.result_schema_json,
        code=tools.python_code(given.python),
        examples=tuple(
            Example(
                arguments_json=one.arguments_json,
                result_json=one.result_json,
                result_schema=one.result_schema_json,
            )
            for one in given.examples
        ),
        timeout_seconds=common.seconds(given, "timeout") or making.DEFAULT_TIMEOUT_SECONDS,
        max_concurrency=given.max_concurrency or making.DEFAULT_CONCURRENCY,
        returns_untrusted=given.returns_untrusted,
    )
    return Draft(
        agent=caller.owner,
        name=draft_id(given.name, caller, "draft.name"),
        content=content,
        untrusted=caller.leaves_untrusted,
        created_at=now,
        updated_at=now,
    )


def write(seen: Seen, *, listed: bool = False) -> making_pb2.ToolDraft:
    """Write a draft; `listed` leaves source, schemas, examples and their results out."""
    draft = seen.draft
    message = _content(draft.content, listed=listed)
    message.MergeFrom(
        making_pb2.ToolDraft(
            name=making.draft_name(draft),
            state=_STATES[draft.state],
            sha256=draft.sha256,
            test=None if draft.trial is None else _test(draft.trial, listed=listed),
            tool=f"{common.TOOLS}/{draft.tool_id}",
            effect=tools.EFFECTS_BACK[draft.effect],
            approval=f"approvals/{draft.approval}" if draft.approval else "",
            shared_version=seen.shared,
            untrusted=draft.untrusted,
            create_time=stamp(draft.created_at),
            update_time=stamp(draft.updated_at),
            etag=str(draft.etag),
        )
    )
    return message


def write_version(
    version: Version, current: int, diff: str = "", *, listed: bool = False
) -> making_pb2.ToolVersion:
    """Write a version; `current` is the number of the one that everybody calls."""
    draft = _content(version.content, listed=listed)
    draft.name = making.draft_name(version)
    draft.sha256 = version.sha256
    draft.tool = f"{common.TOOLS}/{making.tool_id(version.agent, version.draft)}"
    draft.effect = tools.EFFECTS_BACK[version.effect]
    draft.state = making_pb2.DRAFT_STATE_SHARED
    draft.untrusted = version.untrusted
    draft.test.CopyFrom(_test(version.trial, listed=listed))
    return making_pb2.ToolVersion(
        name=f"{draft.name}/versions/{version.number}",
        draft=draft,
        number=version.number,
        sha256=version.sha256,
        approval=f"approvals/{version.approval}",
        current=version.number == current,
        diff=diff,
        share_time=stamp(version.shared_at),
        revoke_time=stamp(version.revoked_at),
        revoke_reason=version.revoke_reason,
    )


def drafts_after(request: making_pb2.ListDraftsRequest, scope: Scope) -> str:
    """Return the last name of the page before; empty for the first. Raises InvalidPageToken."""
    found = paging.decode(request.page_token, *_drafts_key(scope), shape=(str,))
    return str(found[0]) if found else ""


def drafts_page(scope: Scope, found: Sequence[Seen], size: int) -> making_pb2.ListDraftsResponse:
    """Write a page; `found` holds one more if there is one."""
    token = paging.encode([found[size - 1].draft.name], *_drafts_key(scope)) if len(found) > size else ""
    drafts = [write(one, listed=True) for one in found[:size]]
    return making_pb2.ListDraftsResponse(drafts=drafts, next_page_token=token)


def versions_before(request: making_pb2.ListToolVersionsRequest, scope: Scope) -> int:
    """Return the last number of the page before; 0 for the first. Raises InvalidPageToken."""
    found = paging.decode(request.page_token, *_versions_key(scope, request.parent), shape=(int,))
    return int(found[0] or 0) if found else 0


def versions_page(
    request: making_pb2.ListToolVersionsRequest,
    scope: Scope,
    found: Sequence[Version],
    current: int,
    size: int,
) -> making_pb2.ListToolVersionsResponse:
    """Write a page; `found` holds one more if there is one."""
    versions = [write_version(one, current, listed=True) for one in found[:size]]
    key = _versions_key(scope, request.parent)
    token = paging.encode([found[size - 1].number], *key) if len(found) > size else ""
    return making_pb2.ListToolVersionsResponse(versions=versions, next_page_token=token)


def _content(content: Content, *, listed: bool) -> making_pb2.ToolDraft:
    message = making_pb2.ToolDraft(
        title=content.title,
        description=content.description,
        timeout=duration(content.timeout_seconds),
        max_concurrency=content.max_concurrency,
        returns_untrusted=content.returns_untrusted,
    )
    message.python.CopyFrom(tools.python_driver(content.code, whole=not listed))
    if not listed:
        message.parameters_schema_json = content.parameters_schema
        message.result_schema_json = content.result_schema
        message.examples.extend(_example(one) for one in content.examples)
    return message


def _example(example: Example) -> making_pb2.ToolExample:
    expected: dict[str, Any] = (
        {"result_schema_json": example.result_schema}
        if example.result_schema
        else {"result_json": example.result_json}
    )
    return making_pb2.ToolExample(arguments_json=example.arguments_json, **expected)


def _test(trial: Trial, *, listed: bool) -> making_pb2.ToolTest:
    ends = [] if listed else trial.examples
    return making_pb2.ToolTest(
        sha256=trial.sha256,
        source_sha256=trial.source_sha256,
        interpreter=trial.interpreter,
        sandbox=trial.sandbox,
        passed=trial.passed,
        examples=[
            making_pb2.ToolExampleResult(passed=one.passed, problem=one.problem, result_json=one.result_json)
            for one in ends
        ],
        test_time=stamp(trial.tested_at),
    )


def _drafts_key(scope: Scope) -> tuple[str, ...]:
    return DRAFTS, scope.tenant, scope.agent


def _versions_key(scope: Scope, parent: str) -> tuple[str, ...]:
    return "versions", scope.tenant, scope.agent, parent.rpartition("/")[2]
