"""What a run may use."""

from dataclasses import dataclass

from aios.errors import UsageLimitExceeded
from aios.types.llm import Message, Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class UsageLimits:
    """The most that one run may use, agents called as tools and handoffs included; None: no limit.

    A limit is looked at before the model is asked and before tools are run: what has been paid for already is
    still returned.
    """

    requests: int | None = None
    """Answers of the model."""

    tool_calls: int | None = None
    """Tool calls. Those of an answer run all or not at all."""

    prompt_tokens: int | None = None
    """Tokens of all prompts together."""

    completion_tokens: int | None = None
    """Tokens of all answers together."""

    total_tokens: int | None = None
    """Both together."""


class Meter:
    """Counts what a run has used, and lets the run that called it count the same."""

    def __init__(self, limits: UsageLimits | None, parent: "Meter | None" = None) -> None:
        self._parent = parent
        self.limits = limits or UsageLimits()
        self.requests = 0
        self.tool_calls = 0
        self.usage = Usage()

    def before_request(self, messages: tuple[Message, ...]) -> None:
        """Count an answer to be asked for. Raises UsageLimitExceeded."""
        if self._parent is not None:
            self._parent.before_request(messages)
        used = self.usage
        self._check("requests", self.requests + 1, self.limits.requests, messages)
        # A token more than was used is the least that another answer takes.
        self._check("prompt_tokens", used.prompt_tokens + 1, self.limits.prompt_tokens, messages)
        self._check("completion_tokens", used.completion_tokens + 1, self.limits.completion_tokens, messages)
        self._check("total_tokens", used.total_tokens + 1, self.limits.total_tokens, messages)
        self.requests += 1

    def before_tools(self, count: int, messages: tuple[Message, ...]) -> None:
        """Count tool calls to be run. Raises UsageLimitExceeded."""
        if self._parent is not None:
            self._parent.before_tools(count, messages)
        self._check("tool_calls", self.tool_calls + count, self.limits.tool_calls, messages)
        self.tool_calls += count

    def add(self, usage: Usage) -> None:
        """Count what an answer took."""
        if self._parent is not None:
            self._parent.add(usage)
        self.usage += usage

    def _check(self, name: str, wanted: int, limit: int | None, messages: tuple[Message, ...]) -> None:
        if limit is not None and wanted > limit:
            raise UsageLimitExceeded(
                f"the run may use {limit} {name.replace('_', ' ')}, and needs more",
                metadata={"limit": name, "most": str(limit)},
                messages=messages,
            )
