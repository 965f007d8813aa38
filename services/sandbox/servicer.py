"""SandboxService over gRPC."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from aios.api.sandbox.v1 import sandbox_pb2, sandbox_pb2_grpc
from services.sandbox.service.session import Deps, Session
from services.sandbox.wire import messages


class SandboxServicer(sandbox_pb2_grpc.SandboxServiceServicer):
    """Implements aios.api.sandbox.v1.SandboxService. The proto says what each method promises."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps

    async def Run(
        self, request_iterator: AsyncIterator[sandbox_pb2.RunRequest], context: Any
    ) -> AsyncGenerator[sandbox_pb2.RunResponse, None]:
        """Run one program."""
        session = Session(self._deps, messages.events(request_iterator))
        async with aclosing(session.answers()) as answers:
            async for answer in answers:
                yield messages.response(answer)

    async def GetSandbox(
        self, request: sandbox_pb2.GetSandboxRequest, context: Any
    ) -> sandbox_pb2.GetSandboxResponse:
        """Tell what isolates here and how full it is."""
        deps = self._deps
        return sandbox_pb2.GetSandboxResponse(
            level=messages.LEVELS[deps.sandbox.level],
            problem=deps.sandbox.problem,
            running=deps.jobs.places.running + deps.talks.places.running,
            waiting=deps.jobs.places.waiting + deps.talks.places.waiting,
        )
