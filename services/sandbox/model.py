"""What is said on the stream of a job, one value for each message. Pure."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from services.chassis.sandbox.terms import SandboxEnd, SandboxJob

PIECE_BYTES: Final = 256 * 1024
"""Most that one piece holds."""

TALK_BYTES: Final = 64 * 1024
"""Most that one message to or from a program holds."""

WINDOW_BYTES: Final = 256 * 1024
"""What either side may have sent to the other that was not taken yet."""


class Part(Enum):
    """What a piece is of."""

    STDIN = "stdin"
    PYTHON = "python"
    FILE = "file"
    STDOUT = "stdout"
    STDERR = "stderr"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True)
class Begin:
    """What is to be run; what it gets is still to come."""

    job: SandboxJob
    talk: bool
    """Whether it is talked to."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of something that a program gets, or left."""

    part: Part
    data: bytes
    path: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """All that the program gets has come."""


@dataclass(frozen=True, slots=True)
class Write:
    """Input of a program that is talked to."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """So many bytes of what was sent were taken."""

    count: int


@dataclass(frozen=True, slots=True)
class Stop:
    """The program is to end."""


@dataclass(frozen=True, slots=True)
class Alive:
    """The caller is there."""


Event = Begin | Piece | Start | Write | Taken | Stop | Alive
"""What the caller says."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The job has its place."""


@dataclass(frozen=True, slots=True)
class Started:
    """A program that is talked to runs."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Output, as it comes."""

    part: Part
    data: bytes


@dataclass(frozen=True, slots=True)
class Output:
    """Output of a program that is talked to; empty: it will write no more."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended; what is kept has come in pieces before."""

    end: SandboxEnd


Answer = Admitted | Started | Heard | Output | Taken | Piece | Ended
"""What the sandbox says."""
