"""The only converter between the inference protos and the model."""

from collections.abc import Sequence
from typing import Final

from aios.api.common.v1 import chat_pb2
from aios.api.inference.v1 import inference_pb2 as pb
from gateway.inference.model import (
    Admitted,
    Answer,
    Constraint,
    ConstraintKind,
    CountSpec,
    Delta,
    Event,
    FinishReason,
    GenerationSpec,
    Place,
    Resumed,
    ResumePoint,
    Sampling,
    Suspended,
    SuspendReason,
    ToolChoice,
)
from gateway.inference.service.use_cases import ModelSummary
from services.chassis.chat import ChatMessage
from services.chassis.dispatch.scheduling import Gang
from services.chassis.rpc import chat_wire
from services.chassis.rpc.errors import InvalidRequest
from services.chassis.rpc.wire import duration, hints_asked

MOST_CALLS: Final = 2048
"""Tool calls in all messages of a request: twice as many as it may have messages. Each is gone through."""

_CHOICES = {
    pb.TOOL_CHOICE_UNSPECIFIED: ToolChoice.AUTO,
    pb.TOOL_CHOICE_AUTO: ToolChoice.AUTO,
    pb.TOOL_CHOICE_NONE: ToolChoice.NONE,
    pb.TOOL_CHOICE_REQUIRED: ToolChoice.REQUIRED,
}
_FINISH = {
    FinishReason.STOP: pb.FINISH_REASON_STOP,
    FinishReason.LENGTH: pb.FINISH_REASON_LENGTH,
    FinishReason.TOOL_CALLS: pb.FINISH_REASON_TOOL_CALLS,
}
_SUSPEND = {
    SuspendReason.PREEMPTED: pb.SUSPEND_REASON_PREEMPTED,
    SuspendReason.BACKEND_LOST: pb.SUSPEND_REASON_BACKEND_LOST,
}


def spec(request: pb.GenerateRequest) -> GenerationSpec:
    """Read what is asked for."""
    return GenerationSpec(
        model=request.model,
        messages=_messages(request.messages),
        prompt=request.prompt,
        tools=chat_wire.tools(request.tools),
        tool_choice=_CHOICES[request.tool_choice],
        constraint=_constraint(request),
        sampling=_sampling(request.sampling),
        max_tokens=request.max_tokens,
        fit_max_tokens=request.fit_max_tokens,
        stop=tuple(request.stop),
        hints=hints_asked(request.hints),
        step=request.step,
        top_alternatives=request.top_alternatives,
        gang=Gang(request.gang.id, request.gang.size) if request.HasField("gang") else None,
        tool_choice_name=request.tool_choice_name,
        max_tool_calls=request.max_tool_calls,
        affinity_key=request.affinity_key,
        logprobs=request.logprobs,
    )


def count_spec(request: pb.CountTokensRequest) -> CountSpec:
    """Read what to count."""
    return CountSpec(
        model=request.model,
        messages=_messages(request.messages),
        tools=chat_wire.tools(request.tools),
        texts=tuple(request.texts),
    )


def _messages(sent: Sequence[chat_pb2.ChatMessage]) -> tuple[ChatMessage, ...]:
    """Read a chat. Raises InvalidRequest for more tool calls than any has."""
    if sum(len(each.tool_calls) for each in sent) > MOST_CALLS:
        raise InvalidRequest.field("messages", f"hold more than {MOST_CALLS} tool calls")
    return chat_wire.messages(sent)


def resume_point(request: pb.GenerateRequest) -> ResumePoint | None:
    """Read where the caller stands, if it says so."""
    if not request.HasField("resume"):
        return None
    resume = request.resume
    return ResumePoint(resume.after_sequence, tuple(resume.received_token_ids), resume.received_text)


def event(body: Event) -> pb.GenerationEvent:
    """Write one event."""
    message = pb.GenerationEvent(sequence=body.sequence)
    match body.body:
        case Delta(text, ids, places):
            message.delta.text = text
            message.delta.token_count = len(ids)
            message.delta.token_ids.extend(ids)
            for place in places:
                _write_place(message.delta.top_alternatives.add(), place)
        case Admitted(wait, prompt_tokens):
            message.admitted.wait.CopyFrom(duration(wait))
            message.admitted.prompt_tokens = prompt_tokens
        case Suspended(reason):
            message.suspended.reason = _SUSPEND[reason]
        case Resumed(wait):
            message.resumed.wait.CopyFrom(duration(wait))
        case Answer():
            message.finished.CopyFrom(finished(body.body))
    return message


def finished(answer: Answer) -> pb.Finished:
    """Write the end of a generation."""
    timings = answer.timings
    return pb.Finished(
        reason=_FINISH[answer.reason],
        message=chat_wire.message_proto(answer.message),
        usage=pb.Usage(
            prompt_tokens=answer.usage.prompt_tokens,
            completion_tokens=answer.usage.completion_tokens,
            cached_prompt_tokens=answer.usage.cached_prompt_tokens,
        ),
        timings=pb.Timings(
            wait=duration(timings.wait),
            run=duration(timings.run),
            time_to_first_token=duration(timings.time_to_first_token),
            preemption_count=timings.preemption_count,
            recovery_count=timings.recovery_count,
            seed=timings.seed,
            replica=timings.replica,
        ),
        model=answer.model,
        stop_string=answer.stop_string,
    )


def model(summary: ModelSummary) -> pb.Model:
    """Write one model."""
    info = summary.info
    return pb.Model(
        name=info.model,
        max_total_tokens=info.max_total_tokens,
        replica_count=summary.replica_count,
        slots=info.slots,
        kv_snapshot=info.capabilities.kv_snapshot,
        constraints=info.capabilities.constraints,
        is_default=summary.is_default,
    )


def _write_place(message: pb.TopAlternatives, place: Place) -> None:
    message.sequence = place.sequence
    for each in place.alternatives:
        message.alternatives.add(token_id=each.id, text=each.text, logprob=each.logprob)
    if (chosen := place.chosen) is not None:
        message.chosen.token_id = chosen.id
        message.chosen.text = chosen.text
        message.chosen.logprob = chosen.logprob


def _constraint(request: pb.GenerateRequest) -> Constraint | None:
    match request.constraint.WhichOneof("form"):
        case "json_schema":
            return Constraint(ConstraintKind.JSON, request.constraint.json_schema)
        case "regex":
            return Constraint(ConstraintKind.REGEX, request.constraint.regex)
        case _:
            return None


def _sampling(message: pb.Sampling) -> Sampling:
    return Sampling(
        temperature=message.temperature,
        top_p=message.top_p,
        top_k=message.top_k,
        repetition_penalty=message.repetition_penalty,
        seed=message.seed if message.HasField("seed") else None,
        frequency_penalty=message.frequency_penalty,
        presence_penalty=message.presence_penalty,
    )
