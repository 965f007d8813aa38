"""A running access manager with its stubs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aios.api.access.v1 import access_pb2_grpc
from aios.api.agent.v1 import agent_pb2_grpc
from services.access.adapters.local_authorizer import LocalAuthorizer
from services.access.main import authenticator, servicers
from services.chassis.auth.identity import Kind
from services.chassis.auth.processes import PROCESSES
from tests.fakes.access_manager import desk
from tests.fakes.access_rpc import Kernel
from tests.fakes.rpc import serving
from tests.fakes.stores.access import MemoryStore


@pytest.fixture
async def kernel(tmp_path: Path) -> AsyncIterator[Kernel]:
    made = await asyncio.to_thread(desk, MemoryStore(), tmp_path)
    manager = made.manager
    async with serving(
        *servicers(manager),
        authenticator=authenticator(manager, made.keys, PROCESSES),
        authorizer=LocalAuthorizer(manager.checks, manager.marks),
    ) as channel:
        access: access_pb2_grpc.AccessServiceAsyncStub = access_pb2_grpc.AccessServiceStub(channel)
        agents: agent_pb2_grpc.AgentServiceAsyncStub = agent_pb2_grpc.AgentServiceStub(channel)
        kernel = Kernel(made, channel, access, agents, (), ())
        kernel.admin = kernel.token("admin", Kind.ADMIN)
        kernel.service = kernel.token("tool", Kind.SERVICE, "kernel")
        yield kernel
