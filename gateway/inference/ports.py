"""What inference needs from the world: backends, grants, a place for checkpoints, metrics. Pure."""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from gateway.inference.core.questions import Calls, Keeping, Question
from gateway.inference.model import (
    BackendRequest,
    Checkpoint,
    Constraint,
    KvState,
    Prompt,
    ReplicaInfo,
    StreamItem,
)
from services.chassis.chat import ChatMessage, ToolDefinition
from services.chassis.dispatch.scheduling import Completion, DispatchGrant, Interrupt, Submission


class Backend(Protocol):
    """One replica of an inference server. Failures are the errors of gateway.inference.errors."""

    @property
    def name(self) -> str:
        """Name of the replica, the same in every gateway."""
        ...

    async def info(self) -> ReplicaInfo:
        """Ask what it serves and holds."""
        ...

    async def healthy(self) -> bool:
        """Ask whether it takes calls."""
        ...

    async def queue_size(self) -> int | None:
        """Ask how many calls wait inside it; None where it does not tell. Never raises BackendError."""
        ...

    async def render(self, messages: Sequence[ChatMessage], tools: Sequence[ToolDefinition] = ()) -> Prompt:
        """Apply the model's chat template; where `chat_prompts` is declared, only count.

        Nothing that the messages hold becomes a special token.
        `tools` only where `native_tools` is declared.
        """
        ...

    async def measure(self, text: str, *, content: bool = False) -> Prompt:
        """Split a text into tokens, without a template.

        `content`: it is what a message holds, in which nothing is a special token.
        """
        ...

    def stream(self, job: BackendRequest) -> AsyncGenerator[StreamItem, None]:
        """Generate; ends with exactly one Stopped. Closing the generator frees the backend at once.

        A job with `emitted_text` is gone on with only where `continues_text` is declared.
        """
        ...

    async def suspend(self, run_id: str) -> KvState | None:
        """Stop a run at a token boundary and keep its state; its stream ends with SUSPENDED.

        Only where `kv_snapshot` is declared. None: it was not running, or nothing could be kept.
        """
        ...

    async def forget(self, kv: KvState) -> None:
        """Drop a kept state. Idempotent."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Ticket(Protocol):
    """One call in the scheduler's hands, from its submission to its end."""

    async def granted(self) -> DispatchGrant:
        """Wait for the next grant. Raises the KernelError that says why there is none."""
        ...

    async def interrupted(self) -> Interrupt:
        """Wait until the scheduler wants the running call back."""
        ...

    def progress(self, tokens: int, cached_prompt_tokens: int | None = None) -> None:
        """Report tokens produced since the last report.

        `cached_prompt_tokens`: once a run, if the backend tells it.
        """
        ...

    def yielded(self, tokens_done: int, *, replica_lost: bool, kv_replica: str = "") -> None:
        """Give the slot back and wait again; `tokens_done`: all that it has produced."""
        ...

    def ended(
        self, completion: Completion, tokens_done: int, cached_prompt_tokens: int | None = None
    ) -> None:
        """End the call, whether it waits, runs or was revoked, and tell the scheduler. Idempotent.

        `tokens_done`: all that it has produced. `cached_prompt_tokens`: as in `progress`.
        """
        ...


class Dispatcher(Protocol):
    """The scheduler as the gateway sees it."""

    def submit(self, call: Submission) -> Ticket:
        """Put a call into the queue."""
        ...

    def announce(self, replica: str, info: ReplicaInfo, *, up: bool, queue_size: int | None = None) -> None:
        """Tell what a replica can take, and how many calls were seen to wait inside it; None: not known."""
        ...


class CheckpointStore(Protocol):
    """Where unfinished generations are kept for other gateways; scoped to one agent by its credential."""

    async def save(self, checkpoint: Checkpoint) -> None:
        """Keep the newest state of a generation."""
        ...

    async def load(self, call: str) -> Checkpoint | None:
        """Read the newest state, or None."""
        ...

    async def delete(self, call: str) -> None:
        """Drop the state of a generation that has ended. Idempotent."""
        ...


class CompiledConstraint(Protocol):
    """A predicate over finished output, and what a backend must be able to do to keep to it."""

    @property
    def recursive(self) -> bool:
        """Whether it is a schema that refers to itself."""
        ...

    @property
    def any_root(self) -> bool:
        """Whether it is a schema whose root is not plainly an object with properties."""
        ...

    @property
    def root_choice(self) -> bool:
        """Whether it is a choice of schemas, by `anyOf` at the root."""
        ...

    def __call__(self, output: str) -> bool:
        """Tell whether a whole output keeps the constraint."""
        ...


class ConstraintChecker(Protocol):
    """Compiles constraints before they reach a backend and checks what comes out."""

    def compile(self, constraint: Constraint) -> CompiledConstraint:
        """Return a predicate over finished output. Raises ConstraintInvalid."""
        ...

    def compile_tools(self, tools: Sequence[ToolDefinition]) -> Callable[[str, str], bool]:
        """Return a predicate over calls, by name and JSON text of the arguments. Raises ConstraintInvalid."""
        ...


class ConstraintJudge(Protocol):
    """Answers what outputs are bound to, and whether they kept it, without stopping this process."""

    async def find(self, question: Question) -> Constraint | None:
        """Return what a backend is to be given; None: nothing binds the output.

        Raises ConstraintInvalid, and what stands for too many questions or none to answer them.
        """
        ...

    async def keep(self, question: Question, output: str | None, calls: Calls) -> Keeping:
        """Hold a finished output, and the calls in it, against what a question has been found to mean."""
        ...


class InferenceMetrics(Protocol):
    """What inference records."""

    def waited(self, scheduling_class: str, outcome: str, seconds: float) -> None:
        """Record a wait in the queue that has ended."""
        ...

    def finished(self, scheduling_class: str, outcome: str, seconds: float, tokens: int) -> None:
        """Record a generation that has ended after `seconds` in all."""
        ...

    def first_token(self, scheduling_class: str, seconds: float) -> None:
        """Record the first token of a generation."""
        ...

    def suspended(self, reason: str) -> None:
        """Record that a generation was taken off its backend."""
        ...

    def checkpointed(self, outcome: str) -> None:
        """Record a checkpoint that was saved, or failed to be."""
        ...
