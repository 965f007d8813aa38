"""Configuration of the gateway, read from `AIOS_GATEWAY_*`, `AIOS_TGI_*` and `AIOS_OPENAI_*`."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from gateway.inference.backends.openai.dialect import DIALECTS
from gateway.inference.core.prompt_length import LONGEST_TOKEN_BYTES
from services.chassis.quotas import Cap


@dataclass(frozen=True, kw_only=True, slots=True)
class GatewayConfig:
    """Limits of one gateway process."""

    quota_generations: Cap = Cap.of(256)
    """Generations that may wait or run at once."""

    console: str = "auto"
    """Whether the door serves the web console below /console/: on, off, or auto, which is on where the door
    listens on loopback and where AIOS_GATEWAY_CONSOLE_ORIGINS names an address for it."""

    default_max_tokens: int = 512
    """Largest answer when the caller names none. Unit: tokens."""

    checkpoint_tokens: int = 256
    """A running generation is saved every so many tokens, but not more often than the pause allows."""

    checkpoint_seconds: timedelta = timedelta(seconds=2)
    """It is saved after so long, too, if it brought tokens."""

    checkpoint_pause_seconds: timedelta = timedelta(seconds=0.5)
    """Least time between two saves, and before the first; a call that ends earlier is not saved."""

    keep_finished_seconds: timedelta = timedelta(seconds=300)
    """How long a finished generation can be asked for again."""

    keep_finished_bytes: int = 256 * 2**20
    """Memory of all finished generations that can be asked for again; the oldest go first. A tenant may use
    half of it, an agent an eighth."""

    refusals_per_second: float = 50.0
    """Refusals of one tree of agents, or of one address without a credential, that are answered a second.

    What comes faster is answered later, two seconds at most; 0 answers all at once.
    """

    brisk_calls: int = 64
    """DATA calls that soon have their one answer and are forwarded at once."""

    brisk_calls_per_tenant: int = 48
    """Of these, those of one tenant; more of them wait."""

    brisk_calls_per_tree: int = 8
    """Of these, those of one agent and its descendants; more of them wait, and keep nobody else waiting."""

    data_calls: int = 256
    """Other DATA calls, streams above all, that are forwarded at once."""

    data_calls_per_tenant: int = 192
    """DATA calls of one tenant that are forwarded at once; more of them wait."""

    data_calls_per_tree: int = 64
    """DATA calls of one agent and its descendants that are forwarded at once; more of them wait."""

    data_calls_per_agent: int = 32
    """DATA calls of one agent that are forwarded at once; more of them wait."""

    control_calls: int = 256
    """CONTROL calls of agents that are forwarded at once; administrators have places of their own."""

    control_calls_per_tenant: int = 192
    """CONTROL calls of one tenant's agents that are forwarded at once; more of them wait."""

    control_calls_per_tree: int = 8
    """CONTROL calls of one agent and its descendants that are forwarded at once; more of them wait."""

    control_calls_per_agent: int = 8
    """CONTROL calls of one agent that are forwarded at once; more of them wait."""

    tool_calls_per_tenant: int = 10_000
    """TOOL calls of one tenant that are forwarded at once; more are refused."""

    tool_calls_per_tree: int = 1024
    """TOOL calls of one agent and its descendants that are forwarded at once; more are refused."""

    tool_calls_per_agent: int = 256
    """TOOL calls of one agent that are forwarded at once; more are refused. They wait in the scheduler."""

    waiting_calls_per_tenant: int = 10_000
    """DATA calls of one tenant that may wait at the gate, and as many CONTROL calls; more are refused."""

    waiting_calls_per_tree: int = 1024
    """DATA calls of one agent and its descendants that may wait at the gate, and as many CONTROL calls."""

    waiting_calls_per_agent: int = 256
    """DATA calls of one agent that may wait at the gate, and as many CONTROL calls; more are refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendConfig:
    """The inference servers behind the gateway."""

    endpoints: tuple[str, ...] = ("http://127.0.0.1:7079",)
    """Base URLs of the TGI replicas."""

    api_key: str = field(default="", repr=False)
    """Key that the replicas ask for. Default: none."""

    api_key_file: Path | None = None
    """File that holds this key instead."""

    slots: int = 0
    """Calls that one replica runs at once. Default: what it declares, or 64."""

    batch_tokens: int = 0
    """Tokens that the calls of one replica may hold together. Default: slots times the window."""

    longest_token_bytes: int = LONGEST_TOKEN_BYTES
    """Bytes of the longest token, on replicas that do not tell it: prompts that are too long whatever their
    tokens are refused unread. 0: none is."""

    token_timeout_seconds: timedelta = timedelta(seconds=60)
    """Longest silence between two tokens before a replica counts as stalled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenAiBackendConfig:
    """Inference servers that speak the OpenAI protocol: vLLM, SGLang, llama.cpp, Ollama and others."""

    endpoints: tuple[str, ...] = ()
    """Base URLs of the replicas, with or without `/v1`; `#name` behind one chooses one of several models.
    Setting it without AIOS_TGI_ENDPOINTS leaves TGI out."""

    api_key: str = field(default="", repr=False)
    """Key that the replicas ask for. Default: none."""

    api_key_file: Path | None = None
    """File that holds this key instead."""

    model: str = ""
    """Model to use on endpoints that name none. Default: the first that the server lists."""

    dialect: str = ""
    """Kind of the servers: vllm, sglang, llamacpp, ollama or plain. Default: what each calls itself."""

    window_tokens: int = 0
    """Longest prompt and answer of one call. Default: what the server declares, or 4096."""

    slots: int = 0
    """Calls that one replica runs at once. Default: what it declares, or 64 for vllm and sglang,
    16 for plain, 1 for llamacpp and ollama."""

    batch_tokens: int = 0
    """Tokens that the calls of one replica may hold together. Default: only the slots limit them."""

    longest_token_bytes: int = LONGEST_TOKEN_BYTES
    """Bytes of the longest token: prompts that are too long whatever their tokens are refused unread, where
    the window is known. 0: none is."""

    native_tools: bool = True
    """Whether the servers tell tool calls apart from text. Set it to false for a vLLM without a tool parser:
    tools are then shown and called as text."""

    token_timeout_seconds: timedelta = timedelta(seconds=60)
    """Longest silence between two tokens before a replica counts as stalled."""

    def __post_init__(self) -> None:
        """Check the dialect."""
        if self.dialect and self.dialect not in DIALECTS:
            raise ValueError(f"dialect must be one of {', '.join(DIALECTS)}")
