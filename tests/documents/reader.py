"""A reader: a shell whose variables and folder last, and a second terminal with the kernel."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.documents.blocks import SHELL, Block, bare, commands
from tests.documents.unrun import BLOCKS, COMMANDS, ENDS, GO_ON, ONCE, SERVES, USUAL

_SECONDS: Final = 60.0
_WATCHED_SECONDS: Final = 4.0
_START_SECONDS: Final = 90.0
_END_SECONDS: Final = 30.0
_INTERRUPTED: Final = 130
_SHELL: Final = """\
[ -f "$READER_STATE" ] && . "$READER_STATE"
cd "$READER_FOLDER"
{command}
code=$?
export -p > "$READER_STATE"
exit $code
"""


class NotAsWritten(AssertionError):
    """A document is not true."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did."""

    code: int
    printed: str
    told: str
    """What it wrote to the standard error."""


class Kernel:
    """The kernel in the reader's other terminal."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment = dict(environment)
        self._log = log
        self._command = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, command: str, folder: Path) -> None:
        """Run a command that keeps a kernel up, and wait until it says that it is. Ends the one before."""
        if self.runs and command in USUAL and self._command in USUAL:
            return
        self.stop()
        self._command = command
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=folder,
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        give_up = time.monotonic() + _START_SECONDS
        while "aios is up at" not in (told := self._log.read_text(errors="replace")):
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.stop()
                raise NotAsWritten(f"{command}: no kernel came up\n{told}")
            time.sleep(0.1)

    @property
    def runs(self) -> bool:
        """Whether it is up."""
        return self._process is not None and self._process.poll() is None

    def ended(self) -> None:
        """Wait for its end, which another command has asked for. Raises NotAsWritten if it goes on."""
        try:
            if self._process is not None:
                self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            raise NotAsWritten(f"the kernel still runs after {_END_SECONDS:.0f} s") from None

    def stop(self) -> None:
        """Press Ctrl-C."""
        if self._process is not None:
            _interrupted(self._process)
        self._process = None


class Reader:
    """Follows documents, each from its beginning in a shell of its own."""

    def __init__(self, kernel: Kernel, environment: Mapping[str, str], scratch: Path) -> None:
        self.kernel = kernel
        self._environment = dict(environment) | {"READER_STATE": str(scratch / "state")}
        self._state = scratch / "state"

    def follow(self, found: list[Block], folder: Path, *, again: bool, words: Mapping[str, str]) -> None:
        """Run the blocks of a document in their order. `words` are put in place of the reader's own things.

        Raises NotAsWritten, saying where, when a command fails or prints something else than is shown.
        """
        self._state.unlink(missing_ok=True)
        for block in found:
            if reason_against(block):
                continue
            if block.language == SHELL:
                printed = "".join(
                    self._command(f"{block.document}:{line}", command, folder, again=again, words=words)
                    for line, command in commands(block)
                )
            else:
                printed = self.python(block, folder)
            must_match(block, printed)

    def python(self, block: Block, folder: Path) -> str:
        """Run a piece of code; return what it prints. Raises NotAsWritten."""
        script = folder / block.file if block.file else self._state.with_suffix(".py")
        script.write_text(block.text, encoding="utf-8")
        return self._run(block.place, f"python {script}", folder)

    def _command(
        self, place: str, command: str, folder: Path, *, again: bool, words: Mapping[str, str]
    ) -> str:
        plain = bare(command)
        for word, own in words.items():
            plain = plain.replace(word, own)
        if entry(COMMANDS, plain) or (again and entry(ONCE, plain)):
            return ""
        if plain.startswith(SERVES):
            self.kernel.start(plain, folder)
            return ""
        if plain.startswith(GO_ON):
            return self._watched(place, plain, folder)
        printed = self._run(place, plain, folder)
        if plain == ENDS:
            self.kernel.ended()
        return printed

    def _run(self, place: str, command: str, folder: Path) -> str:
        process = self._opened(command, folder)
        try:
            printed, told = process.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            _interrupted(process)
            raise NotAsWritten(f"{place}: {command}: still runs after {_SECONDS:.0f} s") from None
        if process.returncode:
            shown = f"exit status {process.returncode}\n{printed.decode()}\n{told.decode()}"
            raise NotAsWritten(f"{place}: {command}: {shown}")
        return printed.decode()

    def _watched(self, place: str, command: str, folder: Path) -> str:
        process = self._opened(command, folder)
        try:
            process.communicate(timeout=_WATCHED_SECONDS)
        except subprocess.TimeoutExpired:
            code = _interrupted(process)
            if code not in (0, _INTERRUPTED, -signal.SIGINT):
                raise NotAsWritten(f"{place}: {command}: exit status {code} after Ctrl-C") from None
        else:
            raise NotAsWritten(f"{place}: {command}: it did not go on, but ended: {process.returncode}")
        return ""

    def _opened(self, command: str, folder: Path) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["bash", "-c", _SHELL.format(command=command)],
            env={**self._environment, "READER_FOLDER": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )


def must_match(block: Block, printed: str) -> None:
    """Raise NotAsWritten unless a block printed what the document shows below it."""
    if block.output and not pattern(block.output.rstrip("\n")).fullmatch(printed.rstrip("\n")):
        raise NotAsWritten(f"{block.place} shows\n{block.output}\nbut this is printed:\n{printed}")


def pattern(output: str) -> re.Pattern[str]:
    """Return what an output must be, where anything may stand for what is between « and »."""
    parts = re.split(r"«[^»]*»", output)
    return re.compile("(.*?)".join(map(re.escape, parts)), re.DOTALL)


def exact(output: str) -> str:
    """Return an output with what may differ as the document has it."""
    return output.replace("«", "").replace("»", "")


def entry(table: Mapping[str, str], command: str) -> str:
    """Return the reason in a table by how a command begins; empty where there is none."""
    plain = f"{command.removeprefix('.venv/bin/')} "
    return next((why for begin, why in table.items() if plain.startswith(begin)), "")


def reason_against(block: Block) -> str:
    """Return why a block is not run; empty for one that is."""
    if block.language not in (SHELL, "python"):
        return "it is no code"
    found = (
        why for (document, part), why in BLOCKS.items() if document == block.document and part in block.text
    )
    return next(found, "")


def _interrupted(process: "subprocess.Popen[bytes]") -> int:
    """Press Ctrl-C in a process' terminal, insist if need be, and return its exit status."""
    for number, seconds in ((signal.SIGINT, _END_SECONDS), (signal.SIGKILL, 10.0)):
        if process.poll() is not None:
            break
        os.killpg(process.pid, number)
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            continue
    return process.returncode if process.returncode is not None else -signal.SIGKILL
