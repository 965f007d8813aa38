"""What a replica's prefix cache probably holds, from what was sent there."""

from collections import OrderedDict
from collections.abc import Iterable

from services.scheduler.core.scheduled_call import ScheduledCall

_LENGTHS_PER_PROGRAM = 4
_TRUST_STEP = 0.1
_AFFINITIES = 4096
"""Newest affinities that are remembered: they take no room in the cache, so nothing else drops them."""


class PrefixMap:
    """Estimate of one replica's prefix cache: contexts of programs and shared prefixes, LRU.

    TGI keeps prompts, not generated tokens, in a radix tree with LRU eviction, leaves first. A call whose
    prefixes cover its whole prompt is found by them alone; another one is taken for an extension of its
    program's last prompt. `trust` scales the estimate down to what the backend reports.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[str, int] = OrderedDict()
        self._lengths: dict[str, list[int]] = {}
        self._affinities: OrderedDict[str, None] = OrderedDict()
        self._total = 0
        self.trust = 1.0

    @property
    def held(self) -> int:
        """Tokens it probably holds."""
        return self._total

    def resize(self, capacity: int) -> None:
        """Note that the cache holds `capacity` tokens from now on."""
        self._capacity = capacity
        self._evict()

    def attracts(self, job: ScheduledCall) -> bool:
        """Whether a call with an affinity of this one was sent here."""
        return any(not prefix.tokens and prefix.key in self._affinities for prefix in job.call.prefixes)

    def cached(self, job: ScheduledCall) -> int:
        """Tokens of the call's context this replica probably need not read again."""
        call = job.call
        best = 0
        for prefix in reversed(call.prefixes):
            if "k:" + prefix.key in self._entries:
                best = prefix.tokens
                break
        context = job.context_tokens
        # What a resumed call produced itself is in no prefix.
        if job.tokens_done or not call.prefixes or call.prefixes[-1].tokens < call.prompt_tokens:
            for length in self._lengths.get("p:" + call.program_key, ()):
                if best < length <= context:
                    best = length
        return int(min(best, max(0, context - 1)) * self.trust)

    def prefilled(self, job: ScheduledCall) -> None:
        """Note that the call's context was sent to this replica."""
        call = job.call
        parts = [prefix for prefix in call.prefixes if prefix.tokens]
        self._remember(prefix.key for prefix in call.prefixes if not prefix.tokens)
        covered, added = 0, []
        for prefix in parts:
            added.append(max(0, prefix.tokens - covered))
            covered = max(covered, prefix.tokens)
        name = "p:" + call.program_key
        lengths = [n for n in self._lengths.get(name, ()) if n != job.context_tokens]
        self._touch(name, max(0, job.context_tokens - covered))
        self._lengths[name] = [*lengths, job.context_tokens][-_LENGTHS_PER_PROGRAM:]
        for prefix, tokens in zip(reversed(parts), reversed(added), strict=True):
            # Earlier calls may have told parts between this one and the one before: those are there already.
            known = "k:" + prefix.key
            self._touch(known, min(tokens, self._entries.get(known, tokens)))
        self._evict()

    def observed(self, expected: int, found: int) -> None:
        """Note that the backend found `found` tokens cached where `expected` were hoped for."""
        if expected > 0:
            ratio = min(1.0, found / expected)
            self.trust += _TRUST_STEP * (ratio - self.trust)
            self.trust = max(self.trust, 0.05)

    def _remember(self, affinities: Iterable[str]) -> None:
        for key in affinities:
            self._affinities[key] = None
            self._affinities.move_to_end(key)
            if len(self._affinities) > _AFFINITIES:
                self._affinities.popitem(last=False)

    def _touch(self, name: str, tokens: int) -> None:
        self._total += tokens - self._entries.pop(name, 0)
        self._entries[name] = tokens

    def _evict(self) -> None:
        while self._total > self._capacity and self._entries:
            name, tokens = self._entries.popitem(last=False)
            self._total -= tokens
            self._lengths.pop(name, None)
