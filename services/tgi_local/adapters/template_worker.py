"""Applies a model's chat template with the engine's own code, in a worker process.

The engine renders where it generates, in native code that a chat can end (it descends into whatever depth it
is given) or keep busy. Here that is a second engine, which generates nothing: it maps the model's file, of
which it touches the vocabulary only, and holds a window of a few tokens.

A message is JSON, the messages of a chat; an answer is a sign, then the text or what is wrong with the chat.
"""

import http.client
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

RENDERED: Final = b"r"
REFUSED: Final = b"e"
_OK: Final = 200
_WINDOW: Final = 256
_MOST_TOLD: Final = 1_024


def rendering(model: str, sockets: str) -> Callable[[bytes], bytes]:
    """Load the model and return the handler; its socket lies in `sockets`. Raises RuntimeError."""
    import xllamacpp  # noqa: PLC0415 - it loads the native library, which only this process wants

    _clear(Path(sockets))
    address = str(Path(sockets) / f"render-{os.getpid()}.sock")
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_parallel = 1
    params.n_ctx = params.n_batch = params.n_ubatch = _WINDOW
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.n_threads_http = 1
    params.cache_ram_mib = 0
    params.warmup = False
    params.no_extra_bufts = True  # else all weights are copied into another form
    params.endpoint_metrics = False
    params.verbosity = -1
    params.hostnames = [address]
    server = xllamacpp.Server(params)

    def handle(message: bytes) -> bytes:
        connection = _Connection(address)
        try:
            connection.request("POST", "/apply-template", b'{"messages":%b}' % message, _JSON)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status == _OK:
            prompt: str = answer["prompt"]
            return RENDERED + prompt.encode(errors="replace")
        problem = str(answer.get("error", {}).get("message", f"status {response.status}"))
        return REFUSED + problem[:_MOST_TOLD].encode(errors="replace")

    handle.server = server  # type: ignore[attr-defined]  # it ends when nothing holds it
    return handle


def _clear(sockets: Path) -> None:
    """Remove the sockets of workers that have ended."""
    for left in sockets.glob("render-*.sock"):
        pid = left.stem.removeprefix("render-")
        if not Path("/proc", pid).exists():
            left.unlink(missing_ok=True)


_JSON: Final[dict[str, Any]] = {"Content-Type": "application/json"}


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: str) -> None:
        super().__init__("engine")
        self._address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._address)
