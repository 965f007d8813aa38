"""Asks the access manager for decisions: one question at once, many in one call while others run."""

import asyncio
from collections import deque
from typing import Final

import grpc

from aios.api.access.v1 import access_pb2, access_pb2_grpc, resources_pb2
from services.chassis.rpc.client import ServiceCredential
from services.chassis.rpc.errors import AccessUnavailable, KernelError
from services.chassis.runtime.logs import logger

_log = logger(__name__)

_SECONDS: Final = 5.0
_MOST_IN_ONE: Final = 100
_MOST_AT_ONCE: Final = 2
"""Calls under way. Questions that come meanwhile wait for the next call and share it, so that a burst of new
agents costs the access manager few calls and no question waits behind more than one of them."""


class CheckBatcher:
    """A client of AccessService.Check and BatchCheck."""

    def __init__(self, channel: grpc.aio.Channel, credential: ServiceCredential) -> None:
        self._stub: access_pb2_grpc.AccessServiceAsyncStub = access_pb2_grpc.AccessServiceStub(channel)
        self._credential = credential
        self._waiting: deque[tuple[access_pb2.CheckRequest, asyncio.Future[resources_pb2.Decision]]] = deque()
        self._calls: set[asyncio.Task[None]] = set()

    async def decide(self, question: access_pb2.CheckRequest) -> resources_pb2.Decision:
        """Return the decision on one question. Raises AccessUnavailable when access cannot be asked."""
        answer: asyncio.Future[resources_pb2.Decision] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if len(self._calls) < _MOST_AT_ONCE:
            task = asyncio.create_task(self._ask_waiting())
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        return await answer

    async def _ask_waiting(self) -> None:
        """Ask until nobody waits."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_MOST_IN_ONE, len(self._waiting)))]
            batch = [(question, answer) for question, answer in batch if not answer.done()]
            if not batch:
                continue
            try:
                decisions = await self._ask([question for question, _ in batch])
            except KernelError as error:
                for _, answer in batch:
                    if not answer.done():
                        answer.set_exception(AccessUnavailable(error.message, retry_after=1.0))
                continue
            for (_, answer), decision in zip(batch, decisions, strict=True):
                if not answer.done():
                    answer.set_result(decision)

    async def _ask(self, questions: list[access_pb2.CheckRequest]) -> list[resources_pb2.Decision]:
        metadata = await self._credential.metadata()
        try:
            if len(questions) == 1:
                one = await self._stub.Check(questions[0], timeout=_SECONDS, metadata=metadata)
                return [one.decision]
            request = access_pb2.BatchCheckRequest(checks=questions)
            many = await self._stub.BatchCheck(request, timeout=_SECONDS, metadata=metadata)
        except grpc.aio.AioRpcError as failure:
            _log.warning("access cannot be asked", code=failure.code().name, text=failure.details())
            raise AccessUnavailable("the access manager cannot be asked", retry_after=1.0) from failure
        if len(many.decisions) != len(questions):
            raise AccessUnavailable("the access manager answered something else", retry_after=1.0)
        return list(many.decisions)
