"""The server's prefix cache: a radix tree with least-recently-used eviction, kept as chained blocks."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple


class Block(NamedTuple):
    """A run of prompt tokens. The key names everything from the prompt's start to its end."""

    key: str
    tokens: int


class PrefixCache:
    """Blocks of prompts seen before; those in use by running requests are pinned.

    As in TGI's radix allocator a prompt enters the cache when its request leaves, and only prompts
    do, never generated tokens. Leaves go before their parents.
    """

    def __init__(self) -> None:
        self._pins: dict[str, int] = {}
        self._size: dict[str, int] = {}
        self._idle: OrderedDict[str, int] = OrderedDict()
        self.pinned_tokens = 0
        self.idle_tokens = 0

    def match(self, blocks: Sequence[Block]) -> tuple[int, int]:
        """Return how many leading blocks are cached and how many tokens they hold."""
        count, tokens = 0, 0
        for key, size in blocks:
            if key not in self._size:
                break
            count += 1
            tokens += size
        return count, tokens

    def newly_pinned(self, blocks: Sequence[Block]) -> int:
        """Tokens of these cached blocks that no running request holds yet."""
        return sum(size for key, size in blocks if not self._pins.get(key))

    def pin(self, blocks: Sequence[Block]) -> None:
        """Keep these cached blocks from being evicted."""
        for key, size in blocks:
            count = self._pins.get(key, 0)
            self._pins[key] = count + 1
            if not count:
                del self._idle[key]
                self.idle_tokens -= size
                self.pinned_tokens += size

    def unpin(self, blocks: Sequence[Block]) -> None:
        """Undo `pin`. The deepest block becomes the oldest, so that leaves are evicted first."""
        for key, size in reversed(blocks):
            left = self._pins[key] - 1
            if left:
                self._pins[key] = left
                continue
            del self._pins[key]
            self._idle[key] = size
            self.idle_tokens += size
            self.pinned_tokens -= size

    def insert(self, blocks: Sequence[Block]) -> None:
        """Keep a prompt that was read; its blocks become the most recently used ones."""
        for key, size in reversed(blocks):
            if key not in self._size:
                self._size[key] = size
                self._idle[key] = size
                self.idle_tokens += size
            elif key in self._idle:
                self._idle.move_to_end(key)

    def evict(self, tokens: int) -> None:
        """Free at least this many tokens, or everything that is not pinned."""
        freed = 0
        while freed < tokens and self._idle:
            key, size = self._idle.popitem(last=False)
            del self._size[key]
            freed += size
        self.idle_tokens -= freed
