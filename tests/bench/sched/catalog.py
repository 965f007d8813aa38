"""Everything that is compared: the drivers by name, and the sizes of the workloads."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from services.scheduler.core.policies import PolicyRegistry
from tests.bench.sched.aios import Aios, Setup
from tests.bench.sched.drivers import Barrier, OneAtATime, Oracle, PassThrough
from tests.bench.sched.engine import Driver

LOADS: Final = (0.5, 0.8, 1.0, 1.5)
"""Multiples of FIFO's knee."""

SIZES: Final[Mapping[str, int]] = {"mooncake": 600, "azure": 1500, "mint": 500, "mixed": 900, "bursty": 1500}
"""Programs of one run."""

RESTARTING: Final = "reference-rr-restarts"
HORIZON_WINDOWS: Final = 3.0
"""A driver that never ends is cut off after so many times the span of the arrivals."""

BASELINES: Final[Mapping[str, Callable[[], Driver]]] = {
    "fifo": PassThrough,
    "barrier": Barrier,
    "reference-fifo": partial(Barrier, pause=1.1),
    "reference-rr": partial(OneAtATime, restarts=False),
    RESTARTING: partial(OneAtATime, restarts=True),
    "oracle-sjf": partial(Oracle, preempts=False),
    "oracle-srpt": partial(Oracle, preempts=True),
}

VARIANTS: Final[Mapping[str, Setup]] = {
    "aios:adaptive+lane25": Setup("adaptive", lane_share=0.25),
    "aios:adaptive+nolane": Setup("adaptive", lane_share=0.0),
    "aios:adaptive+uninformed": Setup("adaptive", informed=False),
    "aios:adaptive+preempt": Setup("adaptive", {"preempt": True}),
    "aios:las+preempt": Setup("las", {"preempt": True}),
}

MEANING: Final[Mapping[str, str]] = {
    "fifo": "TGI alone: every call is sent at once and waits in the server's strict queue",
    "barrier": "the reference's FIFO without its pauses: a batch starts when the one before has ended",
    "reference-fifo": "the same with the reference's 1.0 s interval and 0.1 s poll",
    "reference-rr": "the reference's round robin as meant: one call at a time, slices of 1 s, nothing lost",
    RESTARTING: "the same as measured: every slice restarts at zero; cut off at 3 times the arrivals' span",
    "oracle-sjf": "shortest work first with true lengths and the server's true cache",
    "oracle-srpt": "the same, stopping running calls when that pays",
    "aios:adaptive+lane25": "the default policy with a lane share of 25 % instead of 15 %",
    "aios:adaptive+nolane": "the default policy without its lane: what that guarantee costs",
    "aios:adaptive+uninformed": "the gateway tells no shared prefixes and the backend no cached tokens",
    "aios:adaptive+preempt": "the default policy with its parameter `preempt`",
    "aios:las+preempt": "`las` with its parameter `preempt`",
}

QUICK_DRIVERS: Final = (
    "fifo",
    "barrier",
    "oracle-sjf",
    "aios:adaptive",
    "aios:adaptive+lane25",
    "aios:adaptive+nolane",
    "aios:adaptive+uninformed",
    "aios:fifo",
    "aios:sjf",
)


def drivers() -> tuple[str, ...]:
    """Names of all drivers: the baselines, every registered policy at its defaults, the variants."""
    policies = tuple(f"aios:{name}" for name in PolicyRegistry().names)
    return (*BASELINES, *policies, *VARIANTS)


def driver(name: str) -> Driver:
    """Make a driver. Raises KeyError for an unknown name."""
    if name in BASELINES:
        return BASELINES[name]()
    if name in VARIANTS:
        return Aios(VARIANTS[name])
    kind, policy = name.split(":")
    if kind != "aios" or policy not in PolicyRegistry().names:
        raise KeyError(name)
    return Aios(Setup(policy))
