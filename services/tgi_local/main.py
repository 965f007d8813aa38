"""Wiring and life of the process: the only place where the engine is chosen."""

import asyncio
import errno
import fcntl
import os
import shutil
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from aiohttp import web

from services.chassis.runtime import interpreter, logs
from services.chassis.runtime.http_hosts import HttpHosts
from services.chassis.runtime.private_files import NotPrivate, own_directory, private_umask
from services.chassis.runtime.worker_process import Blame
from services.tgi_local.adapters.compiler import ProcessCompiler, engine_library
from services.tgi_local.adapters.gguf_header import UnreadableModel
from services.tgi_local.adapters.memory import available_memory
from services.tgi_local.adapters.model_files import ModelError, fingerprint, locate
from services.tgi_local.adapters.shape import read_shape
from services.tgi_local.config import MOST_CTX, ConfigError, TgiLocalConfig, load
from services.tgi_local.core.engine import Engine, EngineError
from services.tgi_local.core.guard import Guard
from services.tgi_local.core.layout import Layout
from services.tgi_local.core.parameters import RequestLimits
from services.tgi_local.core.snapshots import Catalogue
from services.tgi_local.core.window import lay_out
from services.tgi_local.metrics import PrometheusMetrics
from services.tgi_local.ports import Compiler
from services.tgi_local.service.inference import TgiService
from services.tgi_local.servicer import About, Routes
from services.tgi_local.store.snapshot_files import SnapshotFiles

KV_SHARE = 0.5
"""Part of the free memory that KV caches may take; the rest is for the engine's sums and for others."""

_log = logs.logger(__name__)


class StartError(Exception):
    """The server cannot start; the message says which resource is in the way."""


@dataclass(slots=True)
class Server:
    """A started server. `stop` it."""

    port: int
    layout: Layout
    routes: Routes
    metrics: PrometheusMetrics
    _runner: web.AppRunner
    _engine: Engine
    _compiler: Compiler
    _lock: IO[str]
    _collector: asyncio.Task[None]

    async def stop(self) -> None:
        """Refuse new connections, let running requests finish within the drain time, stop the engine."""
        self.routes.draining = True
        self._collector.cancel()
        await asyncio.wait({self._collector})
        await self._runner.cleanup()
        await self._compiler.close()
        await self._engine.close()
        self._lock.close()


async def build(
    config: TgiLocalConfig, *, engine: Engine | None = None, compiler: Compiler | None = None
) -> Server:
    """Start a server. Tests pass parts of their own; main passes none. Raises StartError and ModelError."""
    lock, snapshots = await asyncio.to_thread(_own_directory, config.data_dir)
    model = await asyncio.to_thread(locate, config.model)
    sha = await asyncio.to_thread(fingerprint, model, config.data_dir / "models.json")
    layout = await asyncio.to_thread(_layout, config, model)
    metrics = PrometheusMetrics()
    words = model if engine is None else None  # another engine may have none, or others
    if engine is None:
        engine = await _engine(config, model, layout, snapshots, metrics.workers.ended)
    metrics.slots(layout.slots)
    chat_template = words is None or await asyncio.to_thread(_has_template, words)
    limits = RequestLimits(max_total_tokens=layout.ctx_per_slot, max_input_tokens=layout.ctx_per_slot - 1)
    files = await asyncio.to_thread(_files, config, snapshots, sha)
    if compiler is None:
        library = await asyncio.to_thread(engine_library)
        compiler = ProcessCompiler(library, words, told=metrics.workers.ended)
    service = TgiService(
        engine,
        files,
        metrics,
        compiler,
        limits=limits,
        slots=layout.slots,
        max_concurrent=config.max_concurrent,
        clock=time.monotonic,
    )
    about = About(
        model_id=engine.vocabulary.name or model.stem,
        model_sha=sha,
        slots=layout.slots,
        ctx_per_slot=layout.ctx_per_slot,
        exact=engine.exact,
        longest_token=engine.vocabulary.longest,
        special=tuple(sorted(engine.vocabulary.special)),
        max_concurrent=config.max_concurrent,
        limits=limits,
        chat_template=chat_template,
    )
    guard = Guard(HttpHosts(config.host, config.names), config.api_key)
    routes = Routes(service, metrics, about, guard, keep_alive=config.keep_alive.total_seconds())
    runner = web.AppRunner(
        routes.app(),
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=config.drain.total_seconds(),
    )
    try:
        port = await _listen(runner, config)
    except StartError:
        await runner.cleanup()
        await engine.close()
        lock.close()
        raise
    collector = asyncio.create_task(_collect(service, config.snapshot_collect_every.total_seconds()))
    return Server(port, layout, routes, metrics, runner, engine, compiler, lock, collector)


async def _collect(service: TgiService, seconds: float) -> None:
    """Delete old snapshots from time to time, also while nobody saves or restores one."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await service.collect()
        except OSError as error:  # a full or read-only disk: the next round tries again
            _log.warning("old snapshots are not deleted", problem=str(error))


async def serve(config: TgiLocalConfig) -> None:
    """Run until SIGTERM or SIGINT, then drain."""
    server = await build(config)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    _log.info(
        "listening",
        host=config.host,
        port=server.port,
        model=config.model,
        slots=server.layout.slots,
        window=server.layout.ctx_per_slot,
    )
    if not config.api_key:
        _log.warning(
            "no key is set: every process of this machine may use the engine, web pages may not",
            setting="AIOS_TGI_LOCAL_API_KEY_FILE",
        )
    interpreter.settle_in()
    await stopping.wait()
    _log.info("draining")
    await server.stop()
    _log.info("stopped")


def main() -> int:
    """Start the process. Returns its exit status: 0 after a clean stop, 2 when it cannot start."""
    private_umask()
    level, style = os.environ.get("AIOS_LOG_LEVEL", "info"), os.environ.get("AIOS_LOG_FORMAT", "json")
    logs.configure("tgi-local", level=level, style=style)
    try:
        config = load(os.environ)
        if config.threads > 1:
            os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve every neighbour
        asyncio.run(serve(config))
    except (ConfigError, StartError, ModelError, UnreadableModel, EngineError) as error:
        for problem in str(error).splitlines():
            _log.error("cannot start", problem=problem)
        return 2
    return 0


def _has_template(model: Path) -> bool:
    """Whether the model says how its chats are written; it is said aloud when it does not."""
    _, template = read_shape(model)
    if not template:
        _log.warning("the model's file has no chat template: the engine's own is used")
    return bool(template)


def _layout(config: TgiLocalConfig, model: Path) -> Layout:
    """Choose slots and window, and say what of the model a person should know."""
    if config.ctx and config.slots:
        return Layout(config.slots, config.ctx, config.exact)
    shape, _ = read_shape(model)
    free = max(0, available_memory() - model.stat().st_size)
    layout = lay_out(
        replace(shape, trained=min(shape.trained, MOST_CTX)),
        config.kv_max_bytes or int(free * KV_SHARE),
        slots=config.slots,
        ctx=config.ctx,
        exact=config.exact,
    )
    if shape.trained and layout.ctx_per_slot > shape.trained:
        _log.warning("the window is longer than what the model was trained for", trained=shape.trained)
    return layout


async def _engine(
    config: TgiLocalConfig, model: Path, layout: Layout, snapshots: Path, told: Blame
) -> Engine:
    # Imported here: it loads the native library, which tests with another engine do without.
    from services.tgi_local.adapters.xllama import XllamaEngine  # noqa: PLC0415 - see above

    return await XllamaEngine.open(
        model,
        layout,
        threads=config.threads,
        data_dir=config.data_dir,
        snapshots=snapshots,
        told=told,
    )


def _files(config: TgiLocalConfig, snapshots: Path, sha: str) -> SnapshotFiles:
    catalogue = Catalogue(
        model=sha,
        max_bytes=config.snapshot_total_bytes,
        max_snapshot_bytes=config.snapshot_max_bytes,
        ttl=config.snapshot_ttl.total_seconds(),
    )
    files = SnapshotFiles(snapshots, catalogue, model=sha)
    files.load()
    return files


def _own_directory(data_dir: Path) -> tuple[IO[str], Path]:
    """Make the data directory private and this process's own; two would delete each other's snapshots."""
    snapshots = data_dir / "snapshots"
    try:
        opened = own_directory(data_dir, create=True)
        snapshots.mkdir(mode=0o700, exist_ok=True)
        lock = (data_dir / "lock").open("w")
    except NotPrivate as error:
        raise StartError(f"data directory {error}") from error
    except OSError as error:
        raise StartError(f"data directory {data_dir}: {error.strerror}") from error
    if opened:
        _log.warning("other users could read files: closed to them", first=str(opened[0]), count=len(opened))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StartError(f"data directory {data_dir} is in use by another tgi-local") from error
    for left_by_a_crash in data_dir.glob("engine-*"):
        shutil.rmtree(left_by_a_crash, ignore_errors=True)
    return lock, snapshots


async def _listen(runner: web.AppRunner, config: TgiLocalConfig) -> int:
    await runner.setup()
    site = web.TCPSite(runner, config.host, config.port, reuse_address=True)
    try:
        await site.start()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StartError(f"port {config.port} on {config.host} is already in use") from error
        raise StartError(f"cannot listen on {config.host}:{config.port}: {error.strerror}") from error
    port: int = runner.addresses[0][1]
    return port
