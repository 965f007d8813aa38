"""What OpenAI's dialects have in common in their answers. Pure."""

from collections.abc import Iterable
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


def sum_usage(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Add up what `usage` told of several prompts."""
    total = usage(())
    for part in parts:
        for name, value in part.items():
            if isinstance(value, dict):
                total[name] = {key: total[name][key] + value[key] for key in value}
            else:
                total[name] += value
    return total
