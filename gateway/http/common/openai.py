"""What OpenAI's dialects have in common in their answers. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from aios.api.inference.v1 import inference_pb2 as pb

FINISH: Final = {
    pb.FINISH_REASON_STOP: "stop",
    pb.FINISH_REASON_LENGTH: "length",
    pb.FINISH_REASON_TOOL_CALLS: "tool_calls",
}


def finish_reason(finished: pb.Finished) -> str:
    """Tell why an answer ended."""
    return FINISH.get(finished.reason, "stop")


def usage(answers: Iterable[pb.Usage]) -> dict[str, Any]:
    """Tell the tokens of one prompt and of all its answers."""
    each = list(answers)
    prompt = max((one.prompt_tokens for one in each), default=0)
    completion = sum(one.completion_tokens for one in each)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": max((one.cached_prompt_tokens for one in each), default=0),
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def facts(names: Iterable[str], ends: Iterable[pb.Finished] = ()) -> Mapping[str, str]:
    """Return the headers that tell where the answers come from, as far as that is known."""
    ended = list(ends)
    found = {
        "aios-generation": ", ".join(name for name in names if name),
        "aios-replica": ", ".join(dict.fromkeys(end.timings.replica for end in ended)),
    }
    if ended:
        found["aios-wait-ms"] = wait_ms(max(end.timings.wait.ToMilliseconds() for end in ended))
    return {name: text for name, text in found.items() if text and text.isascii() and text.isprintable()}


def wait_ms(milliseconds: int) -> str:
    """Write a time that was waited."""
    return str(max(0, milliseconds))


def first_facts(event: pb.StreamGenerateResponse | None) -> Mapping[str, str]:
    """Return the same of a stream whose first event has come; None: not yet."""
    if event is None:
        return {}
    told = dict(facts([event.name]))
    if event.event.HasField("admitted"):
        told["aios-wait-ms"] = wait_ms(event.event.admitted.wait.ToMilliseconds())
    return told
