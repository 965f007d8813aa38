"""subscriptions/listen of revision 2026-07-28: a stream of what changes, as long as its client listens."""

import asyncio
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler

from gateway.http.kernel import Kernel
from gateway.http.mcp.settings import McpSettings
from gateway.http.mcp.syscalls import Caller
from gateway.http.mcp.uris import Resource
from gateway.http.mcp.watches import FileWatch, tools_digest, watch_tools, watchable
from services.chassis.rpc.errors import InvalidRequest


class Listening:
    """What one client listens to."""

    def __init__(
        self, kernel: Kernel, settings: McpSettings, caller: Caller, asked: types.SubscriptionFilter
    ) -> None:
        self._kernel = kernel
        self._settings = settings
        self._caller = caller
        self._bus = InMemorySubscriptionBus()
        self._stream = ListenHandler(self._bus)
        self._asked = asked
        self._followers: list[asyncio.Task[None]] = []

    async def serve(
        self, ctx: ServerRequestContext[Any, Any], params: types.SubscriptionsListenRequestParams
    ) -> types.SubscriptionsListenResult:
        """Say what is listened to, and then what changes. Raises InvalidRequest and what the kernel refuses.

        Nothing that happens after the client hears that it listens is missed: the kernel's watch is open and
        the tools were read before.
        """
        resources = self._resources()
        honored = types.SubscriptionFilter(
            tools_list_changed=self._asked.tools_list_changed,
            resources_list_changed=self._asked.resources_list_changed,
            resource_subscriptions=list(resources.values()) or None,
        )
        try:
            if resources or honored.resources_list_changed:
                await self._follow_files(resources, lists=bool(honored.resources_list_changed))
            if honored.tools_list_changed:
                await self._follow_tools()
            for follower in self._followers:  # what ends for good ends the stream; its client asks again
                follower.add_done_callback(lambda _: self._stream.close())
            return await self._stream(ctx, params.model_copy(update={"notifications": honored}))
        finally:
            await self._stop()

    def _resources(self) -> dict[Resource, str]:
        """Return what can be watched of what was asked for; the client is told which."""
        uris = self._asked.resource_subscriptions or []
        most = self._settings.subscriptions_per_session
        if len(uris) > most:
            raise InvalidRequest.field("resourceSubscriptions", f"may have {most} entries")
        return {resource: uri for uri in uris if (resource := watchable(uri)) is not None}

    async def _follow_files(self, resources: dict[Resource, str], *, lists: bool) -> None:
        watch = FileWatch(self._kernel, self._caller, self._bus.publish, lists=lists)
        watch.resources = resources
        await watch.start()
        self._followers.append(watch.task)

    async def _follow_tools(self) -> None:
        before = await tools_digest(self._kernel, self._caller)
        every = self._settings.tools_poll_seconds.total_seconds()
        following = watch_tools(self._kernel, self._caller, self._bus.publish, before=before, every=every)
        self._followers.append(asyncio.create_task(following, name="mcp tools watch"))

    async def _stop(self) -> None:
        for follower in self._followers:
            follower.cancel()
        for follower in self._followers:
            await asyncio.wait({follower})
            if not follower.cancelled():
                follower.exception()  # told to the client by the end of its stream
