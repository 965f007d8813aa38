"""The composition root of the access manager: the only place where adapters are chosen."""

import asyncio
import json
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from aios.api.access.v1 import access_pb2, access_pb2_grpc
from aios.api.agent.v1 import agent_pb2, agent_pb2_grpc
from services.access.adapters.cedar import CedarEngine, base_policies
from services.access.adapters.cedar_workers import WorkerEngine
from services.access.adapters.head_file import HeadFile, read_head
from services.access.adapters.head_webhook import HeadWebhook
from services.access.adapters.keys import KeyFile, admin_of, write_admin_token
from services.access.adapters.local_authorizer import LocalAuthenticator, LocalAuthorizer
from services.access.adapters.policy_process import PolicyProcess
from services.access.adapters.service_keys import ServiceKeysBroken, service_keys
from services.access.config import AccessConfig, installed_policies
from services.access.core import audit_chain
from services.access.metrics import AccessMetrics
from services.access.model.audit import AuditHead, ExportedHead
from services.access.ports.outside import HeadLog, Judge, Meter, PolicyEngine, Signer
from services.access.ports.store import Store, Transaction
from services.access.service.audit_export import HeadExporter, HeadTeller, LogTeller
from services.access.service.audit_verifying import NotedHead
from services.access.service.dependencies import Dependencies, NoHeads
from services.access.service.facade import AccessManager
from services.access.servicer import AccessServicer, AgentServicer
from services.access.store.sql import MIGRATIONS, SqlStore
from services.chassis.auth.processes import ACCESS, SERVICE_KEYS
from services.chassis.auth.tokens import KeyRing, Revocations, TokenVerifier
from services.chassis.runtime.clock import Clock
from services.chassis.runtime.config import ConfigError
from services.chassis.runtime.logs import logger
from services.chassis.runtime.poison import PoisonList
from services.chassis.runtime.private_files import own_file, private_umask
from services.chassis.runtime.process import App, Process
from services.chassis.runtime.process import serve as serve_process
from services.chassis.runtime.server import Servicer
from services.chassis.shares import Openings

NAME: Final = "access"

_log = logger(__name__)

_SHARED_KEY: Final = (
    "AIOS_SERVICE_KEY_FILE: one key for all processes is not taken any more: give each process a key of its "
    "own, and name the directory that holds them all in AIOS_ACCESS_SERVICE_KEYS_DIR"
)
_FLUSH_SECONDS: Final = 0.5
_PURGE_SECONDS: Final = 1.0
_LIFETIME_SECONDS: Final = 1.0
_KEYS_SECONDS: Final = 5.0
_ADMIN_SECONDS: Final = 3600.0
_FORGET_SECONDS: Final = 600.0


def build(
    config: AccessConfig,
    *,
    store: Store,
    engine: PolicyEngine,
    judge: Judge,
    signer: Signer,
    meter: Meter,
    clock: Clock,
    service_keys: Mapping[str, str],
    installed: tuple[str, ...] = (),
    heads: HeadLog | None = None,
) -> AccessManager:
    """Wire an access manager; `installed` are the scheduling policies that packages here offer."""
    ports = Dependencies(
        store=store,
        engine=engine,
        judge=judge,
        signer=signer,
        clock=clock,
        meter=meter,
        settings=config.settings(installed),
        heads=heads or NoHeads(),
    )
    builtin = base_policies(config.policy_options)
    return AccessManager(ports, service_keys=service_keys, builtin=builtin, purging=config.purging())


def servicers(manager: AccessManager, openings: Openings | None = None) -> list[Servicer]:
    """Return the servicers of both services, as ChassisServer takes them."""
    return [
        (
            access_pb2_grpc.add_AccessServiceServicer_to_server,
            AccessServicer(manager, openings),
            access_pb2.DESCRIPTOR,
        ),
        (
            agent_pb2_grpc.add_AgentServiceServicer_to_server,
            AgentServicer(manager.agents, manager.purges),
            agent_pb2.DESCRIPTOR,
        ),
    ]


def authenticator(
    manager: AccessManager, keys: KeyFile, audiences: Collection[str] = (ACCESS,)
) -> LocalAuthenticator:
    """Return what verifies the tokens of this process's own callers."""
    revocations = Revocations()
    clock = manager.ports.clock
    verifier = TokenVerifier(KeyRing(keys, clock, max_age=_KEYS_SECONDS), clock, audiences, revocations)
    return LocalAuthenticator(verifier, revocations, manager.ports)


async def renew_admin_token(
    path: Path, config: AccessConfig, keys: KeyFile, store: Store, clock: Clock
) -> bool:
    """Write the first administrator's token unless a good one is there; tell whether it was written."""
    tenant, life = config.kernel_tenant, config.admin_token_life
    holder = await asyncio.to_thread(admin_of, path, keys, clock.now(), tenant=tenant, lifetime=life)

    def look(tx: Transaction) -> tuple[bool, datetime | None]:
        return holder is None or tx.tokens.is_revoked(holder), tx.tokens.revoked_until(tenant, "admin")

    wanted, after = await store.read(look)
    if wanted:
        await asyncio.to_thread(
            write_admin_token, path, keys, clock.now(), tenant=tenant, lifetime=life, after=after
        )
    return wanted


async def assemble(process: Process) -> App:
    """Build the process: keys and tokens in the data directory, everything else in its database."""
    config = process.load(AccessConfig)
    clock, folder = process.clock, process.data_dir
    key_path = config.key_file or folder / "access-keys.json"
    await asyncio.to_thread(own_file, key_path)
    keys = await asyncio.to_thread(KeyFile, key_path, clock.now())
    secrets = await asyncio.to_thread(_service_keys, config, process)
    database = await process.database(MIGRATIONS)
    store = SqlStore(database, keys)
    meter = AccessMetrics(process.registry)
    poison, ends = PoisonList(), meter.workers
    judge = PolicyProcess(poison=poison, told=ends.ended)
    engine = WorkerEngine(
        kernel_tenant=config.kernel_tenant,
        clock=clock,
        options=config.policy_options,
        poison=poison,
        told=ends.ended,
    )
    manager = build(
        config,
        store=store,
        engine=engine,
        judge=judge,
        signer=keys,
        meter=meter,
        clock=clock,
        service_keys=secrets,
        installed=await asyncio.to_thread(installed_policies),
        heads=head_file(config, process, keys),
    )

    admin_path = config.admin_token_file or folder / "admin.token"

    async def keep_admin_token() -> None:
        if await renew_admin_token(admin_path, config, keys, store, clock):
            _log.info("wrote the administrator's token", path=str(admin_path))

    async def reload_keys() -> None:
        if await asyncio.to_thread(keys.reload, clock.now()):
            _log.info("read changed signing keys", newest=keys.public_keys()[0].kid)

    await keep_admin_token()
    authorizer = LocalAuthorizer(manager.checks, manager.marks)
    process.tasks.start("rules", authorizer.watch)
    process.tasks.every("flush-denials", _FLUSH_SECONDS, manager.flush)
    process.tasks.every("reload-keys", _KEYS_SECONDS, reload_keys)
    process.tasks.every("keep-admin-token", _ADMIN_SECONDS, keep_admin_token)
    process.tasks.every("end-agents", _LIFETIME_SECONDS, manager.lifetimes.end_due)
    process.tasks.every("purge", _PURGE_SECONDS, manager.purges.step)
    process.tasks.every("forget", _FORGET_SECONDS, manager.forget)
    await _export_heads(process, config, manager)
    process.stack.push_async_callback(manager.finish)
    process.stack.push_async_callback(judge.close)
    process.stack.push_async_callback(engine.close)
    process.tasks.start("warm-policy-checker", judge.warm)
    process.tasks.start("warm-decisions", engine.warm)
    return App(
        servicers=servicers(manager, process.openings),
        readiness={"database": database.problem},
        authenticator=authenticator(manager, keys),
        authorizer=authorizer,
    )


def head_file(config: AccessConfig, process: Process, keys: KeyFile) -> HeadFile:
    """Return the file of exported heads."""
    path = config.audit_heads_file or process.data_dir / "audit-heads.jsonl"
    return HeadFile(path, keys.is_signed)


async def _export_heads(process: Process, config: AccessConfig, manager: AccessManager) -> None:
    """Seal what is not sealed yet, and tell the heads of the logs from now on to the very end."""
    tellers: list[HeadTeller] = [LogTeller(_say_head)]
    if config.audit_heads_webhook:
        webhook = HeadWebhook(config.audit_heads_webhook, manager.ports.meter.head_exported)
        process.tasks.start("audit-webhook", webhook.run)
        process.stack.push_async_callback(webhook.finish)
        tellers.append(webhook)
    exporter = HeadExporter(
        manager.ports, rows=config.audit_heads_rows, every=config.audit_heads_every, tellers=tellers
    )
    if sealed := await exporter.seal():
        _log.info("sealed audit logs that were written without a key", count=sealed)
    process.tasks.every("export-audit-heads", _FLUSH_SECONDS, exporter.look)
    process.stack.push_async_callback(exporter.look, everything=True)


def _say_head(head: ExportedHead) -> None:
    _log.info("audit head", tenant=head.tenant, sequence=head.sequence, hash=head.hash, kid=head.kid)


async def _verify_audit(tenant: str, copies: Sequence[Path]) -> list[dict[str, Any]]:
    process = Process(NAME, os.environ)
    async with process.stack:
        config = process.load(AccessConfig)
        keys = await asyncio.to_thread(
            KeyFile, config.key_file or process.data_dir / "access-keys.json", process.clock.now()
        )
        store = SqlStore(await process.database(MIGRATIONS), keys)
        engine = await asyncio.to_thread(
            CedarEngine, kernel_tenant=config.kernel_tenant, options=config.policy_options
        )
        manager = build(
            config,
            store=store,
            engine=engine,
            judge=PolicyProcess(),
            signer=keys,
            meter=AccessMetrics(process.registry),
            clock=process.clock,
            service_keys={},
            heads=head_file(config, process, keys),
        )
        found = []
        wanted: list[Path | None] = [*copies] or [None]
        for copy in wanted:
            noted = await asyncio.to_thread(_noted, copy, tenant, keys) if copy else None
            result = (await manager.verifier.of_tenant(tenant, noted=noted)).result
            found.append(
                {
                    "tenant": tenant,
                    "compared_with": str(copy or "the file of exported heads"),
                    "intact": result.intact,
                    "fault": result.fault.value,
                    "broken_sequence": result.broken_sequence,
                    "problem": result.problem,
                    "head_sequence": result.head.sequence,
                    "head_hash": result.head.hash,
                }
            )
        return found


def _noted(copy: Path, tenant: str, keys: KeyFile) -> NotedHead:
    """Return the newest head of a tenant's log in a copy of what was exported. Raises ValueError."""
    found = [head for line in copy.read_bytes().splitlines() if (head := read_head(line))]
    mine = [head for head in found if head.tenant == tenant]
    newest = max(mine, key=lambda head: head.sequence, default=None)
    if newest is None:
        raise ValueError(f"{copy} holds no head of the log of {tenant}")
    text = audit_chain.signed_text(tenant, AuditHead(newest.sequence, newest.hash))
    if not keys.is_signed(text, newest.kid, newest.signature):
        raise ValueError(f"{copy} holds a head that access did not sign")
    return NotedHead(newest.hash, newest.sequence)


def verify_audit(arguments: Sequence[str]) -> int:
    """Verify a tenant's audit log in the database, without a running kernel; print what was found.

    `arguments` are the tenant and files with heads that were exported, such as what a webhook received.
    """
    tenant, *copies = arguments or ["default"]
    try:
        found = asyncio.run(_verify_audit(tenant, [Path(copy) for copy in copies]))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write("".join(json.dumps(one) + "\n" for one in found))
    return 0 if all(one["intact"] for one in found) else 1


def _service_keys(config: AccessConfig, process: Process) -> Mapping[str, str]:
    if config.service_keys_dir is None and process.common.service_key_file is not None:
        raise ConfigError([_SHARED_KEY])
    try:
        return service_keys(config.service_keys_dir or process.data_dir / SERVICE_KEYS)
    except ServiceKeysBroken as error:
        raise ConfigError([f"AIOS_ACCESS_SERVICE_KEYS_DIR: {error}"]) from error


def rotate_keys() -> int:
    """Make a new signing key; the old ones verify until the last token signed with them has expired."""
    private_umask()
    process = Process(NAME, os.environ)
    config = process.load(AccessConfig)
    now = process.clock.now()
    keys = KeyFile(config.key_file or process.data_dir / "access-keys.json", now)
    kid = keys.rotate(now, config.admin_token_life + timedelta(days=1))
    sys.stdout.write(f"{kid}\n")
    return 0


async def serve() -> None:
    """Run the access manager until it is told to stop."""
    await serve_process(NAME, assemble)
