"""The OpenAI driver: one model of any server that speaks the OpenAI protocol, as a Backend."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urldefrag, urlsplit

from gateway.inference.backends.exposition import gauge
from gateway.inference.backends.openai.client import OpenAiClient
from gateway.inference.backends.openai.dialect import (
    PLAIN,
    Continuation,
    Counting,
    dialect_of,
    estimate_chat,
    estimate_text,
    request,
)
from gateway.inference.backends.openai.tool_calls import ToolCallJoiner
from gateway.inference.backends.openai.wire import (
    NO_ID,
    Chunk,
    Likelihoods,
    ServedModel,
    TokenUsage,
    names_of,
    parse_models,
    write_chat,
)
from gateway.inference.backends.reading import (
    Allowance,
    PairJoiner,
    count,
    exact_count,
    exact_text,
    shape,
)
from gateway.inference.core.markers import Neutralizer
from gateway.inference.core.prompt_length import LONGEST_TOKEN_BYTES
from gateway.inference.errors import BackendBroken, BackendInvalid, BackendUnavailable
from gateway.inference.model import (
    BackendRequest,
    CachedPrompt,
    Capabilities,
    Chat,
    KvState,
    Prompt,
    ReplicaInfo,
    Stopped,
    StopReason,
    StreamItem,
    Token,
)
from services.chassis.aside import aside
from services.chassis.chat import ChatMessage, ToolCall, ToolDefinition

DEFAULT_WINDOW: Final = 4096
_UNTOLD: Final = Likelihoods()
_BY_FORM: Final = Neutralizer()

_CUT: Final = frozenset({"length", "max_tokens", "model_length"})
"""What is neither cut nor broken off is an end in some server's own words: the answer is whole."""
_BROKEN_OFF: Final = frozenset({"abort", "aborted", "cancelled", "error"})
MOST_SLOTS: Final = 65_536


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenAiConfig:
    """What a server does not tell about itself."""

    model: str = ""
    """The model to use; empty: the first that the server lists."""
    dialect: str = ""
    """A key of DIALECTS; empty: as the server names itself."""
    window: int = 0
    """Longest prompt and answer; 0: what the server declares, or 4096."""
    slots: int = 0
    """Calls that run at once; 0: what the server declares, or the dialect's number."""
    batch_tokens: int = 0
    """Tokens that its calls may hold together; 0: the slots alone limit them."""
    longest_token: int = LONGEST_TOKEN_BYTES
    """Bytes of the longest token of its vocabulary; 0: no prompt is refused by its length."""
    native_tools: bool = True
    """Whether the server tells tool calls apart; without, tools are shown and called as text."""
    token_timeout: float = 60.0
    """Longest silence between two tokens. Unit: seconds."""
    api_key: str = ""


class OpenAiBackend:
    """Chats go to `/v1/chat/completions` as they are, raw prompts to `/v1/completions`.

    An endpoint is a base URL, with or without `/v1`; `#name` behind it chooses one of several models.
    """

    def __init__(self, endpoint: str, config: OpenAiConfig) -> None:
        url, model = urldefrag(endpoint)
        base = url.rstrip("/").removesuffix("/v1")
        self._client = OpenAiClient(base, api_key=config.api_key, token_timeout=config.token_timeout)
        self._config = config
        self._wanted = model or config.model
        self._name = (urlsplit(base).netloc or base) + (f"#{model}" if model else "")
        self._model = self._wanted
        self._dialect = PLAIN

    @property
    def name(self) -> str:
        """Host and port, and the model where the endpoint names one."""
        return self._name

    async def info(self) -> ReplicaInfo:
        """Ask what it serves and holds."""
        served = self._chosen(parse_models(await self._client.get("/v1/models")))
        self._model = served.id
        self._dialect = dialect = dialect_of(served.owner, self._config.dialect)
        window = self._config.window or served.window or DEFAULT_WINDOW
        slots = self._config.slots or await self._declared_slots() or dialect.slots
        return ReplicaInfo(
            model=served.id,
            max_total_tokens=window,
            slots=slots,
            max_batch_total_tokens=self._config.batch_tokens,
            # A window that nobody told is a guess, and a guess is no ground for a refusal.
            longest_token=self._config.longest_token if self._config.window or served.window else 0,
            capabilities=Capabilities(
                regexes=bool(dialect.regex),
                recursive_schemas=True,
                any_root=True,
                chat_prompts=True,
                native_tools=self._config.native_tools,
                continues_text=dialect.continuation is not Continuation.NONE,
            ),
        )

    async def healthy(self) -> bool:
        """Ask whether it takes calls."""
        return await self._client.answers(self._dialect.health)

    async def queue_size(self) -> int | None:
        """Read the length of its queue off its metrics, where the dialect names it."""
        if not self._dialect.queue_metric:
            return None
        found = await self._client.metrics()
        return None if found is None else gauge(found, self._dialect.queue_metric)

    async def render(self, messages: Sequence[ChatMessage], tools: Sequence[ToolDefinition] = ()) -> Prompt:
        """Count a chat, which goes through as it is but for what looks like markers of a template in it."""
        chat = await aside(lambda: _neutral(messages, tools))
        match self._dialect.counting:
            case Counting.ESTIMATE:
                return Prompt("", estimate_chat(chat), chat=chat, estimated=True)
            case Counting.TOKENIZE:
                answer = await self._client.post(
                    "/tokenize", {"model": self._model, **write_chat(chat, names_of(chat))}
                )
                with shape():
                    return Prompt("", exact_count(answer["count"]), chat=chat)
            case Counting.TEMPLATE:
                answer = await self._client.post("/apply-template", write_chat(chat, names_of(chat)))
                with shape():
                    text = exact_text(answer["prompt"])
                return Prompt("", await self._count(text), chat=chat)

    async def measure(self, text: str, *, content: bool = False) -> Prompt:
        """Count a text."""
        if content:
            text = await aside(lambda: _BY_FORM.text(text))
        match self._dialect.counting:
            case Counting.ESTIMATE:
                return Prompt(text, estimate_text(text), estimated=True)
            case Counting.TOKENIZE:
                answer = await self._client.post("/tokenize", {"model": self._model, "prompt": text})
                with shape():
                    return Prompt(text, exact_count(answer["count"]))
            case Counting.TEMPLATE:
                return Prompt(text, await self._count(text))

    async def stream(self, job: BackendRequest) -> AsyncGenerator[StreamItem, None]:
        """Generate; ends with exactly one Stopped."""
        job = replace(job, emitted_text=_BY_FORM.text(job.emitted_text))
        asked = request(self._dialect, self._model, job)
        tally = _Tally(asked.withheld, job)
        async with aclosing(self._client.stream(asked.path, asked.body)) as chunks:
            async for chunk in chunks:
                for token in tally.tokens(chunk):
                    yield token
        for token in tally.rest():
            yield token
        if (cached := tally.cached()) is not None:
            yield cached
        yield tally.stopped()

    async def suspend(self, run_id: str) -> KvState | None:  # noqa: ARG002 - nothing is kept
        """Return None: the protocol keeps no state."""
        return None

    async def forget(self, kv: KvState) -> None:
        """Do nothing: the protocol keeps no state."""

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _chosen(self, served: Sequence[ServedModel]) -> ServedModel:
        for each in served:
            if self._wanted in {"", each.id}:
                return each
        listed = ", ".join(each.id for each in served) or "none"
        raise BackendBroken(f"the server does not list model {self._wanted!r}; it lists: {listed}")

    async def _declared_slots(self) -> int:
        """Ask a llama.cpp server how many calls it runs at once."""
        if self._dialect.counting is not Counting.TEMPLATE:
            return 0
        try:
            answer = await self._client.get("/props")
        except (BackendBroken, BackendInvalid):
            return 0  # it may be told not to show them
        with shape():
            return min(count(answer.get("total_slots")), MOST_SLOTS)

    async def _count(self, text: str) -> int:
        answer = await self._client.post("/tokenize", {"content": text, "parse_special": True})
        with shape():
            tokens = answer["tokens"]
            if not isinstance(tokens, list):
                raise TypeError("no list of tokens")
            return len(tokens)


def _neutral(messages: Sequence[ChatMessage], tools: Sequence[ToolDefinition]) -> Chat:
    """Servers render messages into one text and find their special tokens all over it."""
    return Chat(tuple(_BY_FORM.messages(messages)), tuple(_BY_FORM.tools(tools)))


class _Tally:
    """Turns the events of one run into tokens, and remembers how it ended."""

    def __init__(self, withheld: str, job: BackendRequest) -> None:
        self._withheld = withheld
        self._most = job.max_new_tokens
        self._alternatives = job.top_alternatives
        self._allowance = Allowance(job.max_new_tokens)
        self._pairs = PairJoiner()
        self._calls = ToolCallJoiner()
        self._chat = job.prompt.chat
        self._told = 0
        self._reasons: set[str] = set()
        self._usage: TokenUsage | None = None
        self._stop_string = ""

    def tokens(self, chunk: Chunk) -> Iterator[Token]:
        """Return the tokens of one event. Raises BackendBroken when there is no end of them.

        An event may stand for several tokens, or for some without text, as a tool call's and a thought's are.
        """
        self._allowance.take(len(chunk.text) + sum(len(each.arguments) for each in chunk.tool_calls))
        self._reasons.update(() if chunk.finish_reason is None else (chunk.finish_reason,))
        self._usage = chunk.usage or self._usage
        self._stop_string = chunk.stop_string or self._stop_string
        self._calls.add(chunk.tool_calls)
        likelihoods = iter(chunk.likelihoods)
        if chunk.text or chunk.thought or chunk.tool_calls:
            yield self._token(self._new_part(self._pairs.feed(chunk.text)), next(likelihoods, _UNTOLD))
        # A usage that comes before all text counts what is still to come.
        begun = chunk.finish_reason is not None or self._told
        while begun and chunk.usage is not None and self._told < min(chunk.usage.completion, self._most):
            yield self._token("", next(likelihoods, _UNTOLD))

    def rest(self) -> Iterator[Token]:
        """Return what was still held back of the text."""
        if left := self._pairs.close():
            yield self._token(left, _UNTOLD)
        while self._usage is not None and self._told < min(self._usage.completion, self._most):
            yield self._token("", _UNTOLD)

    def stopped(self) -> Stopped:
        """Return the end of the run. Raises BackendError for an end that is none.

        An answer that a filter has cut, or its limit, must not pass for a whole one, whatever else was said.
        """
        usage = self._usage or TokenUsage(0, 0, None)
        if self._reasons & _BROKEN_OFF:
            raise BackendUnavailable("the backend broke the generation off")
        if "content_filter" in self._reasons:
            raise BackendInvalid("the backend's content filter ended the answer")
        reason = StopReason.LENGTH if self._reasons & _CUT else StopReason.END
        return Stopped(reason, usage.prompt, self._called(), self._stop_string)

    def _called(self) -> tuple[ToolCall, ...]:
        """Return the calls by the names that the request had for its tools."""
        calls = self._calls.calls()
        if not calls or self._chat is None:
            return calls
        names = names_of(self._chat)
        return tuple(replace(call, name=names.real(call.name)) for call in calls)

    def cached(self) -> CachedPrompt | None:
        """Return what the server had in its cache, if it told."""
        if self._usage is None or self._usage.cached is None:
            return None
        return CachedPrompt(self._usage.cached)

    def _token(self, text: str, likely: Likelihoods) -> Token:
        self._told += 1
        return Token(NO_ID, text, likely.alternatives[: self._alternatives], likely.chosen)

    def _new_part(self, text: str) -> str:
        """Cut off white space that the text so far already ends with."""
        if not self._withheld or not text:
            return text
        at = 0
        while at < min(len(text), len(self._withheld)) and text[at] == self._withheld[at]:
            at += 1
        self._withheld = self._withheld[at:] if at == len(text) else ""
        return text[at:]
