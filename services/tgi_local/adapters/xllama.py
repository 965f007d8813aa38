"""The engine adapter: llama.cpp's server inside this process, reached over a private unix socket.

Three habits of the engine are made good here. It reports no id for a token that ends inside a character
(`tokens_predicted` jumps instead): the missing ids are found from the bytes. It keeps generating for
a caller who went away until the response is closed, so every run is closed. And what it computes for a token
depends on what it computes beside it, unless the sequences lie as `core/layout.py` says.
"""

import asyncio
import contextlib
import json
import shutil
import tempfile
import threading
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp
import orjson
import xllamacpp

from services.chassis.runtime.worker_process import Blame
from services.chassis.runtime.workers import WorkerError, WorkerPool
from services.tgi_local.adapters.template_worker import RENDERED
from services.tgi_local.adapters.text_workers import rendering_pool, splitting_pool, worked
from services.tgi_local.adapters.vocabulary import Vocabulary, read_vocabulary
from services.tgi_local.core.engine import (
    Alternative,
    EngineError,
    EngineRequest,
    EngineToken,
    PromptTooLong,
    StopKind,
    TemplateError,
)
from services.tgi_local.core.layout import Layout
from services.tgi_local.core.parts import Part
from services.tgi_local.core.text import segmentations

STALL_SECONDS = 600.0
"""Longest silence of the engine within one call: the prefill of a long prompt by a big model."""

CONTROL_SECONDS = 60.0
"""Longest control call: tokenise, save, restore."""

CLOSE_SECONDS = 5.0
"""Longest wait for running generations to notice that they are not wanted, and for the engine to end."""

_OK = 200
_MAX_SOCKET_PATH = 100
_RANDOM_SEED = 0xFFFFFFFF


class XllamaEngine:
    """An `Engine` on llama.cpp. Made by `open`; `close` it."""

    def __init__(
        self,
        server: Any,
        session: aiohttp.ClientSession,
        sockets: Path,
        vocabulary: Vocabulary,
        layout: Layout,
        *,
        splitter: WorkerPool,
        renderer: WorkerPool,
    ) -> None:
        self.layout = layout
        self._splitter = splitter
        self._renderer = renderer
        self._server = server
        self._session = session
        self._sockets = sockets
        self._vocabulary = vocabulary
        self._runs: weakref.WeakSet[XllamaRun] = weakref.WeakSet()

    @classmethod
    async def open(
        cls,
        model: Path,
        layout: Layout,
        *,
        threads: int,
        data_dir: Path,
        snapshots: Path,
        told: Blame = lambda _name, _cause: None,
    ) -> Self:
        """Load a model; a few hundredths of a second for a small one. Raises EngineError, UnreadableModel."""
        vocabulary = await asyncio.to_thread(read_vocabulary, model)
        sockets = await asyncio.to_thread(_socket_directory, data_dir)
        params = _params(model, layout, threads)
        params.slot_save_path = f"{snapshots}/"
        params.hostnames = [str(sockets / "llm.sock")]
        try:
            server = await asyncio.to_thread(xllamacpp.Server, params)
        except RuntimeError as error:
            await asyncio.to_thread(shutil.rmtree, sockets, ignore_errors=True)
            raise EngineError(f"the engine cannot load {model}: {error}") from error
        session = aiohttp.ClientSession(
            base_url="http://engine",
            connector=aiohttp.UnixConnector(str(sockets / "llm.sock"), limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=CONTROL_SECONDS, sock_connect=10),
            json_serialize=_dumps,
        )
        splitter = await asyncio.to_thread(splitting_pool, model, told)
        renderer = await asyncio.to_thread(rendering_pool, model, sockets, told)
        engine = cls(server, session, sockets, vocabulary, layout, splitter=splitter, renderer=renderer)
        try:
            await splitter.warm()
        except WorkerError as error:
            await engine.close()
            raise EngineError(f"the tokenizer cannot load {model}: {error}") from error
        return engine

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's tokens."""
        return self._vocabulary

    @property
    def exact(self) -> bool:
        """Whether a token's numbers depend on nothing but the tokens before it."""
        return self.layout.exact

    def generate(self, job: EngineRequest) -> "XllamaRun":
        """Start a generation; nothing happens before the first iteration."""
        run = XllamaRun(self, job)
        self._runs.add(run)
        return run

    async def tokenize(self, parts: Sequence[Part], *, add_special: bool) -> list[list[int]]:
        """Return the ids of each part, each split alone, by a worker that has the vocabulary alone."""
        texts = [(part.text, part.special) for part in parts]
        with worked("the tokenizer", "the text could not be split into tokens"):
            answer = await self._splitter.call(orjson.dumps((texts, add_special)))
        found: list[list[int]] = orjson.loads(answer)
        return found

    async def render(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """Apply the chat template, in a worker that renders only."""
        with worked("the chat template's worker", "the chat could not be rendered"):
            answer = await self._renderer.call(_dumps(list(messages)).encode(errors="replace"))
        text = answer[1:].decode(errors="replace")
        if answer[:1] != RENDERED:
            raise TemplateError(text)
        return text

    async def save(self, slot: int, name: str) -> int:
        """Write a slot's KV state; waits while the slot is busy."""
        return int((await self._slot_file(slot, "save", name))["n_saved"])

    async def restore(self, slot: int, name: str) -> int:
        """Load a KV state into a slot."""
        return int((await self._slot_file(slot, "restore", name))["n_restored"])

    async def _slot_file(self, slot: int, action: str, name: str) -> Any:
        path = f"/slots/{self.layout.sequence(slot)}?action={action}"
        return await self.call(path, {"filename": name})

    async def healthy(self) -> bool:
        """Whether the engine answers on its socket."""
        try:
            async with self._session.get("/health") as response:
                return response.status == _OK
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def close(self) -> None:
        """Stop the engine. Idempotent. The socket file outlives it, so its directory is removed.

        Dropping the engine in the middle of a generation would block for ever, so all are stopped first.
        """
        if self._session.closed:
            return
        for run in list(self._runs):
            await run.aclose()
        await self._splitter.close()
        await self._renderer.close()
        await self._idle()
        await self._session.close()
        holder, self._server = [self._server], None
        await _dropped(holder)
        await asyncio.to_thread(shutil.rmtree, self._sockets, ignore_errors=True)

    async def _idle(self) -> None:
        """Wait until no slot works, within limits."""
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while await self._busy():  # noqa: ASYNC110 - the engine raises no event
                    await asyncio.sleep(0.01)

    async def _busy(self) -> bool:
        async with self._session.get("/slots") as response:
            slots = orjson.loads(await response.read())
        return any(slot["is_processing"] for slot in slots)

    async def call(self, path: str, body: Mapping[str, Any]) -> Any:
        """Make one control call. Raises EngineError."""
        try:
            async with self._session.post(path, json=body) as response:
                return _checked(response.status, await response.read())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise EngineError(f"the engine does not answer: {type(error).__name__}") from error

    def open_stream(self, job: EngineRequest) -> "asyncio.Task[aiohttp.ClientResponse]":
        """Post a generation; the answer comes with the first token."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=STALL_SECONDS)
        return asyncio.ensure_future(self._post(_completion(job, self.layout), timeout))

    async def _post(self, body: Mapping[str, Any], timeout: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        return await self._session.post("/completion", json=body, timeout=timeout)


class XllamaRun:
    """One generation: iterate it, `stop` it from another task, `aclose` it."""

    def __init__(self, engine: XllamaEngine, job: EngineRequest) -> None:
        self._engine = engine
        self._job = job
        self._opening: asyncio.Task[aiohttp.ClientResponse] | None = None
        self._response: aiohttp.ClientResponse | None = None
        self._stopped = False
        self._ids: list[int] = []
        self.ended: StopKind | None = None
        self.cached: int | None = None

    def stop(self) -> None:
        """Close the response: the engine notices within milliseconds."""
        self._stopped = True
        if self._response is not None:
            self._response.close()
        elif self._opening is not None:
            self._opening.cancel()

    async def aclose(self) -> None:
        """Free the slot, whether the run ended or not."""
        self.stop()
        if self._opening is not None and not self._opening.done():
            with contextlib.suppress(asyncio.CancelledError, aiohttp.ClientError):
                await self._opening

    async def __aiter__(self) -> AsyncIterator[tuple[EngineToken, ...]]:
        if self._stopped:
            return
        try:
            async for lines in self._lines():
                batch = [token for line in lines for token in await self._tokens(line)]
                if batch:
                    yield tuple(batch)
        except (aiohttp.ClientError, TimeoutError) as error:
            if not self._stopped:
                raise EngineError(f"the engine broke off: {type(error).__name__}") from error

    async def _lines(self) -> AsyncIterator[list[bytes]]:
        response = await self._opened()
        if response is None:
            return
        if response.status != _OK:
            _checked(response.status, await response.read())
        rest = b""
        async for chunk in response.content.iter_any():
            *lines, rest = (rest + chunk).split(b"\n")
            yield lines
            if self.ended is not None or self._stopped:
                return

    async def _opened(self) -> aiohttp.ClientResponse | None:
        self._opening = self._engine.open_stream(self._job)
        try:
            self._response = await self._opening
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._stopped and (task is None or not task.cancelling()):
                return None
            raise
        return self._response

    async def _tokens(self, line: bytes) -> list[EngineToken]:
        """Read one event: the token it names, preceded by those the engine left out."""
        if line.startswith(b"error:"):
            _checked(500, line[6:])
        if not line.startswith(b"data:"):
            return []
        event = orjson.loads(line[5:])
        if "error" in event:
            _checked(500, line[5:])
        if (read := event.get("prompt_progress")) is not None:  # it names token 0, which is none
            self.cached = read["cache"]
            return []
        named = [_token(event)] if event["tokens"] else []
        missing = event["tokens_predicted"] - len(self._ids) - len(named)
        hidden = await self._hidden(missing, event, named) if missing > 0 else []
        tokens = [*(EngineToken(i) for i in hidden), *named]
        self._ids.extend(token.id for token in tokens)
        if event["stop"]:
            self.ended = StopKind.EOS if event["stop_type"] == "eos" else StopKind.LIMIT
        return tokens

    async def _hidden(
        self, count: int, event: Mapping[str, Any], named: Sequence[EngineToken]
    ) -> Sequence[int]:
        """Find the ids of `count` tokens the engine left out because they end inside a character.

        Their bytes are known from the event; usually only one split into `count` tokens exists. Where several
        do (or the end came first) the engine is asked again, which is exact for greedy runs.
        """
        vocabulary = self._engine.vocabulary
        ways: list[tuple[int, ...]] = []
        if named and event.get("completion_probabilities"):
            unsent = bytes(event["completion_probabilities"][0]["bytes"])
            unsent = unsent.removesuffix(vocabulary.pieces[named[0].id])
            ways = segmentations(unsent, count, vocabulary.ids_by_bytes)
        if len(ways) == 1 or (ways and not self._job.sampling.greedy):
            return ways[0]
        again = await self._asked_again(count)
        if event["stop"] and event["stop_type"] == "eos":
            return (*again[: count - 1], vocabulary.eos)
        return again

    async def _asked_again(self, count: int) -> Sequence[int]:
        body = _sampling(self._job, self._engine.layout) | {
            "prompt": [*self._job.prompt, *self._ids],
            "id_slot": self._engine.layout.spare,
            "n_predict": count,
            "temperature": 0.0,
            "cache_prompt": True,
            "return_tokens": True,
        }
        tokens: list[int] = (await self._engine.call("/completion", body))["tokens"]
        return tokens


def _params(model: Path, layout: Layout, threads: int) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_parallel = layout.sequences
    params.n_ctx = layout.context
    params.kv_unified = False  # in a shared cache the order of cells, and of sums, depends on the neighbours
    if layout.batch is not None:
        params.n_batch, params.n_ubatch = layout.batch, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.n_threads_http = (
        2 * layout.slots + 8
    )  # a stream holds one for its whole life; control calls need some too
    params.cache_ram_mib = 0  # the default keeps up to 8 GiB of old prompts
    params.endpoint_metrics = False
    params.verbosity = -1
    return params


def _socket_directory(data_dir: Path) -> Path:
    """Make a directory only this user can enter; a long data path does not fit into a socket address."""
    room = _MAX_SOCKET_PATH - len("/engine-12345678/render-4194304.sock")
    parent = data_dir if len(str(data_dir)) < room else None
    return Path(tempfile.mkdtemp(prefix="engine-", dir=parent))


def _completion(job: EngineRequest, layout: Layout) -> dict[str, Any]:
    body = _sampling(job, layout) | {
        "prompt": job.prompt,
        "n_predict": job.max_tokens,
        "id_slot": layout.sequence(job.slot),
        "stream": True,
        "return_tokens": True,
        "cache_prompt": job.reuse,
        "return_progress": True,
        "n_probs": max(1, job.top_n),
    }
    if job.constraint is not None:
        body["grammar"] = job.constraint.grammar
    return body


def _sampling(job: EngineRequest, layout: Layout) -> dict[str, Any]:
    """Spell TGI's sampling out: llama.cpp's defaults differ."""
    sampling = job.sampling
    penalties = (sampling.repetition_penalty, sampling.frequency_penalty, sampling.presence_penalty)
    penalised = penalties != (1.0, 0.0, 0.0)
    return {
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "typical_p": sampling.typical_p,
        "min_p": 0.0,
        "repeat_penalty": sampling.repetition_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "repeat_last_n": layout.ctx_per_slot if penalised else 0,
        "seed": min(job.seed & 0xFFFFFFFF, _RANDOM_SEED - 1),
    }


def _token(event: Mapping[str, Any]) -> EngineToken:
    chosen = event["tokens"][-1]
    known = event.get("completion_probabilities")
    if not known:
        return EngineToken(chosen)
    top = tuple(Alternative(item["id"], item["logprob"]) for item in known[0]["top_logprobs"])
    return EngineToken(chosen, known[0]["logprob"], top)


def _checked(status: int, body: bytes) -> Any:
    """Return the decoded answer of the engine. Raises EngineError."""
    answer = orjson.loads(body)
    if status == _OK:
        return answer
    error = answer.get("error", {})
    if error.get("type") == "exceed_context_size_error":
        raise PromptTooLong(str(error.get("message")))
    raise EngineError(str(error.get("message", f"status {status}")))


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


async def _dropped(holder: list[Any]) -> None:
    """Drop the last reference, which stops the engine and joins its threads.

    That blocks, so a thread does it: a daemon, since an engine that never returns must not keep the process.
    """
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def drop() -> None:
        holder.clear()
        loop.call_soon_threadsafe(done.set)

    threading.Thread(target=drop, name="engine-close", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), CLOSE_SECONDS)
