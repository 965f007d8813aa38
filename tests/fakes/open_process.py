"""A real process of one service that lets everybody in: for tests of what survives a kill."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import Process
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PROGRAM = """
from services.chassis.auth.identity import Kind, Principal
from services.chassis.runtime.process import run
from services.{service}.main import assemble
from tests.fakes.access import AllowAll

class Anybody:
    async def authenticate(self, token):
        return Principal("planner", "acme", Kind.AGENT)

async def without_access(process):
    app = await assemble(process)
    app.authenticator, app.authorizer = Anybody(), AllowAll()
    return app

raise SystemExit(run("{service}", without_access))
"""


async def start_open(service: str, directory: Path, **variables: str) -> tuple[Process, int]:
    """Start a service on a data directory; return the process and its port."""
    (directory / "service-keys").mkdir(exist_ok=True)
    (directory / "service-keys" / f"{service}.key").write_text("key")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AIOS_")}
    environ |= {
        "AIOS_DATA_DIR": str(directory),
        f"AIOS_{service.upper()}_PORT": "0",
        "AIOS_LOG_FORMAT": "json",
        "AIOS_ACCESS_ENDPOINT": "127.0.0.1:1",
        **variables,
    }
    program = PROGRAM.format(service=service)
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, env=environ, cwd=REPOSITORY, stderr=log
        )
    async with asyncio.timeout(30):
        while True:
            lines = (await asyncio.to_thread((directory / "log").read_bytes)).splitlines()
            ready = [json.loads(line) for line in lines if b'"ready"' in line]
            if ready:
                return process, int(ready[0]["port"])
            if process.returncode is not None:
                raise RuntimeError(b"\n".join(lines).decode())
            await asyncio.sleep(0.05)
