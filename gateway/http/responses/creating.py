"""One `POST /v1/responses` on its way: read, generated, stored, told."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.responses import ids
from gateway.http.responses.answer import Composed, Head, Json
from gateway.http.responses.desk import Desk
from gateway.http.responses.encoder import Told
from gateway.http.responses.generating import Generating
from gateway.http.responses.model import History, Keeper, Record, Work
from gateway.http.responses.owner import Owner
from gateway.http.responses.owner import keeper as keeper_of
from gateway.http.responses.request import Prepared, Surroundings, prepare
from gateway.http.responses.schema import Create
from gateway.http.responses.service.keeping import (
    MOST_AT_ONCE,
    conversation_name,
    finished_name,
    pending_name,
)
from gateway.http.responses.stream import Composer
from gateway.http.visit import Visit
from services.chassis.rpc import chat_wire
from services.chassis.rpc.errors import IdempotencyMismatch, Internal, InvalidRequest, KernelError
from services.chassis.runtime.logs import logger

_log = logger(__name__)

_AUTO: Final = "auto"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is known of a request before its conversation is looked up."""

    digest: str
    keeper: Keeper
    digits: str
    stored: bool
    background: bool
    stream: bool

    @classmethod
    async def of(cls, visit: Visit, body: Create) -> "Terms":
        """Read what a request is about. Raises InvalidRequest, and what Visit.raw raises."""
        keeper = keeper_of(visit)
        stored = body.store is not False
        if body.background and not stored:
            raise InvalidRequest.field("background", "what goes on in the background has to be stored")
        digest = hashlib.sha256(await visit.raw()).hexdigest()
        digits = ids.new(keeper.agent, visit.request_id)
        return cls(digest, keeper, digits, stored, bool(body.background), bool(body.stream))

    def check_repeat(self, earlier: Record) -> None:
        """Raise IdempotencyMismatch unless a stored response is that of an equal request."""
        if earlier.digest != self.digest:
            raise IdempotencyMismatch(
                "another request was sent under this idempotency key; use a new one",
                metadata={"request_id": earlier.id},
            )


@dataclass(frozen=True, slots=True)
class Creating:
    """A response that is to be made."""

    desk: Desk
    terms: Terms
    history: History
    prepared: Prepared
    head: Head
    generating: Generating
    owner: Owner
    """Whose tokens are had anew at the end: an answer may take longer than the one it began with counts."""

    @classmethod
    async def of(cls, desk: Desk, visit: Visit, body: Create, terms: Terms) -> "Creating":
        """Look up what the request goes on with, and read it whole. Nothing is queued before.

        The request's JSON is not held from here on: it takes many times its length.
        """
        fittings = desk.fittings
        history = await desk.history(terms.keeper, body)
        given = await desk.resolved(terms.keeper, body)
        around = Surroundings(
            digits=terms.digits,
            model=fittings.aliases.resolve(body.model or ""),
            header=visit.request.headers.get,
            temperature=fittings.config.default_temperature,
            earlier=[chat_wire.message_proto(each) for each in history.messages],
        )
        prepared = await visit.aside(partial(prepare, body, around, given))
        if history.conversation and len(prepared.own) >= MOST_AT_ONCE:
            raise InvalidRequest.field("input", f"a turn has at most {MOST_AT_ONCE} messages")
        if not terms.stored:
            prepared.items.clear()
        prepared.generation.request_id = visit.request_id
        prepared.echo["store"] = terms.stored
        named = ids.conversation_id(history.conversation)
        prepared.echo["conversation"] = {"id": named} if history.conversation else None
        model = fittings.aliases.shown(body.model or "")
        head = Head(terms.digits, desk.library.now(), model, prepared.echo)
        # A window is made with the caller's own calls, since a summary may be generated for it.
        own = Keeper(terms.keeper.tenant, visit.caller.agent, visit.metadata)
        fitting = partial(desk.fitter.fit, own) if body.truncation == _AUTO else None
        generating = Generating(fittings.kernel, visit, prepared, fitting)
        owner = Owner.of(visit, fittings.identities)
        return cls(desk, terms, history, prepared, head, generating, owner)

    def composer(self) -> Composer:
        """Return what tells the generation as events."""
        return Composer(self.head, self.prepared.offered, self.prepared.shown())

    async def whole(self) -> tuple[Json, dict[str, str]]:
        """Generate and store; return the response, and what its headers tell."""
        made, headers = await self.generating.whole(self.terms.digits)
        return await self._kept(made), headers

    async def told(self, composer: Composer, seconds: float) -> AsyncGenerator[Told, None]:
        """Generate, and store before the end is told: who reads it may go on from it."""
        async with aclosing(self.generating.events(seconds)) as events:
            async for event in events:
                yield event
        made = composer.composed
        if made is None:
            raise Internal("a generation ended without an answer")
        yield await self._kept(made)

    async def pending(self) -> Record:
        """Store what generating it takes, before its client is told its id. Raises what the shelf raises."""
        asked = pb.GenerateRequest()
        asked.CopyFrom(self.prepared.generation)
        asked.request_id = asked.request_id or f"resp-{self.terms.digits}"
        own = chat_wire.messages(self.prepared.own)
        kinds = self.prepared.offered.kinds.items()
        work = Work(
            request=asked.SerializeToString(),
            kinds={name: (kind.name, kind.namespace, kind.custom) for name, kind in kinds},
            count=len(self.history.messages) + len(own),
            own=len(own),
            tier=self.prepared.tier.wanted,
        )
        record = msgspec.structs.replace(self._record(self.head.response("queued")), work=work)
        keeper, digits, library = self.terms.keeper, self.terms.digits, self.desk.library
        if await library.keep(keeper, pending_name(digits), record, own, self.history):
            return record
        twin = await library.find_pending(keeper, digits) or await library.find(keeper, digits)
        if twin is not None:
            self.terms.check_repeat(twin)
        return twin or record

    async def _kept(self, made: Composed) -> Json:
        """Store a response that has ended, as far as it is to be stored. Return it as it is told.

        A conversation must get its turn, or the request fails. A response that finds no place is told
        all the same, with `store` false: the work is done, and only going on from its id is not possible.
        """
        response = made.response(self.head, self.desk.library.now())
        turn = [*chat_wire.messages(self.prepared.own), chat_wire.message(made.message)]
        digits, history = self.terms.digits, self.history
        if history.conversation:
            keeper = await self.owner.keeper()
            await self.desk.shelf.append(keeper, conversation_name(history.conversation), turn, digits)
        if not self.terms.stored:
            return response
        library = self.desk.library
        try:
            keeper = await self.owner.keeper()
            if await library.keep(keeper, finished_name(digits), self._record(response), turn, history):
                return response
            earlier = await library.find(keeper, digits)
        except KernelError as error:
            _log.warning("a response was not stored", reason=error.reason)
            return {**response, "store": False}
        if earlier is None:
            return response
        self.terms.check_repeat(earlier)  # two gateways may have begun it without knowing of one another
        return earlier.response

    def _record(self, response: Json) -> Record:
        return Record(
            response=response,
            items=self.prepared.items,
            digest=self.terms.digest,
            expires_at=self.desk.library.expiry(),
            conversation=self.history.conversation,
        )
