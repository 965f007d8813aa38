"""Synchronous twin of `aios.calls.tools`. Written by tools/generate_sync.py; do not edit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from aios.calls.tools import Tools
from aios.sync.objects import SyncProvider
from aios.sync.portal import Portal
from aios.toolkit import Tool
from aios.types.drafts import Example
from aios.types.llm import ToolSpec
from aios.types.tools import CallInfo, CallProgress, ToolEffect, ToolInfo, ToolResult


class SyncTools:
    """Calls the kernel's tools. A tool is named by its id or by `tools/{id}`."""

    def __init__(self, inner: Tools, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    def get(self, tool: str, *, timeout: float | None = None) -> ToolInfo:
        """Return one tool. Raises NotFound, PermissionDenied."""
        return self._portal.run(self._inner.get(tool, timeout=timeout))

    def call(
        self,
        tool: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        run_timeout: float | None = None,
        max_wait: float | None = None,
        wait_for_approval: bool = False,
        untrusted: bool = False,
        on_progress: Callable[[CallProgress], None] | None = None,
        request_id: str = "",
        timeout: float | None = None,
    ) -> ToolResult:
        """Run a tool and return its result.

        `run_timeout` bounds the run, `max_wait` the queue, `timeout` the whole call. Unit: seconds. A call
        that broke off is joined again, never run twice. `untrusted` says that the agent has read text
        nobody vouches for. Raises NotFound, ToolArgumentsInvalid, ToolFailed, ToolTimeout, ToolBusy,
        ApprovalRequired, UnknownOutcome, PermissionDenied.
        """
        return self._portal.run(
            self._inner.call(
                tool,
                arguments,
                run_timeout=run_timeout,
                max_wait=max_wait,
                wait_for_approval=wait_for_approval,
                untrusted=untrusted,
                on_progress=on_progress,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def start(
        self,
        tool: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        request_id: str = "",
        timeout: float | None = None,
    ) -> str:
        """Start a call that goes on by itself and return its name; `get_call` tells how it stands."""
        return self._portal.run(self._inner.start(tool, arguments, request_id=request_id, timeout=timeout))

    def get_call(self, call: str, *, timeout: float | None = None) -> CallInfo:
        """Return how a call stands. Raises NotFound."""
        return self._portal.run(self._inner.get_call(call, timeout=timeout))

    def cancel(self, call: str, *, reason: str = "", timeout: float | None = None) -> CallInfo:
        """Cancel a call and return its final state. Raises NotFound."""
        return self._portal.run(self._inner.cancel(call, reason=reason, timeout=timeout))

    def calls(
        self,
        *,
        tool: str = "",
        agent: str = "me",
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        limit: int | None = 100,
        timeout: float | None = None,
    ) -> Sequence[CallInfo]:
        """Return an agent's calls, newest first, without their results.

        An administrator gets the calls of its whole tenant with `agent=""`. `timeout` bounds each page.
        """
        return self._portal.run(
            self._inner.calls(
                tool=tool,
                agent=agent,
                created_after=created_after,
                created_before=created_before,
                limit=limit,
                timeout=timeout,
            )
        )

    def search(
        self,
        words: str,
        *,
        basic: bool = False,
        available_only: bool = True,
        limit: int = 10,
        timeout: float | None = None,
    ) -> Sequence[ToolInfo]:
        """Return the tools the caller may use that have some of the words, best first; at most 500.

        `basic`: without schemas, as for a list that is read.
        """
        return self._portal.run(
            self._inner.search(
                words, basic=basic, available_only=available_only, limit=limit, timeout=timeout
            )
        )

    def register_python(
        self,
        spec: ToolSpec,
        source: str,
        *,
        examples: Sequence[Example] = (),
        function: str = "",
        effect: ToolEffect = "pure",
        run_timeout: float | None = None,
        max_concurrency: int = 0,
        labels: Mapping[str, str] | None = None,
        etag: str = "",
        allow_breaking: bool = False,
        timeout: float | None = None,
    ) -> ToolInfo:
        """Make a Python function a tool. It runs in the sandbox: no network, standard library only.

        `source` is a module, `function` the name in it, by default the tool's. With at least two `examples`
        the tool is the caller's own, by the name `{agent}.{name}`: they are tried first, and nobody else
        calls it before `kernel.drafts.share`. Without any the tool is everybody's, which is for
        administrators alone. What it can do to the world the kernel knows better than `effect`.
        Raises InvalidRequest for a bad schema, AlreadyExists, EtagMismatch, PermissionDenied, ToolFailed when
        an example does not come out, and PreconditionFailed (TOOL_IN_USE) where new schemas would break calls
        under way, unless `allow_breaking`: those that wait are then ended.
        """
        return self._portal.run(
            self._inner.register_python(
                spec,
                source,
                examples=examples,
                function=function,
                effect=effect,
                run_timeout=run_timeout,
                max_concurrency=max_concurrency,
                labels=labels,
                etag=etag,
                allow_breaking=allow_breaking,
                timeout=timeout,
            )
        )

    def register_http(
        self,
        spec: ToolSpec,
        url: str,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        effect: ToolEffect = "irreversible",
        run_timeout: float | None = None,
        labels: Mapping[str, str] | None = None,
        etag: str = "",
        allow_breaking: bool = False,
        timeout: float | None = None,
    ) -> ToolInfo:
        """Register an HTTP endpoint; the arguments are its JSON body, or the query with GET and DELETE.

        Errors as for `register_python`.
        """
        return self._portal.run(
            self._inner.register_http(
                spec,
                url,
                method=method,
                headers=headers,
                effect=effect,
                run_timeout=run_timeout,
                labels=labels,
                etag=etag,
                allow_breaking=allow_breaking,
                timeout=timeout,
            )
        )

    def unregister(
        self, tool: str, *, missing_ok: bool = False, etag: str = "", timeout: float | None = None
    ) -> None:
        """Remove a tool. Raises NotFound unless `missing_ok`, EtagMismatch, PermissionDenied."""
        self._portal.run(self._inner.unregister(tool, missing_ok=missing_ok, etag=etag, timeout=timeout))

    @contextmanager
    def provide(
        self,
        *tools: Tool | Callable[..., Any],
        effect: ToolEffect = "reversible",
        returns_untrusted: bool = False,
        capacity: int = 4,
        instance: str = "",
        allow_breaking: bool = False,
    ) -> Iterator[SyncProvider]:
        """Offer local Python functions to every agent for the length of an `with` block.

        They are registered and called here, up to `capacity` at once; the block's body may do anything,
        such as `provider.wait()`. The tools stay registered afterwards, but are not available.
        `returns_untrusted`: results hold text from outside that nobody vouches for, such as web pages.
        `allow_breaking`: end calls that wait for the functions as they were and that new ones would break.
        Raises PermissionDenied, PreconditionFailed, and TypeError for a function that wants a RunContext.
        """
        with self._portal.entered(
            self._inner.provide(
                *tools,
                effect=effect,
                returns_untrusted=returns_untrusted,
                capacity=capacity,
                instance=instance,
                allow_breaking=allow_breaking,
            )
        ) as entered:
            yield SyncProvider(entered, self._portal)

    def list(
        self,
        *,
        names: Sequence[str] = (),
        query: str = "",
        labels: Mapping[str, str] | None = None,
        available_only: bool = False,
        limit: int | None = None,
        timeout: float | None = None,
    ) -> list[ToolInfo]:
        """Return the tools the caller may use, by name, of those named or all. `timeout` bounds each page."""
        return self._portal.run(
            self._inner.list(
                names=names,
                query=query,
                labels=labels,
                available_only=available_only,
                limit=limit,
                timeout=timeout,
            )
        )
