"""`/console/stream`: the one stream of a tab, with all that its page watches.

Each topic is a server stream of the contract, opened with the visitor's token and ended by the kernel like
any other. Events are gathered for a moment, so that a busy kernel costs a browser few frames. A browser that
falls behind is told what it lost and begins anew, with what the watches begin with.
"""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from aiohttp import web
from google.protobuf.message import Message

from gateway.http.console.calls import holder_of, metadata_of, written
from gateway.http.console.core.headers import NEVER
from gateway.http.console.core.hosts import Origin
from gateway.http.console.core.outbox import Outbox
from gateway.http.console.entrance import Entrance, peer_of
from gateway.http.console.failures import body_of, dress, status_of
from gateway.http.console.metrics import ConsoleMetrics
from gateway.http.console.model import Session
from gateway.http.console.service.sessions import RENEW_BELOW
from gateway.http.console.settings import ConsoleSettings
from gateway.http.console.transcoding import message_of, method_of
from gateway.http.errors import WrongMethod
from gateway.http.protocol import patience
from services.chassis.dispatch.errors import TooManyCalls
from services.chassis.gate import Visitor
from services.chassis.quotas import Cap, Owner
from services.chassis.rpc.codes import Code
from services.chassis.rpc.errors import Draining, InvalidRequest, KernelError, SlowReader
from services.chassis.rpc.methods import Method
from services.chassis.rpc.steps import mapping
from services.chassis.shares import Shares

_MOST_BODY: Final = 128 * 1024
_MOST_TOPICS: Final = 16
_TOPIC: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_GATHER_SECONDS: Final = 0.1
_CHECK_SECONDS: Final = 1.0
_ALIVE_SECONDS: Final = 15.0
_MOST_BYTES: Final = 2**20
_MOST_EVENTS: Final = 4096
_BEHIND_SECONDS: Final = 2.0
"""How long a topic waits for a browser to take what is there, before events are dropped."""
_HEADERS: Final[Mapping[str, str]] = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": NEVER,
    "x-accel-buffering": "no",  # proxies that gather an answer first would hold the stream back
}


@dataclass(frozen=True, slots=True)
class _Topic:
    name: str
    method: Method
    request: Message


@dataclass(slots=True, eq=False)
class _Tab:
    """One stream while it is open."""

    session: Session
    outbox: Outbox = field(default_factory=lambda: Outbox(_MOST_BYTES, _MOST_EVENTS))
    news: asyncio.Event = field(default_factory=asyncio.Event)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    ended: list[tuple[str, KernelError | None]] = field(default_factory=list)
    """Topics that have ended and were not told of."""
    running: int = 0


class Streams:
    """All open streams of this process."""

    def __init__(
        self, entrance: Entrance, channel: Any, settings: ConsoleSettings, metrics: ConsoleMetrics
    ) -> None:
        self._entrance = entrance
        self._channel = channel
        self._metrics = metrics
        self._per_session = settings.streams_per_session
        cap = Cap(settings.streams_per_agent, 2 * settings.streams_per_agent, settings.streams // 2)
        self._shares = Shares("console_streams", cap, most=settings.streams)
        entrance.fittings.openings.add(self._shares)
        metrics.show_streams(lambda: self._shares.held)
        self._of_session: Counter[str] = Counter()
        self._tabs: set[_Tab] = set()
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """End all streams; their pages come again."""
        self._draining.set()
        for tab in self._tabs:
            tab.news.set()

    def ended(self, session_id: str) -> None:
        """Wake the streams of a session that has just ended."""
        for tab in self._tabs:
            if tab.session.id == session_id:
                tab.news.set()

    async def answer(self, request: web.Request, origin: Origin, rest: str) -> web.StreamResponse:
        """Answer one request with a stream."""
        if request.method != "POST" or rest:
            raise WrongMethod("a stream is opened with POST")
        session = await self._entrance.session(request, origin)
        async with self._entrance.body(request, holder_of(session), _MOST_BODY) as value:
            topics = _topics(value)
        fresh = await self._entrance.sessions.renewed(session, peer_of(request))
        answer = web.StreamResponse(headers=_HEADERS)
        if fresh is not None:
            self._entrance.keep(origin, fresh, answer)
        tab = _Tab(fresh or session)
        owner = self._take(tab)
        try:
            dress(answer)
            await answer.prepare(request)
            await self._serve(request, answer, tab, topics)
        finally:
            self._give_back(tab, owner)
        return answer

    def _take(self, tab: _Tab) -> Owner:
        session = tab.session
        if self._of_session[session.id] >= self._per_session:
            raise TooManyCalls("this session has too many streams open: close some tabs", retry_after=5.0)
        owner = Owner(
            session.tenant, session.agent, self._entrance.fittings.root(session.tenant, session.agent)
        )
        self._shares.take(owner)
        self._of_session[session.id] += 1
        self._tabs.add(tab)
        return owner

    def _give_back(self, tab: _Tab, owner: Owner) -> None:
        self._tabs.discard(tab)
        self._shares.give_back(owner)
        self._of_session[tab.session.id] -= 1
        if not self._of_session[tab.session.id]:
            del self._of_session[tab.session.id]

    async def _serve(
        self, request: web.Request, answer: web.StreamResponse, tab: _Tab, topics: Sequence[_Topic]
    ) -> None:
        line = _Line(request, answer, self._entrance.fittings.config.write_seconds.total_seconds())
        tab.running = len(topics)
        pumps = [
            asyncio.create_task(self._pump(request, tab, topic), name="console topic") for topic in topics
        ]
        try:
            await line.send(b": open\n\n")
            await self._relay(line, tab)
        except KernelError as error:
            await line.send(_event("end", _end(error)))
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._metrics.lost(sum(tab.outbox.lost.values()))

    async def _relay(self, line: "_Line", tab: _Tab) -> None:
        """Send what comes until the stream is to end. Raises KernelError for why it ends."""
        loop = asyncio.get_running_loop()
        until = self._until(tab.session)
        said = loop.time()
        while True:
            try:
                async with asyncio.timeout(_CHECK_SECONDS):
                    await tab.news.wait()
            except TimeoutError:
                pass
            tab.news.clear()
            if self._draining.is_set():
                raise Draining("the process is shutting down", retry_after=1.0 + random.random())  # noqa: S311
            await self._entrance.sessions.check(tab.session)
            told = await self._flush(line, tab)
            if told:
                said = loop.time()
                await asyncio.sleep(_GATHER_SECONDS)
            elif loop.time() - said >= _ALIVE_SECONDS:
                await line.send(b": alive\n\n")
                said = loop.time()
            if not tab.running and not tab.ended and not tab.outbox.count:
                await line.send(_event("end", {"reason": "FINISHED"}))
                return
            if self._entrance.clock.now().timestamp() >= until:
                await line.send(_event("end", {"reason": "RENEW", "retry_seconds": 0}))
                return

    async def _flush(self, line: "_Line", tab: _Tab) -> bool:
        """Send what waits, and which topics have ended. Raises KernelError when nothing can follow."""
        batch = tab.outbox.take()
        tab.room.set()
        frame = b"event: batch\ndata: %b\n\n" % batch if batch else b""
        ended, tab.ended = tab.ended, []
        for name, error in ended:
            if error is not None and error.code is Code.UNAUTHENTICATED:
                await line.send(frame)
                raise error
            told = {"reason": "FINISHED"} if error is None else {**body_of(error), "status": status_of(error)}
            frame += _event("finished" if error is None else "error", {"topic": name, **told})
        if tab.outbox.lost:
            for name, count in tab.outbox.lost.items():
                frame += _event("lost", {"topic": name, "count": count})
            await line.send(frame)
            raise SlowReader("the browser fell behind: it begins anew", retry_after=0.5)
        await line.send(frame)
        return bool(frame)

    def _until(self, session: Session) -> float:
        """Return when the page is asked to open the stream anew, so that its session is renewed."""
        life = session.expires_at - session.issued_at
        early = session.expires_at - RENEW_BELOW * life
        lasting = session.expires_at < session.ends_at and early > self._entrance.clock.now().timestamp()
        return early if lasting else session.expires_at

    async def _pump(self, request: web.Request, tab: _Tab, topic: _Topic) -> None:
        error: KernelError | None = None
        visitor = Visitor(agent=holder_of(tab.session))
        try:
            call = self._channel.unary_stream(topic.method.path, response_deserializer=bytes)
            async for raw in call(topic.request, metadata=metadata_of(tab.session, request)):
                await _put(tab, topic.name, await written(topic.method, raw, visitor))
        except Exception as problem:  # noqa: BLE001 - whatever it is, it ends this topic and is told
            error = mapping.typed(problem, f"console {topic.name}")
        tab.running -= 1
        tab.ended.append((topic.name, error))
        tab.news.set()


class _Line:
    """The browser's end. Writing is bounded in time; who takes nothing is cut off."""

    def __init__(self, request: web.Request, answer: web.StreamResponse, seconds: float) -> None:
        self._request = request
        self._answer = answer
        self._seconds = seconds

    async def send(self, data: bytes) -> None:
        """Send some bytes. Raises ConnectionError."""
        if not data:
            return
        try:
            async with asyncio.timeout(patience(self._seconds, len(data))):
                await self._answer.write(data)
        except TimeoutError:
            if self._request.transport is not None:
                self._request.transport.abort()
            raise ConnectionResetError("the browser takes nothing") from None


async def _put(tab: _Tab, topic: str, event: bytes) -> None:
    """Hand over an event; wait a while for a browser that has not taken the ones before."""
    if tab.outbox.full:
        tab.room.clear()
        tab.news.set()
        try:
            async with asyncio.timeout(_BEHIND_SECONDS):
                await tab.room.wait()
        except TimeoutError:
            pass
    tab.outbox.put(topic, event)
    tab.news.set()


def _topics(value: Any) -> list[_Topic]:
    """Read what is to be watched. Raises InvalidRequest and UnknownMethod."""
    asked = value.get("topics") if isinstance(value, dict) and set(value) == {"topics"} else None
    if not isinstance(asked, list) or not 0 < len(asked) <= _MOST_TOPICS:
        raise InvalidRequest.field("topics", f"name 1 to {_MOST_TOPICS} topics")
    topics = [_topic(one, f"topics[{n}]") for n, one in enumerate(asked)]
    if len({topic.name for topic in topics}) != len(topics):
        raise InvalidRequest.field("topics", "no two topics have one name")
    return topics


def _topic(value: Any, path: str) -> _Topic:
    if not isinstance(value, dict) or not set(value) <= {"name", "method", "request"}:
        raise InvalidRequest.field(path, "a topic has a name, a method and a request")
    name, method = value.get("name"), value.get("method")
    if not isinstance(name, str) or not _TOPIC.fullmatch(name):
        raise InvalidRequest.field(f"{path}.name", f"must match {_TOPIC.pattern}")
    found = method_of(method) if isinstance(method, str) else None
    if found is None or not found.server_streaming:
        raise InvalidRequest.field(f"{path}.method", "must be a call that streams")
    return _Topic(name, found, message_of(found, value.get("request", {})))


def _end(error: KernelError) -> dict[str, object]:
    return {**body_of(error), "status": status_of(error)}


def _event(kind: str, data: Mapping[str, object]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(data))
