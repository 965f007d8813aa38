"""Changes as they happen: which file resources a client wants to hear of, and whether its tools changed.

One watch of the kernel follows all files of the caller, whatever number of resources was subscribed to; it is
opened again when it breaks, from where it stood. It ends for good with the credential.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

from mcp.shared.subscriptions import ResourcesListChanged, ResourceUpdated, ServerEvent, ToolsListChanged

from aios.api.storage.v1 import storage_pb2
from aios.api.tool.v1 import tool_pb2
from gateway.http.kernel import Kernel
from gateway.http.mcp.syscalls import Caller, ask, follow
from gateway.http.mcp.uris import Kind, Resource, of_name, parse
from services.chassis.rpc.errors import KernelError, ServiceUnavailable
from services.chassis.runtime.logs import logger
from services.chassis.streams import LongStream, follow_forever, is_final

_log = logger(__name__)

Publish = Callable[[ServerEvent], Awaitable[None]]

_EXPIRED: Final = "EVENTS_EXPIRED"
_WATCH_SECONDS: Final = 3600.0
_SILENCE_SECONDS: Final = 60.0
_OPEN_SECONDS: Final = 10.0
_PAGE: Final = 500
_LISTED: Final = frozenset(
    {storage_pb2.FILE_CHANGE_CREATED, storage_pb2.FILE_CHANGE_DELETED, storage_pb2.FILE_CHANGE_MOVED}
)


def watchable(uri: str) -> Resource | None:
    """Return the file that a URI names, or None for what has no watch in the kernel."""
    resource = parse(uri)
    return resource if resource is not None and resource.kind is Kind.FILE else None


class FileWatch:
    """Follows the caller's files and publishes what happens to those subscribed to."""

    def __init__(self, kernel: Kernel, caller: Caller, publish: Publish, *, lists: bool = False) -> None:
        self._kernel = kernel
        self._caller = caller
        self._publish = publish
        self._lists = lists
        self._position = 0
        self._opened = False
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.resources: dict[Resource, str] = {}
        """What is subscribed to, each with the URI in the client's own spelling."""

    async def start(self) -> None:
        """Begin, and return once nothing that happens from now on is missed. Raises KernelError."""
        if self._task is None or self._task.done():
            self._ready.clear()
            self._task = asyncio.create_task(self.run(), name="mcp file watch")
            self._task.add_done_callback(_note_end)
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait(
                {ready, self._task}, timeout=_OPEN_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            ready.cancel()
        if self._task.done() and not self._task.cancelled():
            error = self._task.exception()
            raise error or ServiceUnavailable("the watch has ended")
        if not self._ready.is_set():
            await self.stop()
            raise ServiceUnavailable("files cannot be watched right now")

    @property
    def task(self) -> asyncio.Task[None]:
        """What follows the files, once started."""
        if self._task is None:
            raise RuntimeError("the watch was not started")
        return self._task

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def run(self) -> None:
        """Follow the files until the kernel refuses for good. Raises that KernelError."""
        stream = LongStream("mcp file watch", silence=_SILENCE_SECONDS)
        while True:
            try:
                await follow_forever(stream, self._events, self._happened)
            except KernelError as error:
                if error.reason != _EXPIRED:
                    raise
                self._position = 0

    async def _events(self) -> AsyncGenerator[storage_pb2.WatchFilesResponse, None]:
        request = storage_pb2.WatchFilesRequest(parent="agents/me/files", after_sequence=self._position)
        missed = self._opened and self._position == 0
        method = self._kernel.storage.WatchFiles
        async for event in follow(method, request, self._caller, seconds=_WATCH_SECONDS):
            if missed:  # what happened in between is not known: everything may have changed
                missed = False
                await self._all_changed()
            yield event

    async def _happened(self, event: storage_pb2.WatchFilesResponse) -> None:
        self._position = max(self._position, event.sequence)
        self._opened = True
        self._ready.set()
        if event.change == storage_pb2.FILE_CHANGE_UNSPECIFIED:
            return
        for name in {event.file.name, event.previous_name} - {""}:
            uri = self.resources.get(of_name(name))
            if uri is not None:
                await self._publish(ResourceUpdated(uri))
        if self._lists and event.change in _LISTED:
            await self._publish(ResourcesListChanged())

    async def _all_changed(self) -> None:
        for uri in list(self.resources.values()):
            await self._publish(ResourceUpdated(uri))
        if self._lists:
            await self._publish(ResourcesListChanged())


def _note_end(watch: asyncio.Task[None]) -> None:
    """Log why a watch ended for good; a stream ends with it, a session goes on without."""
    error = None if watch.cancelled() else watch.exception()
    if error is not None:
        _log.info("a watch of files has ended", why=str(error))


async def watch_tools(
    kernel: Kernel, caller: Caller, publish: Publish, *, before: bytes, every: float
) -> None:
    """Compare the caller's tools now and then with those `before`, and tell of changes. Raises what is final.

    The kernel has no watch of tools; what is compared is their names, times and whether they can be called.
    """
    while True:
        await asyncio.sleep(every)
        try:
            now = await tools_digest(kernel, caller)
        except KernelError as error:
            if is_final(error):
                raise
            continue
        if now != before:
            before = now
            await publish(ToolsListChanged())


async def tools_digest(kernel: Kernel, caller: Caller) -> bytes:
    """Return what stands for all of the caller's tools as they are now. Raises KernelError."""
    digest = hashlib.sha256()
    request = tool_pb2.ListToolsRequest(page_size=_PAGE, view=tool_pb2.TOOL_VIEW_BASIC)
    more = True
    while more:
        page: Any = await ask(kernel.tool.ListTools, request, caller)
        for tool in page.tools:
            digest.update(
                f"{tool.name}\0{tool.etag}\0{tool.update_time.ToNanoseconds()}\0{tool.available}\n".encode()
            )
        request.page_token = page.next_page_token
        more = bool(page.next_page_token)
    return digest.digest()
