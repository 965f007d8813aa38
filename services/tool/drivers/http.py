"""The driver of HTTP tools: one request for each call, through the guard."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from services.chassis.auth.identity import Scope
from services.chassis.rpc.errors import InvalidRequest
from services.tool.core.egress import EgressRequest
from services.tool.core.headers import check_headers
from services.tool.core.http_calls import call_of, check_endpoint, outcome_of
from services.tool.core.redaction import Redactor
from services.tool.core.schemas import parse_schema
from services.tool.core.secrets import Secret
from services.tool.core.urls import WebUrl
from services.tool.errors import EgressDenied, EgressFailed
from services.tool.model import Effect, HttpEndpoint, Tool, ToolOutcome
from services.tool.ports import Egress, Job, Secrets

_JSON: Final = "application/json"
_SMALL: Final = 16 * 1024
"""Bytes of an answer that is read on the event loop."""
_READING: Final = frozenset({"GET", "HEAD"})
_BY_WEIGHT: Final = (Effect.PURE, Effect.IDEMPOTENT, Effect.REVERSIBLE, Effect.IRREVERSIBLE)


class HttpDriver:
    """Runs HTTP tools. A ToolDriver.

    Their answers are untrusted and their effects at least reversible, unless an administrator vouches for the
    tool; then what only reads may be idempotent.
    """

    def __init__(self, egress: Egress, secrets: Secrets) -> None:
        self._egress = egress
        self._secrets = secrets

    async def prepare(self, scope: Scope, tool: Tool) -> Tool:
        """Check a tool that is being registered. Raises InvalidRequest, EgressDenied, SchemaInvalid."""
        endpoint = _endpoint(tool)
        schema = parse_schema(tool.parameters_schema, "parameters_schema") if tool.parameters_schema else {}
        check_endpoint(endpoint, schema)
        await self._egress.check(scope.tenant, endpoint.url)
        least = Effect.IDEMPOTENT if tool.vouched and endpoint.method in _READING else Effect.REVERSIBLE
        return replace(
            tool,
            effect=max(tool.effect, least, key=_BY_WEIGHT.index),
            returns_untrusted=tool.returns_untrusted or not tool.vouched,
        )

    def problem(self, scope: Scope, _tool: Tool) -> str:
        """Tell where nothing may be sent at all; whether a server answers is known when it is asked."""
        return "" if self._egress.reaches(scope.tenant) else EgressDenied.reason

    async def run(self, job: Job) -> ToolOutcome:
        """Send the call and return the answer.

        Raises EgressDenied, EgressFailed, ToolTimeout, ArgumentsInvalid, ResultInvalid, SecretNotFound,
        SecretsUnavailable.
        """
        endpoint = _endpoint(job.tool)
        call = call_of(endpoint, job.arguments)
        secrets = await self._values(job.scope, endpoint, call.url)
        sent = EgressRequest(
            tenant=job.scope.tenant,
            method=endpoint.method,
            url=str(call.url),
            headers=call.headers,
            secret_headers={name: secret.reveal() for name, secret in secrets.items()},
            body=call.body,
            media_type=_JSON if call.body else "",
            max_bytes=endpoint.max_response_bytes,
            seconds=job.seconds,
        )
        try:
            answer = await self._egress.fetch(sent)
        except EgressFailed as error:
            if endpoint.method in _READING:
                raise
            text = f"{error.message}; what the call asked for may have been done"
            raise EgressFailed(text, metadata=error.metadata, retry_after=error.retry_after) from error
        redactor = Redactor(secrets.values())
        if len(answer.body) <= _SMALL:
            return outcome_of(answer, redactor)
        return await asyncio.to_thread(outcome_of, answer, redactor)

    async def _values(self, scope: Scope, endpoint: HttpEndpoint, url: WebUrl) -> Mapping[str, Secret]:
        """Return the secret headers, each meant for exactly this origin."""
        wanted = endpoint.secret_headers
        if not wanted:
            return {}
        found = await self._secrets.resolve(scope.tenant, set(wanted.values()), str(url.origin))
        values = {header: found[name] for header, name in wanted.items()}
        check_headers({header: secret.reveal() for header, secret in values.items()})
        return values


def _endpoint(tool: Tool) -> HttpEndpoint:
    if tool.driver.http is None:
        raise InvalidRequest.field("tool.http", "an HTTP tool says where its calls go")
    return tool.driver.http
