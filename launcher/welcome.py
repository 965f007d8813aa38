"""What `aios up` says about the models and the doors of a kernel. Pure."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aios.cli.terminal import line
from launcher.backends import CODING_WINDOW, BackendProblem, Serving
from launcher.plan import DEFAULT_BASE_PORT, KernelPlan


def models(
    plan: KernelPlan, found: Sequence[Serving | BackendProblem], *, then: str = "; the kernel goes on asking"
) -> list[str]:
    """Say which model answers behind each server, and what is wrong with those where none does.

    `then`: what is done about those.
    """
    told = []
    for each in found:
        if isinstance(each, BackendProblem):
            told.append(line(f"no model: {each}{then}"))
            continue
        told.append(line(f"model {each.told()}"))
        if not each.chat_template:
            told.append(f"  {_NO_TEMPLATE}")
        if 0 < each.window < CODING_WINDOW:
            told.append(f"  {_too_short(plan)}")
    return told


_NO_TEMPLATE: Final = (
    "the model's file has no chat template: it is no chat model, or lost it; chats are written in the "
    "engine's own way and may read badly: take an instruction-tuned GGUF"
)


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


def addresses(plan: KernelPlan, seconds: float, usual_data_dir: Path) -> list[str]:
    """Say where the kernel is, and how clients become agents of it.

    `usual_data_dir`: where commands look for keys unless told otherwise.
    """
    words = _settings_words(plan, usual_data_dir)
    command = " ".join([*words, "aios env AGENT"])
    token = f"administrator's token in {plan.admin_token_file}"
    trust = [f"TLS: clients trust {plan.authority.file}, commands by AIOS_CA_FILE"] if plan.tls else []
    return [
        f"aios is up at {plan.gateway} after {seconds:.1f} s; {token}",
        *trust,
        f'OpenAI, Anthropic and MCP clients: {plan.door}; their variables: eval "$({command})"',
        f"web console: {plan.door}/console/; signed in: {' '.join([*words, 'aios console --open'])}",
    ]


def next_steps(plan: KernelPlan, usual_data_dir: Path) -> list[str]:
    """Say what to try next, in another terminal, as lines that can be copied whole."""
    words = _settings_words(plan, usual_data_dir)
    return [
        "next, in another terminal:",
        *([f"  export {' '.join(words)}"] if words else []),
        '  aios chat "Say hello to Mira."   # one answer of the model',
        "  aios console --open              # the web console, signed in",
        "  aios ps                          # agents, and what they run and wait for",
        "  aios logs --follow               # what the processes write",
        "  aios doctor                      # is everything in order, and what to do if not",
        "  aios down                        # ends this kernel, as Ctrl-C does here",
    ]


def _settings_words(plan: KernelPlan, usual_data_dir: Path) -> list[str]:
    """Return the variables that a command needs to find this kernel, as a shell takes them."""
    elsewhere = {}
    if plan.base_port != DEFAULT_BASE_PORT:
        elsewhere["AIOS_ENDPOINT"] = plan.gateway
    if plan.data_dir != usual_data_dir:
        elsewhere["AIOS_DATA_DIR"] = str(plan.data_dir)
    if plan.tls:
        elsewhere["AIOS_CA_FILE"] = str(plan.authority.file)
    return [f"{name}={shlex.quote(value)}" for name, value in elsewhere.items()]
