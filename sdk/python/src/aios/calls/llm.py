"""`kernel.llm`: chat with a model, whole, streamed or structured."""

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, overload

from aios import schema as schemas
from aios._paging import pages
from aios._transport import Transport
from aios._wire import agents as agents_wire
from aios._wire import llm as wire
from aios.api.inference.v1 import inference_pb2 as pb
from aios.calls import stream as streams
from aios.calls.stream import TextStream
from aios.errors import OutputInvalid
from aios.toolkit import Tool
from aios.types.agents import Hints
from aios.types.llm import Answer, Gang, Messages, ModelInfo, TokenCount, ToolChoice, ToolSpec

T = TypeVar("T")


class Llm:
    """Generates text on the kernel's backends. Every call waits for its turn in the scheduler."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def chat(
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
        request = _request(
            messages,
            tools=tools,
            tool_choice=tool_choice,
            tool_choice_name=tool_choice_name,
            max_tool_calls=max_tool_calls,
            model=model,
            max_tokens=max_tokens,
            fit_max_tokens=fit_max_tokens,
            sampling=pb.Sampling(
                temperature=temperature,
                top_p=top_p,
                top_k=top_k,
                seed=seed,
                repetition_penalty=repetition_penalty,
                frequency_penalty=frequency_penalty,
                presence_penalty=presence_penalty,
            ),
            stop=stop,
            constraint=_constraint(json_schema, regex),
            hints=hints,
            gang=gang,
            step=step,
            affinity_key=affinity_key,
            request_id=request_id,
        )
        response = await self._transport.call(request, pb.GenerateResponse, timeout=timeout)
        return wire.answer(response.finished, response.name)

    async def gather(
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
        if seeds and len(seeds) != len(conversations):
            raise ValueError(f"{len(conversations)} conversations but {len(seeds)} seeds")
        gang = Gang(uuid.uuid4().hex, len(conversations)) if together and len(conversations) > 1 else None
        calls = [
            asyncio.ensure_future(
                self.chat(
                    conversation,
                    model=model,
                    max_tokens=max_tokens,
                    temperature=temperature,
                    top_p=top_p,
                    seed=seeds[number] if seeds else None,
                    stop=stop,
                    hints=hints,
                    gang=gang,
                    step=step,
                    timeout=timeout,
                )
            )
            for number, conversation in enumerate(conversations)
        ]
        try:
            return list(await asyncio.gather(*calls))
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

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
    ) -> TextStream:
        """Generate one answer and return its stream of events; arguments and errors as for `chat`.

        `async for event in kernel.llm.stream("..."): print(event.text, end="")`. The call starts at the first
        event. After a broken connection the stream goes on where it stopped; no text is repeated.
        `top_alternatives`, at most 5: how many of the likeliest tokens each event tells of its places;
        `logprobs`: whether it tells how likely the chosen ones were.
        """
        request = _request(
            messages,
            tools=tools,
            tool_choice=tool_choice,
            tool_choice_name=tool_choice_name,
            max_tool_calls=max_tool_calls,
            model=model,
            max_tokens=max_tokens,
            fit_max_tokens=fit_max_tokens,
            sampling=pb.Sampling(
                temperature=temperature,
                top_p=top_p,
                top_k=top_k,
                seed=seed,
                repetition_penalty=repetition_penalty,
                frequency_penalty=frequency_penalty,
                presence_penalty=presence_penalty,
            ),
            stop=stop,
            constraint=_constraint(json_schema, regex),
            hints=hints,
            gang=gang,
            step=step,
            affinity_key=affinity_key,
            request_id=request_id or uuid.uuid4().hex,
        )
        request.top_alternatives, request.logprobs = top_alternatives, logprobs
        return streams.generation(self._transport, request, timeout)

    async def complete(
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
        request = pb.GenerateRequest(
            prompt=prompt, model=model, max_tokens=max_tokens, fit_max_tokens=fit_max_tokens, stop=stop
        )
        response = await self._transport.call(request, pb.GenerateResponse, timeout=timeout)
        return wire.answer(response.finished, response.name)

    @overload
    async def structured(
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
    async def structured(
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

    async def structured(
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
        form = schema if isinstance(schema, Mapping) else schemas.schema_of(schema, defaults=False)
        answer = await self.chat(
            messages,
            json_schema=form,
            model=model,
            max_tokens=max_tokens,
            temperature=temperature,
            hints=hints,
            timeout=timeout,
        )
        try:
            value = json.loads(answer.text)
            return dict(value) if isinstance(schema, Mapping) else schemas.build(schema, value)
        except (ValueError, TypeError) as error:
            cut = ", it was cut at max_tokens" if answer.finish_reason == "length" else ""
            raise OutputInvalid(
                f"the output does not fit the schema{cut}: {error}",
                metadata={"finish_reason": answer.finish_reason, "text": answer.text[:1000]},
                method="Generate",
            ) from error

    async def count_tokens(
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
        request = pb.CountTokensRequest(
            model=model,
            messages=wire.messages_of(messages) if not texts else (),
            tools=wire.tools_of([_spec(tool) for tool in tools]),
            texts=texts,
        )
        response = await self._transport.call(request, pb.CountTokensResponse, timeout=timeout)
        counts = tuple(response.text_token_counts)
        return TokenCount(total=sum(counts) if texts else response.token_count, texts=counts)

    async def embed(
        self, texts: Sequence[str], *, model: str = "", timeout: float | None = None
    ) -> list[list[float]]:
        """Return one vector of unit length per text, in order; 1 to 64 texts.

        Raises NotFound for an unknown model.
        """
        request = pb.EmbedRequest(model=model, texts=[texts] if isinstance(texts, str) else texts)
        response = await self._transport.call(request, pb.EmbedResponse, timeout=timeout)
        return [list(vector.values) for vector in response.embeddings]

    async def models(self, *, timeout: float | None = None) -> list[ModelInfo]:
        """Return the models that the backends serve right now. `timeout` bounds each page."""

        async def page(token: str) -> tuple[list[ModelInfo], str]:
            request = pb.ListModelsRequest(page_size=500, page_token=token)
            response = await self._transport.call(request, pb.ListModelsResponse, timeout=timeout)
            return [wire.model(model) for model in response.models], response.next_page_token

        return await pages(page, None)

    def watch(self, name: str, *, after_sequence: int = 0, timeout: float | None = None) -> TextStream:
        """Return the events of a generation that runs already, after that many tokens.

        Leaving it does not cancel the generation. Raises NotFound, OutOfRange when the events are no longer
        kept.
        """
        return streams.watch(self._transport, name, after_sequence, timeout)

    async def cancel(self, name: str, *, timeout: float | None = None) -> bool:
        """Cancel a generation; True when it was still waiting or running. Raises NotFound."""
        request = pb.CancelGenerationRequest(name=name)
        response = await self._transport.call(request, pb.CancelGenerationResponse, timeout=timeout)
        return response.cancelled


def _request(
    messages: Messages,
    *,
    tools: Sequence[ToolSpec | Tool],
    tool_choice: ToolChoice,
    tool_choice_name: str,
    max_tool_calls: int,
    model: str,
    max_tokens: int,
    fit_max_tokens: bool,
    sampling: pb.Sampling,
    stop: Sequence[str],
    constraint: pb.Constraint | None,
    hints: Hints | None,
    gang: Gang | None,
    step: int,
    affinity_key: str,
    request_id: str,
) -> pb.GenerateRequest:
    return pb.GenerateRequest(
        model=model,
        messages=wire.messages_of(messages),
        tools=wire.tools_of([_spec(tool) for tool in tools]),
        tool_choice=wire.tool_choice(tool_choice),
        tool_choice_name=tool_choice_name,
        max_tool_calls=max_tool_calls,
        constraint=constraint,
        sampling=sampling,
        max_tokens=max_tokens,
        fit_max_tokens=fit_max_tokens,
        stop=stop,
        hints=agents_wire.hints_message(hints),
        gang=None if gang is None else pb.Gang(id=gang.id, size=gang.size),
        step=step,
        affinity_key=affinity_key,
        request_id=request_id,
    )


def _spec(tool: ToolSpec | Tool) -> ToolSpec:
    return tool.spec if isinstance(tool, Tool) else tool


def _constraint(json_schema: Mapping[str, Any] | None, regex: str) -> pb.Constraint | None:
    if json_schema is not None and regex:
        raise ValueError("give json_schema or regex, not both")
    if json_schema is not None:
        return pb.Constraint(json_schema=json.dumps(json_schema))
    return pb.Constraint(regex=regex) if regex else None
