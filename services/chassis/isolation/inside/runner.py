"""The first program of an interpreter in the sandbox: it waits for one piece of Python, runs it and ends.

It is run by its text (`-c`), without packages. A byte on descriptor 3 says that it is ready. On standard
input comes a length (4 bytes, little endian) and a JSON object: `source`, `environment`, and limits that may
only lower those it started with: `memory`, `cpu`, `file_bytes`. What follows there is the job's own input.
Nothing of the job is here before it is locked, and nothing of this process is left after the job.
"""

import datetime  # noqa: F401, ICN001 - what jobs use most is loaded before they come
import json
import math  # noqa: F401
import os
import re  # noqa: F401
import resource
import struct
import sys
import traceback


def _exactly(size: int) -> bytes:
    read = b""
    while len(read) < size:
        more = os.read(0, size - len(read))
        if not more:
            os._exit(0)  # it is not needed any more
        read += more
    return read


def _take() -> str:
    os.write(3, b"\x01")
    job = json.loads(_exactly(struct.unpack("<I", _exactly(4))[0]))
    for what, value in (
        (resource.RLIMIT_AS, job["memory"]),
        (resource.RLIMIT_CPU, job["cpu"]),
        (resource.RLIMIT_FSIZE, job["file_bytes"]),
    ):
        resource.setrlimit(what, (value, value))
    os.environ.update(job["environment"])
    source: str = job["source"]
    return source


def _run(source: str) -> None:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    names = {"__name__": "__main__", "__builtins__": __builtins__}
    try:
        exec(compile(source, "<tool>", "exec", dont_inherit=True), names)  # noqa: S102 - what it is for
    except Exception as error:  # noqa: BLE001 - as the interpreter would, without this file's own lines
        traceback.print_exception(type(error), error, error.__traceback__ and error.__traceback__.tb_next)
        sys.exit(1)


_run(_take())
