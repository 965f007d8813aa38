"""Answers `/v1/embeddings`."""

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec
from aiohttp import web

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.http.common import checks
from gateway.http.common.words import Words
from gateway.http.dialect import Dialect, Route, tell_openai
from gateway.http.embeddings import answer, request
from gateway.http.embeddings.schema import Body
from gateway.http.fittings import Fittings
from gateway.http.visit import Visit
from services.chassis.aside import aside
from services.chassis.rpc.errors import DeadlineExceeded, KernelError

_WORDS: Final = Words({"texts": "input", "model": "model"})


class EmbeddingRoutes:
    """Embeddings, in as many calls as the texts need, one after the other."""

    def __init__(self, fittings: Fittings) -> None:
        self._fittings = fittings

    async def create(self, visit: Visit) -> web.StreamResponse:
        """Embed."""
        body = await visit.body(Body)
        texts = request.texts(body)
        model = request.model(body.model or "", self._fittings.aliases)
        checks.characters(model, "model", checks.MODEL_CHARACTERS)
        named, found = model, list[pb.Embedding]()
        try:
            async with asyncio.timeout(visit.call_seconds):
                for batch in request.batches(texts):
                    told = await self._embed(visit, pb.EmbedRequest(model=model, texts=batch), main=not found)
                    request.check_dimensions(body.dimensions, len(told.embeddings[0].values))
                    named = told.model
                    found.extend(told.embeddings)
        except TimeoutError:
            raise DeadlineExceeded("the texts took longer to embed than the call may") from None
        # Two thousand vectors are megabytes of digits: too much work for the loop that all calls share.
        written = await aside(lambda: _written(named, texts, found), visitor=visit.visitor)
        return web.Response(body=written, content_type="application/json")

    async def _embed(self, visit: Visit, asked: pb.EmbedRequest, *, main: bool) -> pb.EmbedResponse:
        metadata = visit.main_metadata if main else visit.metadata
        try:
            return await self._fittings.kernel.inference.Embed(
                asked, metadata=metadata, timeout=visit.call_seconds
            )
        except KernelError as error:
            raise _WORDS.reword(error) from None


def _written(model: str, texts: Iterable[str], found: Iterable[pb.Embedding]) -> bytes:
    return msgspec.json.encode(answer.vectors(model, texts, (each.values for each in found)))


def dialect(fittings: Fittings) -> Dialect:
    """Make the routes."""
    routes = EmbeddingRoutes(fittings)
    return Dialect("embeddings", (Route("POST", "/v1/embeddings", routes.create, tell_openai),))
