"""Wiring of the process: the only place where adapters are chosen."""

from aios.api.memory.v1 import memory_pb2, memory_pb2_grpc
from services.chassis.quotas import caps_of
from services.chassis.runtime.clock import Clock
from services.chassis.runtime.process import App, Process
from services.memory.config import MemoryConfig
from services.memory.core.cache_policy import WaterMarks
from services.memory.metrics import MemoryMetrics
from services.memory.ports import Meter, NoteStore
from services.memory.service.agent_caches import AgentCaches
from services.memory.service.facade import MemoryService
from services.memory.service.notes import Notes
from services.memory.service.purging import Purging
from services.memory.service.searching import Searching
from services.memory.servicer import MemoryServicer
from services.memory.store.sql import MIGRATIONS, SqlStore

NAME = "memory"


def build(config: MemoryConfig, *, store: NoteStore, clock: Clock, meter: Meter) -> MemoryService:
    """Wire the use cases."""
    marks = WaterMarks(
        high=int(config.block_bytes * config.high_water),
        low=int(config.block_bytes * config.low_water),
        correlated=config.correlated_period.total_seconds(),
    )
    caches = AgentCaches(marks, most_bytes=config.max_resident_bytes, meter=meter)
    return MemoryService(
        Notes(store=store, clock=clock, meter=meter, caches=caches, caps=caps_of(config)),
        Searching(store=store, clock=clock, meter=meter, caches=caches),
        Purging(store, caches),
    )


async def assemble(process: Process) -> App:
    """Open the database, wire the service, start its background work."""
    config = process.load(MemoryConfig)
    database = await process.database(MIGRATIONS)
    service = build(
        config,
        store=SqlStore(database, process.clock),
        clock=process.clock,
        meter=MemoryMetrics(process.registry),
    )
    process.tasks.every("sweep", config.sweep_every.total_seconds(), service.notes.sweep)
    process.follow_purges(service.purging.purge)
    servicer = (
        memory_pb2_grpc.add_MemoryServiceServicer_to_server,
        MemoryServicer(service, process.openings),
        memory_pb2.DESCRIPTOR,
    )
    return App(servicers=[servicer], readiness={"database": database.problem})
