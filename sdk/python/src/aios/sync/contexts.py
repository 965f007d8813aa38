"""Synchronous twin of `aios.calls.contexts`. Written by tools/generate_sync.py; do not edit."""

from collections.abc import Collection, Mapping, Sequence

from aios.calls.contexts import Contexts
from aios.sync.portal import Portal
from aios.types.contexts import ContextInfo, ContextMessage, Window, WindowStrategy
from aios.types.llm import Messages, ToolSpec


class SyncContexts:
    """Keeps conversations. A context is named by its id, which the caller chooses, or by its full name."""

    def __init__(self, inner: Contexts, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    def create(
        self,
        context: str,
        messages: Messages = (),
        *,
        model: str = "",
        strategy: WindowStrategy = "unspecified",
        token_budget: int = 0,
        reserve_tokens: int = 0,
        title: str = "",
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> ContextInfo:
        """Create a conversation, possibly with its first messages. Raises AlreadyExists, QuotaExceeded."""
        return self._portal.run(
            self._inner.create(
                context,
                messages,
                model=model,
                strategy=strategy,
                token_budget=token_budget,
                reserve_tokens=reserve_tokens,
                title=title,
                labels=labels,
                timeout=timeout,
            )
        )

    def get_or_create(
        self,
        context: str,
        messages: Messages = (),
        *,
        model: str = "",
        strategy: WindowStrategy = "unspecified",
        token_budget: int = 0,
        reserve_tokens: int = 0,
        title: str = "",
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> ContextInfo:
        """Return the conversation of that name as it is, created if it is not there yet.

        What else is given is for a new one. Raises QuotaExceeded.
        """
        return self._portal.run(
            self._inner.get_or_create(
                context,
                messages,
                model=model,
                strategy=strategy,
                token_budget=token_budget,
                reserve_tokens=reserve_tokens,
                title=title,
                labels=labels,
                timeout=timeout,
            )
        )

    def get(self, context: str, *, agent: str = "me", timeout: float | None = None) -> ContextInfo:
        """Return what a conversation is, without its messages. Raises NotFound."""
        return self._portal.run(self._inner.get(context, agent=agent, timeout=timeout))

    def update(
        self,
        context: str,
        *,
        model: str | None = None,
        strategy: WindowStrategy | None = None,
        token_budget: int | None = None,
        reserve_tokens: int | None = None,
        title: str | None = None,
        labels: Mapping[str, str] | None = None,
        etag: str = "",
        timeout: float | None = None,
    ) -> ContextInfo:
        """Change the fields that are given. Raises NotFound, EtagMismatch."""
        return self._portal.run(
            self._inner.update(
                context,
                model=model,
                strategy=strategy,
                token_budget=token_budget,
                reserve_tokens=reserve_tokens,
                title=title,
                labels=labels,
                etag=etag,
                timeout=timeout,
            )
        )

    def append(
        self,
        context: str,
        messages: Messages,
        *,
        pinned: Collection[int] = (),
        etag: str = "",
        timeout: float | None = None,
    ) -> ContextInfo:
        """Add messages at the end, all or none; `pinned`: the indexes of those that stay in every window.

        Raises NotFound, EtagMismatch, InvalidRequest for a tool result without its call, QuotaExceeded.
        """
        return self._portal.run(
            self._inner.append(context, messages, pinned=pinned, etag=etag, timeout=timeout)
        )

    def messages(
        self,
        context: str,
        *,
        after_position: int = 0,
        newest_first: bool = False,
        limit: int | None = None,
        agent: str = "me",
        timeout: float | None = None,
    ) -> Sequence[ContextMessage]:
        """Return a conversation's messages in order. Raises NotFound. `timeout` bounds each page."""
        return self._portal.run(
            self._inner.messages(
                context,
                after_position=after_position,
                newest_first=newest_first,
                limit=limit,
                agent=agent,
                timeout=timeout,
            )
        )

    def pin(
        self, context: str, position: int, *, pinned: bool = True, timeout: float | None = None
    ) -> ContextMessage:
        """Pin a message, so that it stays in every window, or let it go. Raises NotFound."""
        return self._portal.run(self._inner.pin(context, position, pinned=pinned, timeout=timeout))

    def window(
        self,
        context: str,
        *,
        model: str = "",
        token_budget: int = 0,
        reserve_tokens: int | None = None,
        strategy: WindowStrategy = "unspecified",
        tools: Sequence[ToolSpec] = (),
        dry: bool = False,
        agent: str = "me",
        timeout: float | None = None,
    ) -> Window:
        """Return the messages to send to the model, fitted to its window; `llm.chat` takes `window.chat`.

        `reserve_tokens` is kept free for the answer; None: as the context says. `dry` only looks: no summary
        is written by the model for it.

        Raises NotFound, PreconditionFailed when system and pinned messages alone are too long.
        """
        return self._portal.run(
            self._inner.window(
                context,
                model=model,
                token_budget=token_budget,
                reserve_tokens=reserve_tokens,
                strategy=strategy,
                tools=tools,
                dry=dry,
                agent=agent,
                timeout=timeout,
            )
        )

    def fork(
        self,
        context: str,
        fork: str,
        *,
        at_position: int = 0,
        agent: str = "me",
        timeout: float | None = None,
    ) -> ContextInfo:
        """Make a new conversation that begins as a copy of another, whole or up to a message.

        Raises NotFound, AlreadyExists, InvalidRequest when the cut parts a tool call from its result.
        """
        return self._portal.run(
            self._inner.fork(context, fork, at_position=at_position, agent=agent, timeout=timeout)
        )

    def delete(
        self, context: str, *, missing_ok: bool = False, etag: str = "", timeout: float | None = None
    ) -> None:
        """Delete a conversation. Raises NotFound unless `missing_ok`, EtagMismatch."""
        self._portal.run(self._inner.delete(context, missing_ok=missing_ok, etag=etag, timeout=timeout))

    def list(
        self,
        *,
        labels: Mapping[str, str] | None = None,
        agent: str = "me",
        limit: int | None = None,
        timeout: float | None = None,
    ) -> list[ContextInfo]:
        """Return an agent's conversations by name. `timeout` bounds each page."""
        return self._portal.run(self._inner.list(labels=labels, agent=agent, limit=limit, timeout=timeout))
