"""What a round of the demo came to. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from launcher.demo.stage import Act, Done

NEEDED = 0.95
"""Share of right answers below which a round has failed."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures of one round. Times in seconds."""

    tasks: int
    right: int
    waits: Sequence[float]
    turnarounds: Sequence[float]
    tokens: int
    seconds: float
    preemptions: int
    tool_calls: int
    refusals: int
    policy: str

    @property
    def passed(self) -> bool:
        """Whether enough answers are right; that what must be refused was is part of that."""
        return self.right >= NEEDED * self.tasks

    def lines(self) -> list[str]:
        """Write it out."""
        rate = self.tokens / self.seconds if self.seconds else 0.0
        return [
            f"answers    {self.told_right()}",
            f"wait       {_spread(self.waits)}   (a model call's time in the scheduler's queue)",
            f"turnaround {_spread(self.turnarounds)}   (a task, its tools included)",
            f"tokens     {self.tokens} in {self.seconds:.1f} s: {rate:.0f} tokens/s",
            f"kernel     policy {self.policy}",
            f"calls      {self.tool_calls} of tools, {self.refusals} refused; {self.preemptions} preemptions",
        ]

    def told_right(self) -> str:
        """Say how many answers are right; never 100 % when one is not."""
        share = int(1000 * self.right / max(1, self.tasks)) / 10
        return f"{self.right} of {self.tasks} right ({share:.1f} %)"


def summarise(acts: Sequence[Act], seconds: float, policy: str) -> Summary:
    """Add the acts up."""
    done = all_done(acts)
    return Summary(
        tasks=sum(len(act.cast.tasks) for act in acts),
        right=sum(each.right for each in done),
        waits=[wait for act in acts for wait in act.waits],
        turnarounds=[each.turnaround for each in done],
        tokens=sum(act.tokens for act in acts),
        seconds=seconds,
        preemptions=sum(act.preemptions for act in acts),
        tool_calls=sum(act.tool_calls for act in acts),
        refusals=sum(act.refusals for act in acts),
        policy=policy,
    )


def all_done(acts: Sequence[Act]) -> list[Done]:
    """Return what all agents finished."""
    return [each for act in acts for each in act.done]


def wrong(acts: Sequence[Act]) -> list[str]:
    """Tell each wrong answer, and why it is wrong."""
    return [
        f"wrong: {act.cast.name} was asked {done.task.prompt!r} and said {done.answer!r}: {done.fault}"
        for act in acts
        for done in act.done
        if not done.right
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of the values do not exceed (nearest rank); 0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _spread(values: Sequence[float]) -> str:
    p50, p90, p99 = (percentile(values, share) for share in (0.5, 0.9, 0.99))
    return f"p50 {p50:.2f} s, p90 {p90:.2f} s, p99 {p99:.2f} s"
