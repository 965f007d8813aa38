"""An engine without a model: the next token depends on the sequence alone, so resuming is exact."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.tgi_local.adapters.vocabulary import Vocabulary
from services.tgi_local.core.engine import (
    Alternative,
    EngineError,
    EngineRequest,
    EngineToken,
    StopKind,
    TemplateError,
)
from services.tgi_local.core.parts import Part
from services.tgi_local.core.slots import common_prefix

EOS = 257
VOCABULARY = Vocabulary(
    pieces=(*(bytes([b]) for b in range(256)), b"<|im_start|>", b"<|im_end|>"),
    special=frozenset({256, EOS}),
    eos=EOS,
    name="fake",
    markers=frozenset({"<|im_start|>", "<|im_end|>"}),
)
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


@dataclass(slots=True)
class EngineScript:
    """How the fake engine behaves; tests change it between calls."""

    output: bytes = b""
    """The answer's bytes, one token each, then EOS; empty: the alphabet by position, without end."""

    ends: bool = True
    """Whether EOS follows `output`; otherwise the engine breaks off without a reason."""

    fail_after: int | None = None
    """Raise EngineError after this many tokens."""

    bug_after: int | None = None
    """Raise something unforeseen after this many tokens."""

    flood: bool = False
    """Give thousands of tokens at a time."""

    gate: asyncio.Event | None = None
    """Wait here before every token but the first."""

    token_delay: float = 0.0
    healthy: bool = True
    save_fails: bool = False
    save_gate: asyncio.Event | None = None
    """Wait here before a state is written."""

    restore_fails: bool = False
    template_fails: bool = False


@dataclass(slots=True)
class FakeEngine:
    """Implements `Engine`; `busy` are the slots in use, `held` what each slot's cache covers."""

    directory: Path
    script: EngineScript = field(default_factory=EngineScript)
    busy: set[int] = field(default_factory=set)
    held: dict[int, tuple[int, ...]] = field(default_factory=dict)
    jobs: list[EngineRequest] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    closed: bool = False
    exact: bool = True
    saving: int = 0
    split: list[int] = field(default_factory=list)
    """Characters of each text it was asked to split."""
    splitting: int = 0
    split_gate: asyncio.Event | None = None
    """Wait here before a text is split."""
    produced: int = 0
    """Tokens of all generations."""
    flooded: int = 0

    def files(self) -> list[str]:
        """Return the names of the saved files."""
        return sorted(path.name for path in self.directory.iterdir())

    @property
    def vocabulary(self) -> Vocabulary:
        """256 bytes and two special tokens."""
        return VOCABULARY

    def generate(self, job: EngineRequest) -> "FakeRun":
        """Start a generation."""
        self.jobs.append(job)
        return FakeRun(self, job)

    async def tokenize(self, parts: Sequence[Part], *, add_special: bool) -> list[list[int]]:  # noqa: ARG002 - has none to add
        """Return the bytes; special tokens are recognised where a part says so."""
        self.split.append(sum(len(part.text) for part in parts))
        self.splitting += 1
        await (asyncio.sleep(0) if self.split_gate is None else self.split_gate.wait())
        self.splitting -= 1
        return [self._ids(part) for part in parts]

    def _ids(self, part: Part) -> list[int]:
        data, ids, at = part.text.encode(), list[int](), 0
        known = VOCABULARY.special if part.special else ()
        while at < len(data):
            special = next((i for i in known if data.startswith(VOCABULARY.pieces[i], at)), None)
            ids.append(data[at] if special is None else special)
            at += len(VOCABULARY.pieces[ids[-1]])
        return ids

    async def render(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """Write ChatML."""
        if self.script.template_fails:
            raise TemplateError("unknown role")
        chat = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
        return f"{chat}<|im_start|>assistant\n"

    async def save(self, slot: int, name: str) -> int:
        """Write the slot's sequence to a file."""
        self.saving += 1
        if self.script.save_gate is not None:
            await self.script.save_gate.wait()
        if self.script.save_fails:
            raise EngineError("no room")
        held = self.held.get(slot, ())
        await asyncio.to_thread((self.directory / name).write_text, " ".join(map(str, held)))
        return len(held)

    async def restore(self, slot: int, name: str) -> int:
        """Read a sequence back."""
        if slot in self.busy or self.script.restore_fails:
            raise EngineError("the slot is busy")
        try:
            saved = await asyncio.to_thread((self.directory / name).read_text)
            self.held[slot] = tuple(map(int, saved.split()))
        except (FileNotFoundError, ValueError) as error:
            raise EngineError("invalid slot save file") from error
        self.restored.append(name)
        return len(self.held[slot])

    async def healthy(self) -> bool:
        """Tell what the script says."""
        return self.script.healthy

    async def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


class FakeRun:
    """One generation of the fake engine."""

    def __init__(self, engine: FakeEngine, job: EngineRequest) -> None:
        self._engine = engine
        self._job = job
        self._stop = asyncio.Event()
        self.ended: StopKind | None = None
        self.cached: int | None = None

    def stop(self) -> None:
        """End the iteration at the next token."""
        self._stop.set()

    async def aclose(self) -> None:
        """Free the slot."""
        self.stop()
        self._engine.busy.discard(self._job.slot)

    async def __aiter__(self) -> AsyncIterator[tuple[EngineToken, ...]]:
        if self._job.slot in self._engine.busy:
            raise EngineError("the slot is busy")
        self._engine.busy.add(self._job.slot)
        held = self._engine.held.get(self._job.slot, ()) if self._job.reuse else ()
        self.cached = common_prefix(held, self._job.prompt)
        if self._engine.script.flood:
            for _ in range(self._job.max_tokens // 5_000):
                yield (EngineToken(ord("x"), -0.5),) * 5_000
                self._engine.flooded += 1
                await asyncio.sleep(0)
        sequence = list(self._job.prompt)
        for count in range(self._job.max_tokens):
            if count:
                await self._pause()
            if self._stop.is_set():
                return
            self._fail_if_due(count)
            token = self._next(sequence, count)
            if token is None:
                return
            sequence.append(token)
            self._engine.produced += 1
            self._engine.held[self._job.slot] = tuple(sequence[:-1])
            top = tuple(Alternative(other, -1.0) for other in range(self._job.top_n))
            yield (EngineToken(token, -0.5, top),)
            if token == EOS:
                self.ended = StopKind.EOS
                return
        self.ended = StopKind.LIMIT

    def _fail_if_due(self, count: int) -> None:
        if count == self._engine.script.fail_after:
            raise EngineError("the engine broke off")
        if count == self._engine.script.bug_after:
            raise RuntimeError("a secret of the inside")

    async def _pause(self) -> None:
        gate = self._engine.script.gate
        if gate is not None:
            waits = [asyncio.ensure_future(gate.wait()), asyncio.ensure_future(self._stop.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
        await asyncio.sleep(self._engine.script.token_delay)

    def _next(self, sequence: list[int], count: int) -> int | None:
        script = self._engine.script
        if not script.output:
            return ord(_ALPHABET[len(sequence) % len(_ALPHABET)])
        if count < len(script.output):
            return script.output[count]
        return EOS if script.ends else None
