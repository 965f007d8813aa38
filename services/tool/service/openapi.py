"""Use cases: the operations of an API become tools, by a document that is pinned as it was accepted."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from services.chassis.auth.identity import Scope
from services.chassis.idempotency import RequestIdentity
from services.chassis.rpc.errors import InvalidRequest, PermissionDenied
from services.tool.core.api_terms import ApiChange, ApiChangeKind, ApiFieldChange, ApiOffer, ApiResult
from services.tool.core.openapi import MAX_ID, Operation, Read
from services.tool.core.urls import read_url
from services.tool.errors import EgressDenied, EtagMismatch, SchemaInvalid, ToolExists, ToolNotFound
from services.tool.model import (
    Driver,
    DriverKind,
    Effect,
    HttpArgument,
    HttpEndpoint,
    HttpPlace,
    Nothing,
    Tool,
)
from services.tool.ports import Documents, Transaction
from services.tool.service.dependencies import Dependencies
from services.tool.service.registry import Registry

_BATCH: Final = 200
_MAX_TOLD: Final = 300
"""Characters of what a field was and is."""
_MISSPELLED: Final = frozenset({"url", "header"})
"""Rules of the guard that are about one operation, not about where all of them go."""


class OpenApis:
    """Registers, replaces and removes the tools of APIs."""

    def __init__(self, deps: Dependencies, registry: Registry, documents: Documents) -> None:
        self._deps = deps
        self._registry = registry
        self._documents = documents

    async def register(self, scope: Scope, actor: RequestIdentity, offer: ApiOffer) -> ApiResult:
        """Make tools of a document's operations, or tell what would change.

        What cannot be a tool, or has the name of another tool, is left out and told. Raises InvalidRequest,
        ToolExists, ToolNotFound, ToolInUse, EtagMismatch, EgressDenied, PermissionDenied, QuotaExceeded,
        TooManyCalls, IdempotencyMismatch.
        """
        sha256 = hashlib.sha256(offer.document).hexdigest()
        base = _base(offer)
        found = await self._documents.read(scope.tenant, offer.document)
        tools, left_out = await self._tools(scope, actor, replace(offer, base_url=base), found, sha256)

        written: list[Tool] = []

        def work(tx: Transaction) -> ApiResult:
            result, made, gone = self._judged(tx, actor, offer, tools)
            written[:] = made
            if not offer.dry_run:
                _apply(tx, actor, made, gone)
            return replace(
                result, sha256=sha256, servers=found.servers, left_out={**left_out, **result.left_out}
            )

        if offer.dry_run:
            return await self._deps.store.read(scope, work)
        broken = await self._broken(scope, offer, tools)
        result = await self._deps.once(scope, actor, ApiResult, work)
        for tool in written:
            if tool.id in broken:
                self._registry.changes.has_broken(scope, tool)
        for change in result.changes:
            if change.kind is ApiChangeKind.REMOVED:
                self._registry.has_gone(scope.tenant, change.tool)
        return result

    async def unregister(
        self, scope: Scope, actor: RequestIdentity, api: str, *, allow_missing: bool
    ) -> None:
        """Remove every tool of an API. Raises ToolNotFound, PermissionDenied, IdempotencyMismatch."""
        gone: list[str] = []

        def work(tx: Transaction) -> Nothing:
            known = _of_api(tx, api)
            if not known and not allow_missing:
                raise _missing(api)
            _apply(tx, actor, [], [_owned(tool, actor) for tool in known.values()])
            gone[:] = known
            return Nothing()

        await self._deps.once(scope, actor, Nothing, work)
        for tool in gone:
            self._registry.has_gone(scope.tenant, tool)

    async def _broken(self, scope: Scope, offer: ApiOffer, tools: list[Tool]) -> set[str]:
        """Return the ids of tools that break with what they were. Raises ToolInUse while calls need that."""
        known = await self._deps.store.read(scope, lambda tx: _of_api(tx, offer.api))
        broken: set[str] = set()
        for tool in tools:
            if tool.id not in known or _is_of_another(offer, known[tool.id]):
                continue
            breach = await self._registry.changes.breach(scope, tool, str(known[tool.id].version))
            refusal = self._registry.changes.refusal(scope, tool, breach)
            if refusal is not None and not offer.allow_breaking:
                raise refusal
            if breach is not None:
                broken.add(tool.id)
        return broken

    async def _tools(
        self, scope: Scope, actor: RequestIdentity, offer: ApiOffer, found: Read, sha256: str
    ) -> tuple[list[Tool], dict[str, str]]:
        """Return the tools that the wanted operations can be, and why others cannot."""
        tools: list[Tool] = []
        known = {*found.left_out, *(operation.id for operation in found.operations)}
        left_out = {name: why for name, why in found.left_out.items() if name in (offer.operations or known)}
        left_out |= dict.fromkeys(sorted(offer.operations - known), "there is no such operation")
        if not offer.base_url:
            return tools, left_out
        for operation in found.operations:
            if offer.operations and operation.id not in offer.operations:
                continue
            try:
                tools.append(await self._registry.prepare(scope, actor, _tool(offer, operation, sha256)))
            except EgressDenied as error:
                if error.metadata.get("rule") not in _MISSPELLED:
                    raise
                left_out[operation.id] = error.message
            except (SchemaInvalid, InvalidRequest, ToolExists) as error:
                left_out[operation.id] = error.message
            await asyncio.sleep(0)
        return tools, left_out

    def _judged(
        self, tx: Transaction, actor: RequestIdentity, offer: ApiOffer, tools: list[Tool]
    ) -> tuple[ApiResult, list[Tool], list[Tool]]:
        """Return what changes, the tools to keep, and those that go."""
        if not offer.base_url:  # only the proposals of the document are asked for
            return ApiResult(sha256=""), [], []
        known = _of_api(tx, offer.api)
        _check_replaced(offer, known)
        now = self._deps.clock.now()
        changes: list[ApiChange] = []
        left_out: dict[str, str] = {}
        made: list[Tool] = []
        for tool in tools:
            current = known.pop(tool.id, None)
            if current is None and tx.tool(tool.id) is not None:
                left_out[tool.id.removeprefix(f"{offer.api}.")] = f"tools/{tool.id} is another tool"
                continue
            if current is None:
                made.append(replace(tool, owner=actor.agent, created_at=now, updated_at=now, version=1))
                changes.append(ApiChange(tool=tool.id, kind=ApiChangeKind.ADDED))
                continue
            kept = _successor(_owned(current, actor), tool)
            fields = _differences(current, tool)
            kind = ApiChangeKind.CHANGED if fields else ApiChangeKind.UNCHANGED
            changes.append(ApiChange(tool=tool.id, kind=kind, fields=fields))
            if kept != current:
                made.append(replace(kept, updated_at=now, version=current.version + 1))
        gone = [_owned(tool, actor) for tool in known.values()]
        changes += [ApiChange(tool=tool.id, kind=ApiChangeKind.REMOVED) for tool in gone]
        return ApiResult(sha256="", changes=tuple(changes), left_out=left_out), made, gone


def _base(offer: ApiOffer) -> str:
    """Return the address that the paths of operations follow; empty: only proposals are asked for."""
    if not offer.base_url and offer.dry_run:
        return ""
    if not offer.base_url:
        raise InvalidRequest.field("base_url", "say where calls go; a dry run tells what is proposed")
    url = read_url(offer.base_url)
    if url.query or "{" in url.path or "}" in url.path:
        raise InvalidRequest.field("base_url", "it has neither a query nor braces")
    return str(url).rstrip("/")


def _tool(offer: ApiOffer, operation: Operation, sha256: str) -> Tool:
    identifier = f"{offer.api}.{operation.id}"
    if len(identifier) > MAX_ID:
        raise InvalidRequest.field("document", f"with its prefix its id is longer than {MAX_ID} characters")
    endpoint = HttpEndpoint(
        url=offer.base_url + operation.path,
        method=operation.method,
        headers=offer.headers,
        secret_headers=offer.secret_headers,
        max_response_bytes=offer.max_response_bytes,
        arguments=tuple(
            HttpArgument(argument=one.argument, place=HttpPlace(one.place), name=one.name, joined=one.joined)
            for one in operation.arguments
        ),
        api=offer.api,
        document_sha256=sha256,
    )
    reads = operation.method == "GET" and offer.vouched
    return Tool(
        id=identifier,
        title=operation.title,
        description=operation.description,
        parameters_schema=operation.schema,
        effect=Effect.IDEMPOTENT if reads else Effect.IRREVERSIBLE,
        timeout_seconds=offer.timeout_seconds,
        driver=Driver(DriverKind.HTTP, http=endpoint),
        vouched=offer.vouched,
        untrusted=offer.untrusted,
    )


def _of_api(tx: Transaction, api: str) -> dict[str, Tool]:
    """Return the tools of an API by id."""
    found: dict[str, Tool] = {}
    after = f"{api}."
    while batch := tx.tools(after=after, limit=_BATCH):
        for tool in batch:
            if not tool.id.startswith(f"{api}."):
                return found
            if tool.driver.http is not None and tool.driver.http.api == api:
                found[tool.id] = tool
        after = batch[-1].id
    return found


def _check_replaced(offer: ApiOffer, known: Mapping[str, Tool]) -> None:
    """Refuse a document that is not for what is there now. Raises ToolExists, ToolNotFound, EtagMismatch."""
    current = next((tool.driver.http.document_sha256 for tool in known.values() if tool.driver.http), "")
    if offer.dry_run and not offer.replaces:
        return
    if known and not offer.replaces:
        text = f"tools of {offer.api} are there already; name the document to replace"
        raise ToolExists(text, metadata={"document_sha256": current})
    if offer.replaces and not known:
        raise _missing(offer.api)
    if offer.replaces != current:
        raise EtagMismatch("another document is there by now", metadata={"document_sha256": current})


def _is_of_another(offer: ApiOffer, tool: Tool) -> bool:
    """Whether a tool is of another document than is replaced: then the request is refused anyway."""
    return tool.driver.http is None or tool.driver.http.document_sha256 != offer.replaces


def _successor(current: Tool, tool: Tool) -> Tool:
    """Return the new tool as it would be if nothing had changed."""
    return replace(
        tool,
        owner=current.owner,
        created_at=current.created_at,
        updated_at=current.updated_at,
        version=current.version,
    )


def _differences(current: Tool, tool: Tool) -> tuple[ApiFieldChange, ...]:
    before, after = _told(current), _told(tool)
    return tuple(
        ApiFieldChange(name=name, before=before[name][:_MAX_TOLD], after=after[name][:_MAX_TOLD])
        for name in after
        if before[name] != after[name]
    )


def _told(tool: Tool) -> dict[str, str]:
    """Return what a person compares; of headers only their names, since values may be keys."""
    http = tool.driver.http or HttpEndpoint(url="", method="")
    places = {one.argument: [one.place.value, one.name, one.joined] for one in http.arguments}
    return {
        "title": tool.title,
        "description": tool.description,
        "parameters_schema": tool.parameters_schema,
        "call": f"{http.method} {http.url}",
        "arguments": json.dumps(places, sort_keys=True),
        "headers": ", ".join(sorted({*http.headers, *http.secret_headers})),
        "effect": tool.effect.value,
        "vouched": str(tool.vouched).lower(),
    }


def _apply(tx: Transaction, actor: RequestIdentity, made: list[Tool], gone: list[Tool]) -> None:
    for tool in made:
        if tool.version == 1:
            tx.charge(actor.agent, tools=1)
        tx.put_tool(tool)
    for tool in gone:
        tx.drop_tool(tool.id)
        tx.charge(tool.owner, tools=-1)


def _owned(tool: Tool, actor: RequestIdentity) -> Tool:
    if tool.owner != actor.agent and not actor.admin:
        raise PermissionDenied(f"tools/{tool.id} belongs to agents/{tool.owner}")
    return tool


def _missing(api: str) -> ToolNotFound:
    return ToolNotFound(f"there are no tools of {api}", metadata={"tool": f"tools/{api}"})
