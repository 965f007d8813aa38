"""Wires the scheduler: the only place where its adapters are chosen."""

import gc

from aios.api.scheduler.v1 import scheduler_pb2, scheduler_pb2_grpc
from services.chassis.runtime.config import ConfigError
from services.chassis.runtime.process import App, Process
from services.scheduler.config import SchedulerConfig
from services.scheduler.core.policies import discover
from services.scheduler.core.scheduler import SchedulerCore
from services.scheduler.errors import PolicyParamsInvalid, SettingsInvalid
from services.scheduler.metrics import PrometheusScheduleMetrics, QueueCollector
from services.scheduler.service.past_calls import PastCalls
from services.scheduler.service.scheduling import SchedulerService
from services.scheduler.servicer import SchedulerServicer
from services.scheduler.store.sql import MIGRATIONS, SqlPastStore

GC_THRESHOLDS = (100_000, 50, 100)


def past_calls(
    process: Process, settings: SchedulerConfig, metrics: PrometheusScheduleMetrics, writer: int
) -> PastCalls:
    """Wire what is kept of calls that ended. The scheduler starts and goes on without its database."""
    store = SqlPastStore(process.unopened_database(MIGRATIONS))
    past = PastCalls(store, process.clock, metrics, settings.keeping(), writer=writer)
    process.tasks.start("past_calls", past.run)
    process.stack.push_async_callback(past.close)
    process.follow_purges(past.purge)
    return past


async def build(process: Process) -> App:
    """Wire the scheduler of one process."""
    settings = process.load(SchedulerConfig)
    # Milliseconds since 1970: above every grant number of an earlier life.
    epoch = int(process.clock.now().timestamp() * 1000)
    policies = discover()
    problems = [
        f"AIOS_SCHEDULER_{variable}: unknown policy {name!r}; known: {', '.join(policies.names)}"
        for variable, name in (("POLICY", settings.policy), ("TOOL_POLICY", settings.tool_policy))
        if name not in policies
    ]
    if problems:
        raise ConfigError(problems)
    try:
        core = SchedulerCore(settings.core_settings(epoch), policies)
    except (SettingsInvalid, PolicyParamsInvalid) as error:
        raise ConfigError([f"AIOS_SCHEDULER_*: {error}"]) from error
    metrics = PrometheusScheduleMetrics(process.registry, lambda kind, lane: core.policy_of(kind, lane).name)
    # Microseconds, for the same reason: no scheduler has a million events in a second.
    past = past_calls(process, settings, metrics, epoch)
    service = SchedulerService(core, process.clock, metrics, first_sequence=epoch * 1000, ends=past)
    # What is alive now lives as long as the process; young garbage is collected in large, rare rounds.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    QueueCollector(process.registry, service.stats)
    process.stack.callback(service.close)
    servicer = SchedulerServicer(service, past, process.clock, epoch, process.openings)
    return App(
        servicers=[
            (
                scheduler_pb2_grpc.add_SchedulerServiceServicer_to_server,
                servicer,
                scheduler_pb2.DESCRIPTOR,
            )
        ]
    )
