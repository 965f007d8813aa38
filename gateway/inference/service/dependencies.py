"""What the runners of generations share: the ports they work with, and their limits."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from gateway.inference.ports import ConstraintJudge, Dispatcher, InferenceMetrics
from gateway.inference.service.replicas import ReplicaPool
from gateway.inference.service.tokenizing import TokenizingGate
from services.chassis.runtime.clock import Clock


@dataclass(frozen=True, kw_only=True, slots=True)
class RunnerConfig:
    """Limits of a generation."""

    default_max_tokens: int = 512
    checkpoint_tokens: int = 256
    """A running generation is saved every so many tokens, but not more often than the pause allows."""
    checkpoint_seconds: float = 2.0
    """It is saved after so many seconds, too, if it brought tokens."""
    checkpoint_pause: float = 0.5
    """Least time between two saves, and before the first. Unit: seconds."""
    progress_tokens: int = 8
    """Progress is reported to the scheduler when there are so many tokens to tell of"""
    progress_seconds: float = 0.5
    """and so many seconds have passed since the last report;"""
    quantum_seconds: float = 0.02
    """after so many as soon as the quantum of its grant is used up."""
    max_failures: int = 6
    """Failures in a row without a single new token after which the generation fails."""
    failure_pause: float = 0.1
    """Pause after the first failure, doubled with each. Unit: seconds."""
    suspend_timeout: float = 5.0
    """Longest time a backend may take to keep a run's state. Unit: seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependencies:
    """The ports a runner works with."""

    pool: ReplicaPool
    dispatcher: Dispatcher
    judge: ConstraintJudge
    tokenizing: TokenizingGate
    metrics: InferenceMetrics
    clock: Clock
    config: RunnerConfig
    spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    """Starts a supervised background task."""
