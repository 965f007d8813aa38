"""Handlers that worker processes run in tests: they do what the message says, the worst included."""

import ctypes
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path


def obedient(*args: str) -> Callable[[bytes], bytes]:  # noqa: C901 - one line an order
    """Return a handler that does what it is told."""

    def handle(message: bytes) -> bytes:  # noqa: C901 - as above
        order, _, rest = message.decode().partition(" ")
        if order == "segfault":
            ctypes.string_at(0)
        elif order == "spin":
            while True:
                pass
        elif order == "sleep":
            time.sleep(float(rest))
        elif order == "hoard":
            return bytes(len(bytearray(int(rest))))
        elif order == "raise":
            raise ValueError("a secret of the inside")
        elif order == "print":
            sys.stdout.write("noise")
            sys.stdout.flush()
        elif order == "leave":
            os._exit(3)
        elif order == "environ":
            return repr(dict(os.environ)).encode()
        elif order == "files":
            return " ".join(sorted(os.listdir("/proc/self/fd"))).encode()  # noqa: PTH208 - names are wanted
        elif order == "write":
            Path(rest).write_text("x")
        elif order == "pid":
            return str(os.getpid()).encode()
        return " ".join((*args, rest)).encode()

    return handle


def broken() -> Callable[[bytes], bytes]:
    """Make no handler."""
    raise RuntimeError("no handler")


def policy_stub() -> Callable[[bytes], bytes]:
    """Do what a policy text says; a policy goes to the native parser unmeasured."""

    def handle(message: bytes) -> bytes:
        text = message.decode()
        if text == "hang":
            time.sleep(3600)
        elif text == "die":
            os.abort()
        elif text == "babble":
            return b"what?"
        elif text.startswith("permit"):
            import cedarpy  # noqa: PLC0415 - only where it is wanted

            cedarpy.policies_to_json_str(text)
        return json.dumps([{"severity": "error", "message": str(os.getpid()), "policy_id": ""}]).encode()

    return handle


def hostile_decisions(kernel_tenant: str, options: str) -> Callable[[bytes], bytes]:
    """Decide as the access manager's own workers do, but for resources whose names say otherwise."""
    from services.access.adapters.cedar_handlers import deciding  # noqa: PLC0415 - only where it is wanted

    decide = deciding(kernel_tenant, options)

    def handle(message: bytes) -> bytes:
        if b"tools/segfault" in message:
            ctypes.string_at(0)
        if b"tools/babble" in message:
            return b"[[true, 7]]"
        if b"tools/odd" in message:
            return json.dumps([[True, True, [], False, [], False, []]]).encode()
        return decide(message)

    return handle


def hostile_splitting(*args: str) -> Callable[[bytes], bytes]:
    """Split texts as tgi-local's own workers do, but for those that say otherwise."""
    from services.tgi_local.adapters.tokenizer_worker import splitting  # noqa: PLC0415 - only where wanted

    split = splitting(*args)

    def handle(message: bytes) -> bytes:
        if b"segfault" in message:
            ctypes.string_at(0)
        return split(message)

    return handle


def hostile_rendering(*args: str) -> Callable[[bytes], bytes]:
    """Render chats as tgi-local's own workers do, but for those that say otherwise."""
    from services.tgi_local.adapters.template_worker import rendering  # noqa: PLC0415 - only where wanted

    render = rendering(*args)

    def handle(message: bytes) -> bytes:
        if b"spin" in message:
            while True:
                pass
        return render(message)

    return handle


def hostile_compiling(*args: str) -> Callable[[bytes], bytes]:
    """Judge constraints as tgi-local's own workers do, but for those that say otherwise."""
    from services.tgi_local.adapters.compile_worker import judging  # noqa: PLC0415 - only where wanted

    judge = judging(*args)

    def handle(message: bytes) -> bytes:
        if b"slow" in message:
            time.sleep(3600)
        elif b"abort" in message:
            os.abort()
        elif b"leave" in message:
            os._exit(0)
        elif b"babble" in message:
            raise ValueError(message)
        return judge(message)

    return handle
