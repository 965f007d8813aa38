"""Synchronous twin of `aios.calls.branches`. Written by tools/generate_sync.py; do not edit."""

from collections.abc import Callable, Sequence

from aios.calls.branches import Branches
from aios.sync.portal import Portal
from aios.types.agents import Hints
from aios.types.branches import Branch, PathScorer, Scorer
from aios.types.llm import Answer


class SyncBranches:
    """Forks a conversation, goes on from each fork, and keeps the best.

    A fork stores nothing of the conversation again. The calls of one round start together, as a gang, on
    prompts that share their beginning, so that a backend reads it once.
    """

    def __init__(self, inner: Branches, portal: Portal) -> None:
        self._inner = inner
        self._portal = portal

    def best_of(
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
        return self._portal.run(
            self._inner.best_of(
                context,
                n,
                score,
                model=model,
                max_tokens=max_tokens,
                temperature=temperature,
                seed=seed,
                hints=hints,
                timeout=timeout,
            )
        )

    def plan(
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
        return self._portal.run(
            self._inner.plan(
                context,
                score,
                breadth=breadth,
                beam=beam,
                depth=depth,
                ask=ask,
                done=done,
                model=model,
                max_tokens=max_tokens,
                temperature=temperature,
                seed=seed,
                hints=hints,
                timeout=timeout,
            )
        )
