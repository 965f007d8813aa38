"""One HTTP request on its way through a door: who calls, what it says, and what its calls carry."""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, TypeVar, cast

import msgspec
from aiohttp import web

from gateway.http.config import DoorConfig
from gateway.http.errors import RequestTimeout
from gateway.http.model import Identity
from gateway.http.unpacking import coding_of, too_large, unpacked
from services.chassis import json_values as values
from services.chassis.aside import aside
from services.chassis.bodies import Bodies, Holder
from services.chassis.gate import Visitor
from services.chassis.quotas import Owner
from services.chassis.rpc.errors import InvalidRequest, MalformedRequest
from services.chassis.rpc.local import PEER
from services.chassis.rpc.steps.headers import SYSCALL_ID

T = TypeVar("T")

_REQUEST_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_AT: Final = re.compile(r"^(?P<what>.*?) - at `(?P<path>.*)`$", re.DOTALL)
_LONGEST_IDEMPOTENCY_KEY: Final = 256
_SHORT_BODY: Final = 64 * 1024
"""Bytes that are gone through in a few milliseconds, whatever they hold."""
_GRACE_SECONDS: Final = 2.0
"""Who gives up by itself is not told so by us a moment before: the call ends as the connection does."""
_HEADERS_READ: Final = ("x-stainless-read-timeout", "x-stainless-timeout")


@dataclass(slots=True)
class Visit:
    """A request and what is known of it. Made when its head has arrived."""

    request: web.Request
    config: DoorConfig
    bodies: Bodies
    room: Callable[[str, str], tuple[int, int]]
    """How many generations an agent may have under way, and how many more it could begin."""
    syscall_id: str = field(default_factory=lambda: secrets.token_hex(12))
    """Id of the request's main call, told as x-request-id."""
    identity: Identity | None = None
    begun: bool = False
    """Whether a part of the answer was sent."""
    _raw: bytes | None = None
    _reserved: int = 0
    _payer: Owner | None = None

    @property
    def caller(self) -> Identity:
        """Who calls. Only after the credential was checked."""
        if self.identity is None:
            raise RuntimeError("the request has not been identified")
        return self.identity

    @property
    def visitor(self) -> Visitor:
        """Return whose turn the work is."""
        tenant, tree = self._holder
        agent = self.identity.agent if self.identity is not None else tree
        return Visitor(agent=(tenant, agent), tree=(tenant, tree))

    @property
    def told(self) -> dict[str, str]:
        """Return the headers of every answer: the request's id, and how much the caller may begin now."""
        headers = {"x-request-id": self.syscall_id, "request-id": self.syscall_id}
        if self.identity is not None:
            limit, left = self.room(self.identity.tenant, self.identity.agent)
            headers |= {"x-ratelimit-limit-requests": str(limit), "x-ratelimit-remaining-requests": str(left)}
        return headers

    @property
    def peer(self) -> str:
        """Return where the request comes from."""
        return self.request.remote or "unknown"

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata of a call on behalf of the caller."""
        trace = self.request.headers.get("traceparent")
        traced = (("traceparent", trace),) if trace else ()
        return (("authorization", f"Bearer {self.caller.token}"), (PEER, self.peer), *traced)

    @property
    def keeper_metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata of a call on behalf of the key's own agent.

        What must outlive a session, such as stored answers, belongs to that one: a session's agent retires.
        """
        token = self.caller.root_token or self.caller.token
        return (("authorization", f"Bearer {token}"), *self.metadata[1:])

    @property
    def main_metadata(self) -> tuple[tuple[str, str], ...]:
        """Return the metadata of the request's main call: the request's id is its syscall id."""
        return (*self.metadata, (SYSCALL_ID, self.syscall_id))

    @property
    def request_id(self) -> str:
        """Return the kernel's idempotency key for this request; empty when the client gave none.

        Raises InvalidRequest when it is too long.
        """
        own = self.request.headers.get("aios-request-id", "")
        if own:
            if not _REQUEST_ID.fullmatch(own):
                raise InvalidRequest.field("aios-request-id", f"must match {_REQUEST_ID.pattern}")
            return own
        key = self.request.headers.get("idempotency-key", "")
        if len(key) > _LONGEST_IDEMPOTENCY_KEY:
            raise InvalidRequest.field(
                "idempotency-key", f"has more than {_LONGEST_IDEMPOTENCY_KEY} characters"
            )
        return "k-" + hashlib.sha256(key.encode()).hexdigest()[:40] if key else ""

    @property
    def call_seconds(self) -> float:
        """Return how long a call that answers at once may take: what the client says, within a bound."""
        longest = self.config.call_seconds.total_seconds()
        for name in _HEADERS_READ:
            try:
                asked = float(self.request.headers.get(name, ""))
            except ValueError:
                continue
            if asked > 0:  # False for NaN too
                return min(asked + _GRACE_SECONDS, longest)
        return longest

    @property
    def stream_seconds(self) -> float:
        """Return how long a stream may take. What SDKs tell is how long they bear silence."""
        return self.config.stream_seconds.total_seconds()

    async def body(self, shape: type[T]) -> T:
        """Read the body as JSON of a shape.

        Raises InvalidRequest (field paths as the client wrote them), MalformedRequest, RequestTooLarge,
        RequestTimeout, UnsupportedEncoding or TooManyCalls.
        """
        raw = await self.raw()
        await bounded(raw)
        return decode(raw, shape)

    async def aside(self, read: Callable[[], T]) -> T:
        """Run what goes through the whole body: that of a long one in a thread, where it gives way to others.

        Raises what it raises.
        """
        if self._raw is None or len(self._raw) <= _SHORT_BODY:
            return read()
        return await aside(read, visitor=self.visitor)

    async def raw(self) -> bytes:
        """Read the body, once. Raises as `body` does."""
        if self._raw is None:
            self._raw = await self._read()
        return self._raw

    def begin(self) -> None:
        """Note that the answer begins: nothing is done again from here on, and the body is not needed."""
        self.begun = True
        self._raw = b""
        self.release()

    def release(self) -> None:
        """Give back the memory that the body was counted with."""
        if self._payer is not None:
            self.bodies.release(self._payer, self._reserved)
        self._reserved = 0

    @property
    def _holder(self) -> Holder:
        return (
            (self.caller.tenant, self.caller.root or self.caller.agent) if self.identity else ("", self.peer)
        )

    async def _read(self) -> bytes:
        request, limit = self.request, self.config.body_bytes
        coding = coding_of(request)
        size = limit if coding or request.content_length is None else request.content_length
        if size > limit:
            raise too_large(limit)
        payer = self._payer = self.bodies.reserve(self._holder, size)
        self._reserved = size
        try:
            async with asyncio.timeout(self.config.read_seconds.total_seconds()):
                raw = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise too_large(limit) from None
        except TimeoutError:
            raise RequestTimeout("the body did not arrive in time") from None
        except web.RequestPayloadError:
            raise MalformedRequest("the body is cut off or not encoded as its head says") from None
        raw = await unpacked(raw, coding, limit, self.visitor)
        # A body of untold length was counted as the longest there may be, until it was there.
        self.bodies.release(payer, max(0, size - len(raw)))
        self._reserved = min(size, len(raw))
        return raw


async def bounded(raw: bytes) -> None:
    """Count the values of a JSON text, others having their turn meanwhile. Raises RequestTooLarge."""
    for _ in values.counted(raw):
        await asyncio.sleep(0)


def decode(raw: bytes, shape: type[T]) -> T:
    """Read JSON of a shape. Raises InvalidRequest or MalformedRequest."""
    try:
        found: T = _decoder(cast("Hashable", shape)).decode(raw)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except RecursionError:
        raise MalformedRequest("the body is nested too deep") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise MalformedRequest(f"the body is not JSON: {str(error)[:200]}") from None
    return found


@cache
def _decoder(shape: Any) -> Any:
    return msgspec.json.Decoder(shape)


def _invalid(text: str) -> InvalidRequest:
    """Turn `Expected int, got str - at $.messages[0].role` into a violation of `messages[0].role`."""
    found = _AT.match(text)
    if found is None:
        return InvalidRequest.field("body", text[:200])
    path = found["path"].removeprefix("$").removeprefix(".")
    return InvalidRequest.field(path or "body", found["what"].replace("`", "")[:200])
