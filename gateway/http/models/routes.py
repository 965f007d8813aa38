"""Lists the models that backends serve, and tells one."""

from aiohttp import web

from aios.api.inference.v1 import inference_pb2 as pb
from gateway.errors import ModelNotFound
from gateway.http.answers import json_response
from gateway.http.dialect import Dialect, Route
from gateway.http.fittings import Fittings
from gateway.http.models import wire
from gateway.http.visit import Visit

_ALL = pb.ListModelsRequest(page_size=1000)


class ModelRoutes:
    """Answers `/v1/models` and `/v1/models/{model}`."""

    def __init__(self, fittings: Fittings) -> None:
        self._fittings = fittings

    async def every(self, visit: Visit) -> web.StreamResponse:
        """List them."""
        models = await self._models(visit)
        return json_response(wire.anthropic_list(models) if _anthropic(visit) else wire.openai_list(models))

    async def get(self, visit: Visit) -> web.StreamResponse:
        """Tell one, by its own name or by one that stands for it. Raises ModelNotFound."""
        asked = visit.request.match_info["model"]
        wanted = self._fittings.aliases.resolve(asked)
        for model in await self._models(visit):
            if model.name == wanted or (not wanted and model.is_default):
                tell = wire.anthropic_model if _anthropic(visit) else wire.openai_model
                return json_response(tell(model, asked))
        raise ModelNotFound(f"no model {asked[:256]!r} is served", metadata={"model": asked[:256]})

    async def _models(self, visit: Visit) -> list[pb.Model]:
        answer = await self._fittings.kernel.inference.ListModels(_ALL, metadata=visit.main_metadata)
        return list(answer.models)


def _anthropic(visit: Visit) -> bool:
    return "anthropic-version" in visit.request.headers


def dialect(fittings: Fittings) -> Dialect:
    """Make the routes."""
    routes = ModelRoutes(fittings)
    return Dialect(
        "models",
        (Route("GET", "/v1/models", routes.every), Route("GET", "/v1/models/{model:.+}", routes.get)),
    )
