"""Synchronous twin of `aios.calls.llm`. Written by tools/generate_sync.py; do not edit."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, overload

from aios.calls.llm import Llm
from aios.sync.objects import SyncTextStream
from aios.sync.portal import Portal
from aios.toolkit import Tool
from aios.types.agents import Hints
from aios.types.llm import Answer, Gang, Messages, ModelInfo, TokenCount, ToolChoice, ToolSpec

T = TypeVar("T")


class SyncLlm:
    """Generates text on the kernel's backends. Every call waits for its turn in the scheduler."""

    def __init__(self, inner: Llm, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    def chat(
        self,
        messages: Messages,
        *,
        tools: Sequence[ToolSpec | Tool] = (),
        tool_choice: ToolChoice = "auto",
        tool_choice_name: str = "",
        max_tool_calls: int = 0,
        model: str = "",
        max_tokens: int = 0,
        fit_max_tokens: bool = False,
        temperature: float = 0.0,
        top_p: float = 0.0,
        top_k: int = 0,
        seed: int | None = None,
        repetition_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
        presence_penalty: float = 0.0,
        stop: Sequence[str] = (),
        json_schema: Mapping[str, Any] | None = None,
        regex: str = "",
        hints: Hints | None = None,
        gang: Gang | None = None,
        step: int = 0,
        affinity_key: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> Answer:
        """Generate one answer and return it whole.

        Zeros stand for the defaults: greedy, 512 tokens. With `fit_max_tokens` the answer may have
        `max_tokens`, or what the window leaves if that is less; with `max_tokens` 0 all that it leaves.
        `json_schema` or `regex` constrains the output. With `tool_choice` "required" `tool_choice_name` names
        the tool; `max_tool_calls` bounds the calls in the answer. `step` is the position of this call in the
        agent's run, which the scheduler learns from; calls with the same `gang` start together, those with
        the same `affinity_key` go to the same replica by preference. `timeout` in seconds, default 300.
        Raises QueueFull, WaitExpired, PromptTooLong, NoBackend, InvalidRequest, DeadlineExceeded and others.
        """
        return self._portal.run(
            self._inner.chat(
                messages,
                tools=tools,
                tool_choice=tool_choice,
                tool_choice_name=tool_choice_name,
                max_tool_calls=max_tool_calls,
                model=model,
                max_tokens=max_tokens,
                fit_max_tokens=fit_max_tokens,
                temperature=temperature,
                top_p=top_p,
                top_k=top_k,
                seed=seed,
                repetition_penalty=repetition_penalty,
                frequency_penalty=frequency_penalty,
                presence_penalty=presence_penalty,
                stop=stop,
                json_schema=json_schema,
                regex=regex,
                hints=hints,
                gang=gang,
                step=step,
                affinity_key=affinity_key,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def gather(
        self,
        conversations: Sequence[Messages],
        *,
        together: bool = True,
        seeds: Sequence[int] = (),
        model: str = "",
        max_tokens: int = 0,
        temperature: float = 0.0,
        top_p: float = 0.0,
        stop: Sequence[str] = (),
        hints: Hints | None = None,
        step: int = 0,
        timeout: float | None = None,
    ) -> list[Answer]:
        """Generate one answer to each conversation, all at once; return them in order.

        With `together` the calls are a gang: none starts before there is room for all, at most 64. `seeds`
        gives each its own. When one fails the others are cancelled. Arguments and errors as for `chat`.
        Raises ValueError when there are not as many seeds as conversations.
        """
        return self._portal.run(
            self._inner.gather(
                conversations,
                together=together,
                seeds=seeds,
                model=model,
                max_tokens=max_tokens,
                temperature=temperature,
                top_p=top_p,
                stop=stop,
                hints=hints,
                step=step,
                timeout=timeout,
            )
        )

    def stream(
        self,
        messages: Messages,
        *,
        tools: Sequence[ToolSpec | Tool] = (),
        tool_choice: ToolChoice = "auto",
        tool_choice_name: str = "",
        max_tool_calls: int = 0,
        model: str = "",
        max_tokens: int = 0,
        fit_max_tokens: bool = False,
        temperature: float = 0.0,
        top_p: float = 0.0,
        top_k: int = 0,
        seed: int | None = None,
        repetition_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
        presence_penalty: float = 0.0,
        stop: Sequence[str] = (),
        json_schema: Mapping[str, Any] | None = None,
        regex: str = "",
        hints: Hints | None = None,
        gang: Gang | None = None,
        step: int = 0,
        affinity_key: str = "",
        top_alternatives: int = 0,
        logprobs: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> SyncTextStream:
        """Generate one answer and return its stream of events; arguments and errors as for `chat`.

        `for event in kernel.llm.stream("..."): print(event.text, end="")`. The call starts at the first
        event. After a broken connection the stream goes on where it stopped; no text is repeated.
        `top_alternatives`, at most 5: how many of the likeliest tokens each event tells of its places;
        `logprobs`: whether it tells how likely the chosen ones were.
        """
        return SyncTextStream(
            self._inner.stream(
                messages,
                tools=tools,
                tool_choice=tool_choice,
                tool_choice_name=tool_choice_name,
                max_tool_calls=max_tool_calls,
                model=model,
                max_tokens=max_tokens,
                fit_max_tokens=fit_max_tokens,
                temperature=temperature,
                top_p=top_p,
                top_k=top_k,
                seed=seed,
                repetition_penalty=repetition_penalty,
                frequency_penalty=frequency_penalty,
                presence_penalty=presence_penalty,
                stop=stop,
                json_schema=json_schema,
                regex=regex,
                hints=hints,
                gang=gang,
                step=step,
                affinity_key=affinity_key,
                top_alternatives=top_alternatives,
                logprobs=logprobs,
                request_id=request_id,
                timeout=timeout,
            ),
            self._portal,
        )

    def complete(
        self,
        prompt: str,
        *,
        model: str = "",
        max_tokens: int = 0,
        fit_max_tokens: bool = False,
        stop: Sequence[str] = (),
        timeout: float | None = None,
    ) -> Answer:
        """Continue a text as it stands, without a chat template; greedy. Errors as for `chat`."""
        return self._portal.run(
            self._inner.complete(
                prompt,
                model=model,
                max_tokens=max_tokens,
                fit_max_tokens=fit_max_tokens,
                stop=stop,
                timeout=timeout,
            )
        )

    @overload
    def structured(
        self,
        messages: Messages,
        schema: type[T],
        *,
        model: str = "",
        max_tokens: int = 0,
        temperature: float = 0.0,
        hints: Hints | None = None,
        timeout: float | None = None,
    ) -> T: ...

    @overload
    def structured(
        self,
        messages: Messages,
        schema: Mapping[str, Any],
        *,
        model: str = "",
        max_tokens: int = 0,
        temperature: float = 0.0,
        hints: Hints | None = None,
        timeout: float | None = None,
    ) -> dict[str, Any]: ...

    def structured(
        self,
        messages: Messages,
        schema: type[T] | Mapping[str, Any],
        *,
        model: str = "",
        max_tokens: int = 0,
        temperature: float = 0.0,
        hints: Hints | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Generate a value of the given form: a dataclass, a TypedDict, or a dict for a JSON schema.

        The output is constrained to the schema while it is generated. Raises OutputInvalid when it still does
        not parse, usually because `max_tokens` ended it; otherwise as `chat`.
        """
        return self._portal.run(
            self._inner.structured(
                messages,
                schema,
                model=model,
                max_tokens=max_tokens,
                temperature=temperature,
                hints=hints,
                timeout=timeout,
            )
        )

    def count_tokens(
        self,
        messages: Messages = (),
        *,
        tools: Sequence[ToolSpec | Tool] = (),
        texts: Sequence[str] = (),
        model: str = "",
        timeout: float | None = None,
    ) -> TokenCount:
        """Count the tokens of a conversation with its template, or of `texts` each alone.

        Raises NotFound for an unknown model, NoBackend.
        """
        return self._portal.run(
            self._inner.count_tokens(messages, tools=tools, texts=texts, model=model, timeout=timeout)
        )

    def embed(
        self, texts: Sequence[str], *, model: str = "", timeout: float | None = None
    ) -> list[list[float]]:
        """Return one vector of unit length per text, in order; 1 to 64 texts.

        Raises NotFound for an unknown model.
        """
        return self._portal.run(self._inner.embed(texts, model=model, timeout=timeout))

    def models(self, *, timeout: float | None = None) -> list[ModelInfo]:
        """Return the models that the backends serve right now. `timeout` bounds each page."""
        return self._portal.run(self._inner.models(timeout=timeout))

    def watch(self, name: str, *, after_sequence: int = 0, timeout: float | None = None) -> SyncTextStream:
        """Return the events of a generation that runs already, after that many tokens.

        Leaving it does not cancel the generation. Raises NotFound, OutOfRange when the events are no longer
        kept.
        """
        return SyncTextStream(
            self._inner.watch(name, after_sequence=after_sequence, timeout=timeout), self._portal
        )

    def cancel(self, name: str, *, timeout: float | None = None) -> bool:
        """Cancel a generation; True when it was still waiting or running. Raises NotFound."""
        return self._portal.run(self._inner.cancel(name, timeout=timeout))
