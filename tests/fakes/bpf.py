"""An interpreter of the programs that filter system calls, as the kernel runs them."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_LOAD, _AND, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_ONE: Final = struct.Struct("=HBBI")
MOST_INSTRUCTIONS: Final = 4096


@dataclass
class Filter:
    """A filter; `ran` holds the places of all instructions that were ever run, with the way taken."""

    program: bytes
    ran: set[tuple[int, bool]] = field(default_factory=set)

    def __post_init__(self) -> None:
        assert len(self.program) % _ONE.size == 0
        self.instructions = list(_ONE.iter_unpack(self.program))
        assert 0 < len(self.instructions) <= MOST_INSTRUCTIONS
        self._check()

    def _check(self) -> None:
        """Hold the program to what the kernel wants of one: known codes, jumps forward and inside, an end."""
        for place, (code, yes, no, value) in enumerate(self.instructions):
            assert code in {_LOAD, _AND, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN}, code
            if code == _LOAD:
                assert value % 4 == 0
                assert value < 64
            if code in {_EQUAL, _AT_LEAST, _ANY_BIT}:
                assert place + 1 + max(yes, no) < len(self.instructions)
        assert self.instructions[-1][0] == _RETURN

    def verdict(self, audit: int, number: int, arguments: Sequence[int] = ()) -> int:
        """Return what becomes of a call. Arguments are 64 bits wide, two's complement."""
        padded = [value & (1 << 64) - 1 for value in (*arguments, *[0] * (6 - len(arguments)))]
        data = struct.pack("<iIQ6Q", _signed(number), audit, 0, *padded)
        accumulator = place = 0
        while True:
            code, yes, no, value = map(int, self.instructions[place])
            taken = True
            match code:
                case 0x20:
                    (accumulator,) = struct.unpack_from("<I", data, value)
                case 0x54:
                    accumulator &= value
                case 0x06:
                    self.ran.add((place, True))
                    return value
                case _:
                    taken = {
                        _EQUAL: accumulator == value,
                        _AT_LEAST: accumulator >= value,
                        _ANY_BIT: bool(accumulator & value),
                    }[code]
            self.ran.add((place, taken))
            if code in {_EQUAL, _AT_LEAST, _ANY_BIT}:
                place += yes if taken else no
            place += 1


def _signed(number: int) -> int:
    return number - (1 << 32) if number >= 1 << 31 else number
