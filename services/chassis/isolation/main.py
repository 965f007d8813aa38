"""The sandbox of this machine in a process: tested at once and then again and again, ended with it."""

from typing import Final

from services.chassis.isolation.sandbox import ProcessSandbox, Settings
from services.chassis.runtime.process import Process

TEST_SECONDS: Final = 600.0


def isolate(process: Process, settings: Settings) -> ProcessSandbox:
    """Return what isolates programs here; until its first test is over it lets them wait."""
    sandbox = ProcessSandbox(settings)
    process.stack.push_async_callback(sandbox.close)
    process.tasks.start("test the sandbox", sandbox.test)
    process.tasks.every("test the sandbox again", TEST_SECONDS, sandbox.test)
    return sandbox
