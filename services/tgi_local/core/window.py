"""How long a window the slots get: what the model was trained for, within a share of the memory. Pure.

The engine sets the KV cache of every sequence aside when it starts, used or not. So the window has to be
chosen before the first request, and what does not fit into memory would end the process.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.tgi_local.core.layout import PAGE, Layout

LEAST: Final = 2048
"""Window that is always given, unless the model has less. Unit: tokens."""
WANTED: Final = 16_384
"""Window that is worth more than many slots: coding clients need it. Unit: tokens."""
MOST_SLOTS: Final = 8
VALUE_BYTES: Final = 2
"""The engine keeps keys and values as 16-bit numbers."""


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What decides the memory of a model's KV cache."""

    trained: int
    """Context that the model was trained for; 0: unknown. Unit: tokens."""
    kv_bytes: int
    """Memory of one token in one sequence's KV cache; 0: unknown, or none."""


def kv_bytes_per_token(kv_heads: Sequence[int], key_length: int, value_length: int) -> int:
    """Return the memory of one token: a key and a value a head, in every layer.

    `kv_heads`: heads of each layer that keep keys and values; 0 for a layer without attention. The true
    memory may be less, where layers keep only the last tokens, never more.
    """
    return sum(kv_heads) * (key_length + value_length) * VALUE_BYTES


def lay_out(shape: ModelShape, memory: int, *, slots: int, ctx: int, exact: bool) -> Layout:
    """Choose window and slots.

    `memory`: bytes that all KV caches together may take. `slots` and `ctx` are what is wanted whatever it
    takes; 0: chosen here. Slots give way to a window of WANTED tokens, down to one.
    """
    if ctx:
        return Layout(slots or MOST_SLOTS, ctx, exact)
    if slots:
        return Layout(slots, _window(shape, memory, slots, exact=exact), exact)
    chosen = MOST_SLOTS
    while chosen > 1 and _window(shape, memory, chosen, exact=exact) < min(WANTED, _longest(shape)):
        chosen //= 2
    return Layout(chosen, _window(shape, memory, chosen, exact=exact), exact)


def _window(shape: ModelShape, memory: int, slots: int, *, exact: bool) -> int:
    longest = _longest(shape)
    if not shape.kv_bytes:
        return longest
    held = memory // (shape.kv_bytes * Layout(slots, PAGE, exact).sequences)
    return min(longest, max(LEAST, held // PAGE * PAGE))


def _longest(shape: ModelShape) -> int:
    return shape.trained or LEAST
