"""What one attempt of a call has learned of secrets, and that nothing it tells shows them.

Drivers redact by themselves what they know better, such as a session that several calls share. This is the
net below all of them: what a driver resolves while it runs a call is taken out of all that the call tells.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Final

from services.chassis.rpc.errors import KernelError
from services.chassis.runtime.logs import logger
from services.tool.core.redaction import RedactedProgress, Redactor, redacted, redacted_error
from services.tool.core.schemas import is_small
from services.tool.core.secrets import Secret
from services.tool.errors import ToolFailed
from services.tool.model import Progress, ToolOutcome

_log = logger(__name__)

_ATTEMPT: ContextVar["Secrecy | None"] = ContextVar("aios_tool_secrecy", default=None)
_SMALL_TEXT: Final = 16_384
"""Characters of a text that are searched in a moment."""


class Secrecy:
    """The secrets that one attempt has resolved so far."""

    def __init__(self) -> None:
        self._secrets: list[Secret] = []
        self._redactor = Redactor(())
        self._progress = RedactedProgress(self._redactor)
        self._passed = ""
        """Output that was kept back before the last secret became known."""

    @property
    def redactor(self) -> Redactor:
        """Takes out the values of what was resolved so far."""
        return self._redactor

    def learn(self, secrets: Iterable[Secret]) -> None:
        """Note secrets that were resolved."""
        self._secrets += secrets
        self._passed += self._progress.rest()
        self._redactor = Redactor(self._secrets)
        self._progress = RedactedProgress(self._redactor)

    def progress(self, told: Progress) -> Progress:
        """Return progress without the values."""
        clean = self._progress.told(told)
        before, self._passed = self._passed, ""
        return replace(clean, partial_output=before + clean.partial_output) if before else clean

    def rest(self) -> str:
        """Return the end of the output, which was kept back."""
        before, self._passed = self._passed, ""
        return before + self._progress.rest()

    async def run(self, work: Callable[[], Awaitable[ToolOutcome]]) -> ToolOutcome:
        """Return the outcome of work without the values. Raises what `work` does, without them too."""
        try:
            outcome = await work()
        except KernelError as error:
            if not self._secrets:
                raise
            raise redacted_error(error, self._redactor) from None
        except Exception as error:
            if not self._secrets:
                raise
            # Its text and traceback may show what was being sent.
            _log.error("a tool with secrets failed unexpectedly", kind=type(error).__name__)
            raise ToolFailed("the tool failed unexpectedly") from None
        if not self._secrets:
            return outcome
        if _is_small(outcome):
            return redacted(outcome, self._redactor)
        return await asyncio.to_thread(redacted, outcome, self._redactor)


@contextmanager
def secrecy() -> Iterator[Secrecy]:
    """Let what is resolved within, also in tasks that are begun within, be known."""
    made = Secrecy()
    token = _ATTEMPT.set(made)
    try:
        yield made
    finally:
        _ATTEMPT.reset(token)


def learned(secrets: Iterable[Secret]) -> None:
    """Note secrets that the running attempt has resolved, if there is one."""
    attempt = _ATTEMPT.get()
    if attempt is not None:
        attempt.learn(secrets)


def _is_small(outcome: ToolOutcome) -> bool:
    details = outcome.error.details_json if outcome.error is not None else ""
    texts = sum(len(part.text) + len(part.data_base64) for part in outcome.pieces) + len(details)
    return texts < _SMALL_TEXT and is_small(outcome.value)
