"""Structured logs: one JSON object a line, or coloured text on a terminal. Payloads are never logged.

Every line carries the service and, inside a call, the syscall, agent, tenant and trace.
"""

import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import orjson

from services.chassis.auth.identity import caller_or_none

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
STYLES: Final = ("auto", "json", "console")

_COLOURS = {"DEBUG": "\x1b[2m", "WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31;1m"}

_SHOWN = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_SHOWN_LINES = {code: shown for code, shown in _SHOWN.items() if chr(code) != "\n"}

# Libraries whose normal events say nothing about this process.
_CHATTY = ("alembic.runtime.plugins", "asyncio", "mcp")

# What a migration says of itself whether or not there is anything to do.
_PREAMBLE = ("Context impl ", "Will assume ")


class Log:
    """A logger of events with fields: `log.info("note swapped", note="n1", bytes=12)`."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: object) -> None:
        """Log what only a developer wants to know."""
        self._emit(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log a normal event."""
        self._emit(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log something wrong that the process copes with."""
        self._emit(logging.WARNING, event, fields)

    def error(self, event: str, *, exc: BaseException | None = None, **fields: object) -> None:
        """Log something wrong that somebody must look at; `exc` adds its traceback."""
        self._emit(logging.ERROR, event, fields, exc)

    def _emit(
        self, level: int, event: str, fields: dict[str, object], exc: BaseException | None = None
    ) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", event, extra={"aios_fields": fields}, exc_info=exc)


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "event": record.getMessage(),
            "logger": record.name,
        }
        told = {**_call_fields(), **getattr(record, "aios_fields", {})}
        # A field of an event never passes for what every line has.
        line |= {f"{name}_" if name in line else name: value for name, value in told.items()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class ConsoleFormatter(logging.Formatter):
    """Formats a record for a person, with colours where a terminal shows them."""

    def __init__(self, service: str, *, colours: bool = True) -> None:
        super().__init__()
        self._service = service
        self._colours = _COLOURS if colours else {}

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        fields = {**_call_fields(), **getattr(record, "aios_fields", {})}
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S.%f")[:-3]
        text = f"{time} {self._service:<9} {record.levelname.lower():<7} {record.getMessage()}"
        text += "".join(f" {key}={value}" for key, value in fields.items())
        text = text.translate(_SHOWN)  # a caller's words must not steer the terminal, nor pass for a line
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info).translate(_SHOWN_LINES)
        colour = self._colours.get(record.levelname)
        return f"{colour}{text}\x1b[0m" if colour else text


def logger(name: str) -> Log:
    """Return the logger of a module."""
    return Log(name)


def configure(
    service: str, *, level: str = "info", style: str = "auto", stream: TextIO | None = None
) -> None:
    """Send all logs of the process to `stream` (standard error) in `style`: auto, json or console."""
    stream = stream or sys.stderr
    console = style == "console" or (style == "auto" and stream.isatty())
    formatter = ConsoleFormatter(service, colours=stream.isatty()) if console else JsonFormatter(service)
    handler = logging.StreamHandler(stream)
    handler.addFilter(_tells)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # A level that is none is refused with the rest of the configuration, which is told in these logs.
    root.setLevel(level.upper() if level.lower() in LEVELS else "INFO")
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _tells(record: logging.LogRecord) -> bool:
    return record.name != "alembic.runtime.migration" or not record.getMessage().startswith(_PREAMBLE)


def _call_fields() -> dict[str, Any]:
    caller = caller_or_none()
    if caller is None:
        return {}
    return {
        "syscall": caller.syscall_id,
        "agent": caller.agent,
        "tenant": caller.tenant,
        "trace": caller.trace_id,
    }
