"""Wiring of the process: the only place where adapters are chosen."""

from dataclasses import dataclass

from aios.api.context.v1 import context_pb2, context_pb2_grpc
from aios.api.inference.v1 import inference_pb2
from aios.api.memory.v1 import memory_pb2
from services.chassis.quotas import Cap, caps_of
from services.chassis.runtime.clock import Clock
from services.chassis.runtime.config import ConfigError
from services.chassis.runtime.process import App, Process
from services.chassis.shares import Openings
from services.context.adapters.access_client import CallersAccess
from services.context.adapters.gateway_client import GatewayMemory, GatewaySummarizer, NoPeers
from services.context.adapters.tokenizer_client import GatewayTokenizer, NoTokenizer
from services.context.config import ContextConfig
from services.context.core.conversations import ContextLimits
from services.context.core.snapshots import SnapshotLimits
from services.context.metrics import ContextMetrics
from services.context.ports import Access, Memory, Meter, Store, Summarizer, TokenCounter
from services.context.service.conversations import Conversations
from services.context.service.dependencies import Dependencies
from services.context.service.facade import ContextService
from services.context.service.purging import Purging
from services.context.service.recall import Recall
from services.context.service.snapshots import Snapshots
from services.context.service.summaries import Summaries, SummaryLimits
from services.context.service.window_limiter import WindowLimiter
from services.context.service.windows import WindowLimits, Windows
from services.context.servicer import ContextServicer
from services.context.store.encrypted import EncryptedStore
from services.context.store.keys import KeyRing
from services.context.store.sql import MIGRATIONS, SqlStore

NAME = "context"


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerClients:
    """What the kernel's other processes do for windows."""

    counter: TokenCounter
    summarizer: Summarizer
    memory: Memory


def build(
    config: ContextConfig,
    *,
    store: Store,
    clock: Clock,
    meter: Meter,
    access: Access,
    peers: PeerClients,
    openings: Openings | None = None,
) -> ContextService:
    """Wire the use cases."""
    deps = Dependencies(store=store, clock=clock, meter=meter, caps=caps_of(config))
    contexts = ContextLimits(messages=config.max_messages, pinned=config.max_pinned)
    snapshots = SnapshotLimits(
        one=config.max_snapshot_bytes,
        life=config.snapshot_life,
        finished_life=config.finished_snapshot_life,
    )
    limits = WindowLimits(tokens=config.default_window, messages=config.max_messages)
    summary = SummaryLimits(
        tokens=config.summary_tokens,
        seconds=config.summary_time.total_seconds(),
        window=config.default_window,
    )
    counter, places = (
        peers.counter,
        WindowLimiter(
            config.max_waiting_windows,
            Cap(
                config.max_waiting_windows_per_agent,
                config.max_waiting_windows_per_tree,
                config.max_waiting_windows_per_tenant,
            ),
        ),
    )
    if openings is not None:
        openings.add(places.shares)
    windows = Windows(
        deps,
        limits,
        counter,
        Summaries(deps, summary, counter, peers.summarizer, places),
        Recall(deps, counter, peers.memory, places),
    )
    return ContextService(
        Conversations(deps, contexts, access), windows, Snapshots(deps, snapshots), Purging(store)
    )


async def assemble(process: Process) -> App:
    """Open the database, wire the service, start its background work."""
    config = process.load(ContextConfig)
    database = await process.database(MIGRATIONS)
    service = build(
        config,
        store=EncryptedStore(
            SqlStore(database, process.clock), key_ring(config), encrypts=config.encrypt_snapshots
        ),
        clock=process.clock,
        meter=ContextMetrics(process.registry),
        access=CallersAccess(process.authorizer),
        peers=_peers(process, config),
        openings=process.openings,
    )
    process.tasks.every("collect", config.collect_every.total_seconds(), service.snapshots.collect)
    process.follow_purges(service.purging.purge)
    return App(
        servicers=[
            (
                context_pb2_grpc.add_ContextServiceServicer_to_server,
                ContextServicer(service, process.openings),
                context_pb2.DESCRIPTOR,
            )
        ],
        readiness={"database": database.problem},
    )


def key_ring(config: ContextConfig) -> KeyRing:
    """Read the keys of snapshots. Raises ConfigError, which never tells a key."""
    entries = list(config.snapshot_keys)
    try:
        if config.snapshot_keys_file is not None:
            entries += [line for line in config.snapshot_keys_file.read_text().split() if line]
        return KeyRing.parse(entries)
    except OSError as error:
        raise ConfigError([f"AIOS_CONTEXT_SNAPSHOT_KEYS_FILE: {error.strerror}"]) from error
    except ValueError as error:
        raise ConfigError([f"AIOS_CONTEXT_SNAPSHOT_KEYS: {error}"]) from error


def _peers(process: Process, config: ContextConfig) -> PeerClients:
    """Go through the gateway when one is configured; it may come up later than this process."""
    if not process.environ.get("AIOS_GATEWAY_ENDPOINT"):
        return PeerClients(counter=NoTokenizer(), summarizer=NoPeers(), memory=NoPeers())
    channel = process.channel("gateway", inference_pb2.DESCRIPTOR, memory_pb2.DESCRIPTOR)
    return PeerClients(
        counter=GatewayTokenizer(channel, process.exchange),
        summarizer=GatewaySummarizer(channel, process.exchange, config.summary_class),
        memory=GatewayMemory(channel, process.exchange),
    )
