"""What `aios up` says about the models and the doors of a kernel. Pure."""

from collections.abc import Sequence

from aios.cli.terminal import line
from launcher.backends import CODING_WINDOW, BackendProblem, Serving
from launcher.plan import KernelPlan


def models(plan: KernelPlan, found: Sequence[Serving | BackendProblem]) -> list[str]:
    """Say which model answers behind each server, and what is wrong with those where none does."""
    told = []
    for each in found:
        if isinstance(each, BackendProblem):
            told.append(line(f"no model: {each}; the kernel goes on asking"))
            continue
        told.append(line(f"model {each.told()}"))
        if 0 < each.window < CODING_WINDOW:
            told.append(f"  {_too_short(plan)}")
    return told


def _too_short(plan: KernelPlan) -> str:
    cure = (
        "let the server serve a longer one"
        if plan.backends.attached
        else "attach a server with --openai URL, or give --embedded-model FILE.gguf"
    )
    return (
        f"too short a window for coding clients, which send {CODING_WINDOW:,} tokens and more and are told "
        f"context_length_exceeded: {cure}"
    )


def serves(found: Sequence[Serving | BackendProblem]) -> bool:
    """Whether a model answers at all."""
    return any(isinstance(each, Serving) for each in found)


def addresses(plan: KernelPlan, seconds: float) -> list[str]:
    """Say where the kernel is."""
    where = f"administrator's token in {plan.admin_token_file}"
    return [f"aios is up at {plan.gateway} after {seconds:.1f} s; {where}"]
