"""The built-in tool that reads web pages, through the guard."""

from collections.abc import Mapping
from typing import Any, Final

from services.chassis.auth.identity import Scope
from services.tool.core.egress import EgressRequest
from services.tool.core.http_calls import MAX_TOLD, decoded
from services.tool.drivers.builtin.answers import Answer, Function
from services.tool.drivers.builtin.limits import FETCHED, MAX_FETCHED_BYTES
from services.tool.drivers.builtin.workers import Workers
from services.tool.errors import ToolFailed
from services.tool.ports import Egress, Job

_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_ACCEPTS: Final = (
    "application/json",
    "*/*+json",
    "text/*",
    "application/xml",
    "*/*+xml",
    "application/yaml",
)


class WebTools:
    """Functions that read the web, by their names."""

    def __init__(self, egress: Egress, workers: Workers) -> None:
        self._egress = egress
        self._workers = workers
        self.functions: Mapping[str, Function] = {"fetch": self._fetch}

    def reached(self, scope: Scope) -> bool:
        """Whether there is anywhere that the caller's tools may send to."""
        return self._egress.reaches(scope.tenant)

    async def _fetch(self, job: Job) -> Answer:
        asked = job.arguments
        answer = await self._egress.fetch(
            EgressRequest(
                tenant=job.scope.tenant,
                method="GET",
                url=asked["url"],
                headers={"Accept": "text/html, text/plain, application/json, */*;q=0.5"},
                accepts=_ACCEPTS,
                max_bytes=MAX_FETCHED_BYTES,
                seconds=job.seconds,
            )
        )
        text, title = decoded(answer), ""
        if answer.media_type in _HTML:
            read = await self._workers.read(job.scope, {"kind": "html"}, [text.encode(errors="replace")])
            title, text = read
        if not answer.ok:
            raise ToolFailed(f"the server answered with status {answer.status}: {text[:MAX_TOLD]}")
        start, limit = asked.get("start", 0), asked.get("limit", FETCHED)
        more: dict[str, Any] = {"url": answer.url, "media_type": answer.media_type[:127]}
        if title:
            more["title"] = title
        if len(text) > start + limit:
            more["next_start"] = start + limit
        return Answer(text[start : start + limit], more)
