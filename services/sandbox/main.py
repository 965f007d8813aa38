"""Wiring of the process: the only place where adapters are chosen."""

from functools import partial
from typing import Final

from aios.api.sandbox.v1 import sandbox_pb2, sandbox_pb2_grpc
from services.chassis.isolation.main import isolate
from services.chassis.isolation.sandbox import Settings
from services.chassis.runtime.logs import logger
from services.chassis.runtime.process import App, Process
from services.chassis.sandbox.metrics import show
from services.sandbox.adapters.callers import Callers, NobodyElse
from services.sandbox.config import SandboxConfig
from services.sandbox.core.places import Places
from services.sandbox.metrics import SandboxMetrics, show_places
from services.sandbox.ports import Sandbox
from services.sandbox.service.admission import Admission
from services.sandbox.service.session import Deps
from services.sandbox.servicer import SandboxServicer

NAME: Final = "sandbox"

_log = logger(__name__)


async def assemble(process: Process, *, sandbox: Sandbox | None = None) -> App:
    """Wire the process around what isolates here. It opens no connection and reads no key.

    `sandbox`: default, what this machine has.
    """
    config = process.load(SandboxConfig)
    if sandbox is None:
        settings = Settings(
            level=config.level,
            python=config.python,
            directory=config.directory,
            jobs=config.jobs + config.talks,
            warm=config.warm,
            first_uid=config.first_uid,
        )
        sandbox = isolate(process, settings)
    meter = SandboxMetrics(process.registry)

    def places(count: int, memory_bytes: int) -> Admission:
        return Admission(
            Places(count, memory_bytes, config.waiting),
            process.clock,
            meter,
            process.draining,
            seconds=config.wait_seconds.total_seconds(),
        )

    jobs = places(config.jobs, config.memory_bytes)
    talks = places(config.talks, config.talks_memory_bytes)
    show(process.registry, sandbox)
    show_places(
        process.registry,
        running=lambda: jobs.places.running + talks.places.running,
        waiting=lambda: jobs.places.waiting + talks.places.waiting,
    )
    deps = Deps(
        sandbox=sandbox,
        jobs=jobs,
        talks=talks,
        meter=meter,
        draining=process.draining,
        silent_seconds=config.silent_seconds.total_seconds(),
        offered=config.offered,
        network=config.network,
    )
    if not config.caller_sha256:
        _log.warning("nobody may call: AIOS_SANDBOX_CALLER_SHA256 is empty")

    return App(
        servicers=[
            (
                sandbox_pb2_grpc.add_SandboxServiceServicer_to_server,
                SandboxServicer(deps),
                sandbox_pb2.DESCRIPTOR,
            )
        ],
        authenticator=Callers(config.caller_sha256),
        authorizer=NobodyElse(),
        readiness={"sandbox": partial(_problem, sandbox)},
    )


async def _problem(sandbox: Sandbox) -> str | None:
    return sandbox.problem or None
