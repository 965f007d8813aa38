"""Settings of one tgi-local process, read once from the environment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from services.chassis.runtime.http_hosts import is_loopback
from services.tgi_local.core.window import MOST_SLOTS

DEMO_MODEL: Final = Path(__file__).parent / "demo_model" / "aios-demo.gguf"
_PREFIX: Final = "AIOS_TGI_LOCAL_"
MOST_CTX: Final = 1_048_576
LEAST_KEY: Final = 16
"""Characters of a key: fewer could be guessed."""
_MAX_PORT: Final = 65_535


class ConfigError(Exception):
    """Settings are wrong; the message lists every problem, one a line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TgiLocalConfig:
    """Each field is `AIOS_TGI_LOCAL_<NAME>`, except `model`: `AIOS_MODEL`."""

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: int = 7079
    """Port to listen on; 0 lets the system choose."""

    api_key_file: Path | None = None
    """File with the key that every call but the health checks must show as a bearer token. Needed to listen
    on more than loopback; without one, every process of this machine may use the engine."""

    api_key: str = field(default="", repr=False)
    """The same key itself, where there is no file."""

    names: tuple[str, ...] = ()
    """Names by which callers may call it in `Host`, beside loopback's and the address it is bound to."""

    model: str = str(DEMO_MODEL)
    """A GGUF file, or `hf:<owner>/<repository>/<file>` to fetch it from the Hugging Face hub."""

    slots: int = 0
    """Generations at the same time; each slot has its own KV cache. 0: 8, and fewer where the window would
    else be less than 16,384 tokens and the model's."""

    ctx: int = 0
    """Tokens of prompt and answer in one slot. 0: the model's own context, if memory holds that much."""

    kv_max_bytes: int = 0
    """Memory of all KV caches together, where `ctx` is 0. 0: half of what is free beside the model's file."""

    threads: int = 1
    """Engine threads. More than 1 helps only on otherwise idle cores."""

    exact: bool = True
    """Compute every token alone, so that rounding never depends on what runs beside it: greedy output is then
    the same, bit for bit, however it is interrupted. Costs a second KV cache a slot and slower prompts."""

    max_concurrent: int = 128
    """Requests, running and waiting, before further ones are refused with 429."""

    data_dir: Path = Path.home() / ".local" / "share" / "aios" / "tgi-local"
    """The engine's socket and the snapshots; one process owns it. With AIOS_DATA_DIR set: under that."""

    snapshot_max_bytes: int = 256 * 1024 * 1024
    """Largest single KV snapshot kept, in bytes."""

    snapshot_total_bytes: int = 2 * 1024 * 1024 * 1024
    """All KV snapshots together, in bytes; the least recently used goes first."""

    snapshot_ttl: timedelta = timedelta(hours=1)
    """How long a KV snapshot may be restored, in seconds."""

    snapshot_collect_every: timedelta = timedelta(minutes=1)
    """Time between two rounds that delete KV snapshots that are too old, in seconds."""

    drain: timedelta = timedelta(seconds=30)
    """How long running requests may take to finish after SIGTERM, in seconds."""

    keep_alive: timedelta = timedelta(seconds=15)
    """Time between comment lines on a silent stream, in seconds."""


def load(environ: Mapping[str, str]) -> TgiLocalConfig:
    """Read the settings. Raises ConfigError with all problems at once: bad values and unknown names."""
    problems: list[str] = []
    values: dict[str, Any] = {}
    if environ.get("AIOS_DATA_DIR"):
        values["data_dir"] = Path(environ["AIOS_DATA_DIR"]) / "tgi-local"
    known = {_variable(f.name): f for f in fields(TgiLocalConfig)}
    for name, raw in sorted(environ.items()):
        if name in known:
            setting = known[name]
            try:
                values[setting.name] = _PARSERS[setting.type](raw)
            except ValueError as error:
                problems.append(f"{name}={raw!r}: {error}")
        elif name.startswith(_PREFIX):
            problems.append(f"{name}: no such setting")
    problems += _read_key(values)
    config = TgiLocalConfig(**values)
    problems += _range_problems(config)
    if problems:
        raise ConfigError("\n".join(problems))
    return config


def _variable(field: str) -> str:
    return "AIOS_MODEL" if field == "model" else _PREFIX + field.upper()


def _read_key(values: dict[str, Any]) -> list[str]:
    """Put the key from its file into the values. Returns what is wrong with it."""
    path = values.get("api_key_file")
    if path is None:
        return []
    if values.get("api_key"):
        return [f"{_PREFIX}API_KEY: set it or {_PREFIX}API_KEY_FILE, not both"]
    try:
        values["api_key"] = path.read_text().strip()
    except (OSError, ValueError) as error:
        return [f"{_PREFIX}API_KEY_FILE: {error}"]
    return [] if values["api_key"] else [f"{_PREFIX}API_KEY_FILE: the file is empty"]


def _range_problems(config: TgiLocalConfig) -> list[str]:
    checks = [
        (
            "host",
            bool(config.api_key) or is_loopback(config.host),
            "others reach this address: set a key (AIOS_TGI_LOCAL_API_KEY_FILE), or listen on 127.0.0.1",
        ),
        ("port", 0 <= config.port <= _MAX_PORT, "must be between 0 and 65535"),
        ("slots", 0 <= config.slots <= 256, "must be between 0 and 256"),  # noqa: PLR2004 - plain range
        ("slots", not config.exact or config.slots <= 127, "must be at most 127 where exact"),  # noqa: PLR2004 - the engine has 256 sequences
        ("ctx", config.ctx == 0 or 16 <= config.ctx <= MOST_CTX, f"must be 0, or between 16 and {MOST_CTX}"),  # noqa: PLR2004 - plain range
        ("kv_max_bytes", config.kv_max_bytes >= 0, "must not be negative"),
        ("threads", 1 <= config.threads <= 512, "must be between 1 and 512"),  # noqa: PLR2004 - plain range
        (
            "max_concurrent",
            config.max_concurrent >= (config.slots or MOST_SLOTS),
            "must be at least the number of slots",
        ),
        ("snapshot_max_bytes", config.snapshot_max_bytes >= 0, "must not be negative"),
        ("snapshot_total_bytes", config.snapshot_total_bytes >= 0, "must not be negative"),
        ("snapshot_ttl", config.snapshot_ttl > timedelta(), "must be positive"),
        ("snapshot_collect_every", config.snapshot_collect_every > timedelta(), "must be positive"),
        ("drain", config.drain >= timedelta(), "must not be negative"),
        ("keep_alive", config.keep_alive > timedelta(), "must be positive"),
        ("model", bool(config.model), "must not be empty"),
    ]
    told = [f"{_variable(name)}={getattr(config, name)}: {rule}" for name, holds, rule in checks if not holds]
    key = config.api_key
    if key and (len(key) < LEAST_KEY or not (key.isascii() and key.isprintable() and " " not in key)):
        told.append(f"the key must be {LEAST_KEY} printable ASCII characters or more, without blanks")
    return told


def _seconds(raw: str) -> timedelta:
    try:
        return timedelta(seconds=float(raw))
    except OverflowError as error:
        raise ValueError("too long a time") from error


def _switch(raw: str) -> bool:
    if raw.lower() not in {"true", "false"}:
        raise ValueError("must be true or false")
    return raw.lower() == "true"


_PARSERS: Final[Mapping[object, Callable[[str], Any]]] = {
    str: str,
    int: int,
    bool: _switch,
    tuple[str, ...]: lambda raw: tuple(each.strip() for each in raw.split(",") if each.strip()),
    Path | None: lambda raw: Path(raw).expanduser() if raw else None,
    Path: lambda raw: Path(raw).expanduser(),
    timedelta: _seconds,
}
