"""Configuration of the context manager, from `AIOS_CONTEXT_*`."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from services.chassis.quotas import Cap


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextConfig:
    """Limits of one context manager. Read once, at start."""

    quota_contexts: Cap = Cap.of(1_000)
    """Contexts."""

    quota_messages: Cap = Cap.of(1_000_000)
    """Messages, each context counted as if it shared nothing."""

    quota_context_bytes: Cap = Cap.of(256 * 1024 * 1024)
    """Bytes of messages, each context counted as if it shared nothing. Unit: bytes."""

    quota_snapshots: Cap = Cap.of(1_000)
    """Saved generations."""

    quota_snapshot_bytes: Cap = Cap.of(256 * 1024 * 1024)
    """What saved generations take. Unit: bytes."""

    quota_replies: Cap = Cap.of(1_000_000)
    """Answers remembered for repeated requests, each kept for a day; charged to who asked."""

    max_messages: int = 10_000
    """Messages of one context."""

    max_pinned: int = 500
    """Pinned messages of one context."""

    default_window: int = 8_192
    """Window when neither request, context nor model tells its size. Unit: tokens."""

    summary_tokens: int = 512
    """Longest summary in a window, and at most a quarter of its room. Unit: tokens."""

    summary_time: timedelta = timedelta(seconds=30)
    """Longest time that making one window's summary may take; then the oldest messages are dropped instead.
    Unit: seconds."""

    summary_class: str = "batch"
    """Scheduling class of the inference that writes summaries: batch or idle."""

    max_waiting_windows: int = 64
    """Windows that may wait for a summary or for notes at once; a further one drops its oldest messages.
    Keep it well below AIOS_GATEWAY_DATA_CALLS: each holds one of those, and needs further ones."""

    max_waiting_windows_per_agent: int = 8
    """The same, of one agent."""

    max_waiting_windows_per_tree: int = 16
    """The same, of one agent and its descendants."""

    max_waiting_windows_per_tenant: int = 32
    """The same, of one tenant."""

    max_snapshot_bytes: int = 4 * 1024 * 1024
    """Bytes of one snapshot; at most 4 MiB, which is what one answer holds."""

    snapshot_life: timedelta = timedelta(hours=1)
    """Life of an unfinished generation's snapshot, from its last save. Unit: seconds."""

    finished_snapshot_life: timedelta = timedelta(minutes=10)
    """Life of a finished generation's snapshot. Unit: seconds."""

    snapshot_keys: tuple[str, ...] = field(default=(), repr=False)
    """Keys that the contents of snapshots are encrypted with, each ID=BASE64 of 32 bytes. The first encrypts,
    all decrypt. None: nothing is encrypted. Prefer snapshot_keys_file: an environment is easily seen."""

    snapshot_keys_file: Path | None = None
    """File with further such keys, one a line, read at start; they come after those of snapshot_keys."""

    encrypt_snapshots: bool = True
    """Whether new contents are encrypted when there are keys. Old ones stay readable either way."""

    collect_every: timedelta = timedelta(seconds=30)
    """Time between two rounds that forget expired snapshots. Unit: seconds."""

    def __post_init__(self) -> None:
        if not 0 < self.max_snapshot_bytes <= 4 * 1024 * 1024:
            raise ValueError("max_snapshot_bytes must be 1 to 4194304")
        if self.summary_class not in {"batch", "idle"}:
            raise ValueError("summary_class must be batch or idle")
        if self.summary_tokens < 1:
            raise ValueError("summary_tokens must be 1 or more")
        if self.collect_every <= timedelta(0):
            raise ValueError("collect_every must be more than 0 seconds")
