"""Counts what a request would cost, and makes a long conversation short."""

import asyncio
from functools import partial
from typing import Final

from aiohttp import web

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.answers import json_response
from gateway.http.responses import ids
from gateway.http.responses.answer import usage
from gateway.http.responses.desk import Desk
from gateway.http.responses.items import packed
from gateway.http.responses.model import Keeper, Window
from gateway.http.responses.owner import keeper as keeper_of
from gateway.http.responses.request import Prepared, Surroundings, read
from gateway.http.responses.schema import Asked
from gateway.http.visit import Visit
from services.chassis.rpc import chat_wire
from services.chassis.rpc.errors import KernelError

_SHORTER: Final = 2
"""A compaction leaves at most this part of the tokens: half."""
_LEAST_TOKENS: Final = 256
"""What is no longer than this is not made shorter."""


class CountingRoutes:
    """Answers `/v1/responses/input_tokens` and `/v1/responses/compact`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def input_tokens(self, visit: Visit) -> web.StreamResponse:
        """Count the tokens of an input with all that it goes on with."""
        prepared = await self._read(visit)
        tokens = await self._count(visit, prepared)
        return json_response({"object": "response.input_tokens", "input_tokens": tokens})

    async def compact(self, visit: Visit) -> web.StreamResponse:
        """Answer with one item that stands for a conversation, its older part told in short."""
        prepared = await self._read(visit)
        before = await self._count(visit, prepared)
        window = await self._shortened(visit, prepared, before)
        digits = ids.new("", "")
        item = {
            "id": ids.output_id("compaction", digits, 0),
            "type": "compaction",
            "encrypted_content": packed([chat_wire.message_proto(each) for each in window.messages]),
        }
        used = pb.Usage(prompt_tokens=before, completion_tokens=window.tokens)
        return json_response(
            {
                "id": ids.response_id(digits),
                "object": "response.compaction",
                "created_at": self._desk.library.now(),
                "output": [item],
                "usage": usage(used),
            }
        )

    async def _read(self, visit: Visit) -> Prepared:
        body, keeper = await visit.body(Asked), keeper_of(visit)
        history = await self._desk.history(keeper, body)
        around = Surroundings(
            digits=ids.new("", ""),
            model=self._desk.fittings.aliases.resolve(body.model or ""),
            header=visit.request.headers.get,
            temperature=0.0,
            earlier=[chat_wire.message_proto(each) for each in history.messages],
        )
        given = await self._desk.resolved(keeper, body)
        prepared = await visit.aside(partial(read, body, around, given))
        prepared.generation.tools.extend(prepared.offered.tools.definitions)
        return prepared

    async def _count(self, visit: Visit, prepared: Prepared) -> int:
        asked = pb.CountTokensRequest(
            model=prepared.generation.model,
            messages=prepared.generation.messages,
            tools=prepared.generation.tools,
        )
        try:
            counted = await self._desk.fittings.kernel.inference.CountTokens(
                asked, metadata=visit.main_metadata
            )
        except KernelError as error:
            raise prepared.words.reword(error) from None
        return counted.token_count

    async def _shortened(self, visit: Visit, prepared: Prepared, tokens: int) -> Window:
        """Return the conversation in half of its tokens; whole when nothing of it can go."""
        messages = prepared.conversation
        whole = Window(messages, tokens)
        if tokens <= _LEAST_TOKENS:
            return whole
        own = Keeper(visit.caller.tenant, visit.caller.agent, visit.metadata)
        try:
            async with asyncio.timeout(visit.call_seconds):
                return await self._desk.windows.fit(
                    own,
                    messages,
                    (),
                    model=prepared.generation.model,
                    budget=max(_LEAST_TOKENS, tokens // _SHORTER),
                    summarize=True,
                )
        except KernelError as error:
            if error.reason != "WINDOW_TOO_SMALL":
                raise
            return whole
