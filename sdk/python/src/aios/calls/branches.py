"""`kernel.branches`: several ways on from one conversation, of which the best is kept."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from itertools import count

from aios._transport import Transport
from aios.calls.contexts import Contexts
from aios.calls.llm import Llm
from aios.types.agents import Hints
from aios.types.branches import Branch, PathScorer, Scorer
from aios.types.llm import Answer

MOST_BRANCHES = 64
"""Branches sampled at once: the largest gang of the scheduler."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sampling:
    model: str
    max_tokens: int
    temperature: float
    seed: int
    hints: Hints | None
    timeout: float | None


class Branches:
    """Forks a conversation, goes on from each fork, and keeps the best.

    A fork stores nothing of the conversation again. The calls of one round start together, as a gang, on
    prompts that share their beginning, so that a backend reads it once.
    """

    def __init__(self, transport: Transport) -> None:
        self._llm = Llm(transport)
        self._contexts = Contexts(transport)

    async def best_of(
        self,
        context: str,
        n: int,
        score: Scorer,
        *,
        model: str = "",
        max_tokens: int = 0,
        temperature: float = 0.8,
        seed: int = 0,
        hints: Hints | None = None,
        timeout: float | None = None,
    ) -> Branch:
        """Sample `n` answers to a conversation and return the branch with the best one.

        Branch `i` is sampled with seed `seed + i`. The winner stays, as a context of its own that ends with
        its answer; the other branches are deleted, and all of them when something fails. The conversation
        itself stays as it is. `timeout` bounds each call. Raises as `Llm.chat` and `Contexts.fork`.
        """
        return await self.plan(
            context,
            lambda answers: score(answers[-1]),
            breadth=n,
            beam=1,
            depth=1,
            model=model,
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
            hints=hints,
            timeout=timeout,
        )

    async def plan(
        self,
        context: str,
        score: PathScorer,
        *,
        breadth: int = 3,
        beam: int = 2,
        depth: int = 3,
        ask: str = "Go on with the next step.",
        done: Callable[[Sequence[Answer]], bool] | None = None,
        model: str = "",
        max_tokens: int = 0,
        temperature: float = 0.8,
        seed: int = 0,
        hints: Hints | None = None,
        timeout: float | None = None,
    ) -> Branch:
        """Search for a good way on from a conversation: a beam over forks. Return the best path found.

        Each round goes on from every kept branch in `breadth` ways at once, judges all paths and keeps the
        best `beam`; `ask` is said to a branch before its next step. A path for which `done` is true goes on
        no more, and the search ends when the best one is such or after `depth` rounds. The best branch stays
        as a context of its own, all others are deleted. At most 64 branches a round. Raises ValueError, and
        as `Llm.chat` and `Contexts.fork`.
        """
        if min(breadth, beam, depth) < 1 or breadth * beam > MOST_BRANCHES:
            raise ValueError(f"breadth, beam, depth are at least 1, breadth * beam at most {MOST_BRANCHES}")
        sampling = _Sampling(
            model=model,
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
            hints=hints,
            timeout=timeout,
        )
        search = _Search(self._llm, self._contexts, context, score, sampling)
        try:
            best = await search.run(breadth=breadth, beam=beam, depth=depth, ask=ask, done=done)
        except BaseException:
            await search.clear()
            raise
        await search.clear(best.context)
        return best


class _Search:
    """One search, with the contexts it has made."""

    def __init__(
        self, llm: Llm, contexts: Contexts, source: str, score: PathScorer, sampling: _Sampling
    ) -> None:
        self._llm = llm
        self._contexts = contexts
        self._source = source
        self._score = score
        self._sampling = sampling
        self._made: list[str] = []
        self._prefix = f"{source.rpartition('/')[2][:40]}.{uuid.uuid4().hex[:8]}"
        self._numbers = count()

    async def run(
        self,
        *,
        breadth: int,
        beam: int,
        depth: int,
        ask: str,
        done: Callable[[Sequence[Answer]], bool] | None,
    ) -> Branch:
        """Search and return the best branch."""
        kept = [Branch(context=self._source, answers=(), score=0.0)]
        for turn in range(depth):
            ended = [
                branch for branch in kept if branch.answers and done is not None and done(branch.answers)
            ]
            going = [branch for branch in kept if branch not in ended]
            if kept[0] in ended or not going:
                break
            if turn:
                for branch in going:
                    await self._contexts.append(branch.context, ask, timeout=self._sampling.timeout)
            grown = await self._grow(going, breadth)
            kept = sorted([*ended, *grown], key=lambda branch: -branch.score)[:beam]
            await self.clear(*(branch.context for branch in kept))
        return kept[0]

    async def _grow(self, parents: Sequence[Branch], breadth: int) -> list[Branch]:
        """Sample every way on from these branches, all at once."""
        timeout = self._sampling.timeout
        pairs = [(parent, await self._fork(parent)) for parent in parents for _ in range(breadth)]
        windows = [
            (await self._contexts.window(child, model=self._sampling.model, timeout=timeout)).chat
            for _, child in pairs
        ]
        answers = await self._llm.gather(
            windows,
            seeds=[self._sampling.seed + number for number in range(len(pairs))],
            model=self._sampling.model,
            max_tokens=self._sampling.max_tokens,
            temperature=self._sampling.temperature,
            hints=self._sampling.hints,
            timeout=timeout,
        )
        grown = []
        for (parent, child), answer in zip(pairs, answers, strict=True):
            await self._contexts.append(child, [answer.message], timeout=timeout)
            path = (*parent.answers, answer)
            worth = self._score(path)
            grown.append(
                Branch(context=child, answers=path, score=await worth if isawaitable(worth) else worth)
            )
        return grown

    async def _fork(self, parent: Branch) -> str:
        child = f"{self._prefix}.{next(self._numbers)}"
        self._made.append(child)
        await self._contexts.fork(parent.context, child, timeout=self._sampling.timeout)
        return child

    async def clear(self, *kept: str) -> None:
        """Delete the branches that were made, but for the kept ones."""
        for context in [made for made in self._made if made not in kept]:
            await self._contexts.delete(context, missing_ok=True, timeout=self._sampling.timeout)
            self._made.remove(context)
