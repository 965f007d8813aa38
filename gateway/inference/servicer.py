"""InferenceService over gRPC."""

from collections.abc import AsyncGenerator
from typing import Any

from aios.api.inference.v1 import inference_pb2 as pb
from aios.api.inference.v1 import inference_pb2_grpc
from gateway.inference import wire
from gateway.inference.service.use_cases import InferenceUseCases
from services.chassis.auth.identity import Caller, current_caller
from services.chassis.rpc import names, paging
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.rpc.wire import quota_usage
from services.chassis.shares import Openings


class InferenceServicer(inference_pb2_grpc.InferenceServiceServicer):
    """Implements aios.api.inference.v1.InferenceService. The proto says what each method promises."""

    def __init__(self, use_cases: InferenceUseCases, openings: Openings | None = None) -> None:
        self._openings = openings
        self._use_cases = use_cases

    async def Generate(self, request: pb.GenerateRequest, context: Any) -> pb.GenerateResponse:
        name, answer = await self._use_cases.generate(
            current_caller(), wire.spec(request), request.request_id, wire.resume_point(request)
        )
        return pb.GenerateResponse(name=name, finished=wire.finished(answer))

    async def StreamGenerate(
        self,
        request: pb.StreamGenerateRequest,
        context: Any,
    ) -> AsyncGenerator[pb.StreamGenerateResponse, None]:
        asked = request.generation
        events = self._use_cases.stream(
            current_caller(), wire.spec(asked), asked.request_id, wire.resume_point(asked)
        )
        first = True
        async for name, event in events:
            yield pb.StreamGenerateResponse(name=name if first else "", event=wire.event(event))
            first = False

    async def WatchGeneration(
        self,
        request: pb.WatchGenerationRequest,
        context: Any,
    ) -> AsyncGenerator[pb.WatchGenerationResponse, None]:
        caller = current_caller()
        call = _call(request.name, caller)
        async for event in self._use_cases.watch(caller.tenant, caller.owner, call, request.after_sequence):
            yield pb.WatchGenerationResponse(event=wire.event(event))

    async def CancelGeneration(
        self,
        request: pb.CancelGenerationRequest,
        context: Any,
    ) -> pb.CancelGenerationResponse:
        caller = current_caller()
        cancelled = self._use_cases.cancel(caller.tenant, caller.owner, _call(request.name, caller))
        return pb.CancelGenerationResponse(cancelled=cancelled)

    async def CountTokens(self, request: pb.CountTokensRequest, context: Any) -> pb.CountTokensResponse:
        total, each = await self._use_cases.count(current_caller(), wire.count_spec(request))
        return pb.CountTokensResponse(token_count=total, text_token_counts=each)

    async def Embed(self, request: pb.EmbedRequest, context: Any) -> pb.EmbedResponse:
        model, vectors = await self._use_cases.embed(request.model, list(request.texts))
        return pb.EmbedResponse(embeddings=[pb.Embedding(values=each) for each in vectors], model=model)

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:
        after = paging.decode(request.page_token, "models", shape=(str,))
        models = [each for each in self._use_cases.models() if not after or each.info.model > str(after[0])]
        size = paging.page_size(request.page_size)
        page = models[:size]
        token = paging.encode([page[-1].info.model], "models") if len(models) > size else ""
        return pb.ListModelsResponse(models=[wire.model(each) for each in page], next_page_token=token)

    async def GetUsage(self, request: pb.GetUsageRequest, context: Any) -> pb.GetUsageResponse:
        return pb.GetUsageResponse(quotas=quota_usage([], current_caller(), self._openings))


def _call(name: str, caller: Caller) -> str:
    parsed = names.parse(name, me=caller.agent)
    if parsed.collection != "generations" or not parsed.id:
        raise InvalidRequest.field("name", "expected agents/{agent}/generations/{generation}")
    return parsed.id
