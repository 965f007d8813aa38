"""The TGI driver: one replica of text-generation-inference, or of the embedded tgi-local, as a Backend."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from gateway.inference.backends.reading import Allowance, PairJoiner
from gateway.inference.backends.tgi.client import (
    AiosOptions,
    PooledAsyncClient,
    SamplingOptions,
    Suspended,
    TextToken,
    TokenEvent,
)
from gateway.inference.core import prefixes
from gateway.inference.core.json_text import mended
from gateway.inference.core.markers import Neutralizer, markers_among
from gateway.inference.core.prompt_length import LONGEST_TOKEN_BYTES
from gateway.inference.errors import BackendInvalid, NotRunning, NotSuspendable
from gateway.inference.model import (
    Alternative,
    BackendRequest,
    CachedPrompt,
    Capabilities,
    KvState,
    Prompt,
    PromptIds,
    ReplicaInfo,
    Sampling,
    Stopped,
    StopReason,
    StreamItem,
    Token,
)
from services.chassis.aside import aside
from services.chassis.chat import ChatMessage, Role, ToolDefinition

_REASONS = {"length": StopReason.LENGTH, "stop_sequence": StopReason.STOP}
"""Any other is an end in the server's own words: the answer is whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TgiConfig:
    """What a plain TGI does not tell about itself."""

    slots: int = 0
    """Calls that run at once; 0: what the server declares, or 64."""
    batch_tokens: int = 0
    """Tokens that its calls may hold together; 0: slots times the window."""
    longest_token: int = LONGEST_TOKEN_BYTES
    """Bytes of the longest token, where the server does not tell; 0: no prompt is refused by its length."""
    token_timeout: float = 60.0
    """Longest silence between two tokens. Unit: seconds."""
    api_key: str = ""


DEFAULT_SLOTS = 64
DEFAULT_STOPS = 4
"""Stop strings that a server takes before it has told how many."""
_SAMPLE = (
    ChatMessage(Role.SYSTEM, "red"),
    ChatMessage(Role.USER, "green"),
    ChatMessage(Role.ASSISTANT, "blue"),
    ChatMessage(Role.USER, "white"),
)
"""A chat that shows the markers of a template."""
_BY_FORM = Neutralizer()
MOST_COUNTED = 64 * 1024
"""Characters up to which a text is counted even where it is no prompt that would fit."""


class TgiBackend:
    """Speaks `/generate_stream`.

    Uses token-id prompts and kept states only where the server declares them.
    """

    def __init__(self, endpoint: str, config: TgiConfig) -> None:
        headers = {"Authorization": f"Bearer {config.api_key}"} if config.api_key else None
        self._client = PooledAsyncClient(endpoint, headers=headers, token_timeout=config.token_timeout)
        self._config = config
        self._name = urlsplit(endpoint).netloc or endpoint
        self._extended = False
        self._window = 0
        self._stops = DEFAULT_STOPS
        self._presence = self._content_is_text = False
        self._neutralizer: Neutralizer | None = None

    @property
    def name(self) -> str:
        """Host and port."""
        return self._name

    async def info(self) -> ReplicaInfo:
        """Ask what it serves and holds."""
        info = await self._client.info()
        self._extended = info.token_prompts
        self._window = info.max_total_tokens
        self._stops = max(0, info.max_stop_sequences)
        self._presence = info.presence_penalty
        self._content_is_text = info.content_is_text
        slots = self._config.slots or info.slots or min(DEFAULT_SLOTS, info.max_concurrent_requests)
        return ReplicaInfo(
            model=info.model_id,
            max_total_tokens=info.max_total_tokens,
            slots=slots,
            max_batch_total_tokens=self._config.batch_tokens or slots * info.max_total_tokens,
            capabilities=Capabilities(
                kv_snapshot=info.kv_snapshot,
                token_prompts=info.token_prompts,
                presence_penalty=info.presence_penalty,
                recursive_schemas=info.recursive_schemas,
                root_choice=info.root_choice,
            ),
            special_ids=info.special_ids,
            longest_token=info.longest_token or self._config.longest_token,
            revision=info.model_sha or "",
            instance=info.instance,
        )

    async def healthy(self) -> bool:
        """Ask whether it takes calls."""
        return await self._client.health()

    async def queue_size(self) -> int | None:
        """Read the length of its queue off its metrics."""
        return await self._client.queue_size()

    async def render(self, messages: Sequence[ChatMessage], tools: Sequence[ToolDefinition] = ()) -> Prompt:  # noqa: ARG002 - not declared
        """Apply the server's own chat template.

        A server that finds special tokens in what messages hold is shown them without any.
        """
        if not self._content_is_text:
            broken = await self._template_markers()
            messages = await aside(lambda: broken.messages(messages))
        tokens, text = await self._client.chat_tokenize(_plain(messages), most_tokens=self._window)
        ends = prefixes.message_ends(text, (message.content for message in messages))
        return _prompt(text, tokens, ends)

    async def _template_markers(self) -> Neutralizer:
        """Learn once which markers the server's template writes."""
        if self._neutralizer is None:
            tokens, _ = await self._client.chat_tokenize(_plain(_SAMPLE), most_tokens=self._window)
            seen = markers_among((token.text for token in tokens), [each.content for each in _SAMPLE])
            self._neutralizer = Neutralizer(seen)
        return self._neutralizer

    async def measure(self, text: str, *, content: bool = False) -> Prompt:
        """Split a text into tokens, without a template."""
        most = self._window if len(text) > MOST_COUNTED else 0
        special = not (content and self._content_is_text)
        if content and special:
            text = await aside(lambda: _BY_FORM.text(text))
        tokens = await self._client.tokenize(text, most_tokens=most, special=special)
        return _prompt(text, tokens, prefixes.text_ends(len(text)))

    async def stream(self, job: BackendRequest) -> AsyncGenerator[StreamItem, None]:
        """Generate; ends with exactly one Stopped."""
        if job.sampling.presence_penalty and not self._presence:
            raise BackendInvalid("this server has no presence penalty")
        prompt, extension = self._prompt(job)
        likely = job.logprobs or job.top_alternatives > 0
        pairs, allowance = PairJoiner(), Allowance(job.max_new_tokens)
        events = self._client.generate_stream(prompt, aios=extension, **_options(job, self._stops))
        async with aclosing(events) as stream:
            async for event in stream:
                if isinstance(event, Suspended):
                    yield Stopped(StopReason.SUSPENDED)
                    return
                if event.prompt_ids is not None and not job.prompt_ids:
                    yield PromptIds(event.prompt_ids)
                if event.cached_tokens is not None:
                    yield CachedPrompt(event.cached_tokens)
                allowance.take(len(event.text))
                text = pairs.feed("" if event.special else event.text)
                if not (event.special and event.finish_reason == "eos_token"):
                    # A special token has no text, but going on exactly needs its id.
                    yield Token(
                        event.id, text, event.top[: job.top_alternatives], _chosen(event) if likely else None
                    )
                if event.generated_text is not None:
                    reason = _REASONS.get(event.finish_reason or "", StopReason.END)
                    yield Stopped(reason, event.input_length or 0)

    async def suspend(self, run_id: str) -> KvState | None:
        """Stop a run at a token boundary and keep its state. None: nothing was kept."""
        try:
            suspension = await self._client.suspend(run_id)
        except (NotRunning, NotSuspendable):
            return None
        return KvState(suspension.kv_handle, self._name) if suspension.kv_handle else None

    async def forget(self, kv: KvState) -> None:
        """Drop a kept state."""
        await self._client.drop_snapshot(kv.handle)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _prompt(self, job: BackendRequest) -> tuple[str, AiosOptions | None]:
        """Ask by token ids where the server takes them, else by text.

        A text is searched for special tokens as a whole, so what the model wrote is given without any.
        """
        emitted = (self._neutralizer or _BY_FORM).text(job.emitted_text)
        if not self._extended:
            return job.prompt.text + emitted, None
        ids = (*job.prompt_ids, *job.emitted_ids) if job.prompt_ids else ()
        text = "" if ids else job.prompt.text + emitted
        extension = AiosOptions(
            request_id=job.run_id,
            prompt_ids=ids,
            produced=len(job.emitted_ids) if ids else 0,
            kv_handle=job.kv_handle if ids else "",
        )
        return text, extension


def _plain(messages: Iterable[ChatMessage]) -> list[dict[str, str]]:
    return [{"role": message.role.value, "content": message.content} for message in messages]


def _prompt(text: str, tokens: Sequence[TextToken], ends: Iterable[int]) -> Prompt:
    marks = prefixes.token_marks([token.stop for token in tokens], ends)
    return Prompt(text, len(tokens), tuple(token.id for token in tokens), marks=marks)


def _chosen(event: TokenEvent) -> Alternative | None:
    """Return the token with its likelihood; None where the server tells none, or no number."""
    if not isinstance(event.logprob, int | float):
        return None
    return Alternative.told(event.id, mended(event.text), event.logprob)


def _options(job: BackendRequest, most_stops: int) -> SamplingOptions:
    options: dict[str, Any] = {"max_new_tokens": job.max_new_tokens, **_sampling(job.sampling)}
    # Those beyond its limit are found in the text, as all are: a stop string stays in it.
    if stops := job.stop[:most_stops]:
        options["stop_sequences"] = list(stops)
    if job.constraint is not None:
        options["grammar"] = {"type": job.constraint.kind.value, "value": job.constraint.text}
    if job.top_alternatives:
        options["top_n_tokens"] = job.top_alternatives
    return cast("SamplingOptions", options)


def _sampling(sampling: Sampling) -> dict[str, Any]:
    """Write the sampling; a field at its neutral value is left out, because TGI refuses some of those."""
    options: dict[str, Any] = {"do_sample": not sampling.greedy}
    if sampling.repetition_penalty not in {0.0, 1.0}:
        options["repetition_penalty"] = sampling.repetition_penalty
    if sampling.frequency_penalty:
        options["frequency_penalty"] = sampling.frequency_penalty
    if sampling.presence_penalty:
        options["presence_penalty"] = sampling.presence_penalty
    if sampling.greedy:
        return options
    options["temperature"] = sampling.temperature
    if 0.0 < sampling.top_p < 1.0:
        options["top_p"] = sampling.top_p
    if sampling.top_k:
        options["top_k"] = sampling.top_k
    if sampling.seed is not None:
        options["seed"] = sampling.seed
    return options
