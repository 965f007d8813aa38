"""How slots lie in the engine, and what makes its arithmetic repeatable. Pure.

llama.cpp computes one row of a matrix with another kernel than several rows, and the two round differently.
So the numbers of a token depend on how many tokens are computed with it: other generations, or the rest of a
prompt. They do not if every token is computed alone. That takes batches of one row (`n_ubatch` = 1), and one
thing more: the engine still puts one token of each of two sequences into such a batch if the sequences'
numbers are neighbours. So slots use every second number only.
"""

from dataclasses import dataclass

PAGE = 256
"""Tokens by which the engine rounds what a sequence holds."""
_PROMPT_ROWS = 64
"""Rows of prompts computed between two tokens of the generations that run beside them."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the engine is told for `slots` slots of `ctx_per_slot` tokens."""

    slots: int
    ctx_per_slot: int
    exact: bool

    @property
    def sequences(self) -> int:
        """Sequences of the engine; each costs a KV cache."""
        return 2 * self.slots + 1 if self.exact else self.slots

    @property
    def context(self) -> int:
        """Tokens of all sequences together. The engine rounds a sequence down to a page, never up."""
        return self.sequences * -(-self.ctx_per_slot // PAGE) * PAGE

    @property
    def batch(self) -> int | None:
        """Rows the engine takes up at a time; None: its own default."""
        return self.sequences + _PROMPT_ROWS if self.exact else None

    @property
    def spare(self) -> int:
        """The sequence for questions of our own; -1: any that is idle."""
        return 2 * self.slots if self.exact else -1

    def sequence(self, slot: int) -> int:
        """Return the engine's number of a slot. The engine wraps numbers that are too large silently."""
        if not 0 <= slot < self.slots:
            raise ValueError(f"no slot {slot} of {self.slots}")
        return 2 * slot if self.exact else slot
