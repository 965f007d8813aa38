"""Log-probabilities as OpenAI's chat tells them. Pure."""

from collections.abc import Iterable
from typing import Any

from aios.api.inference.v1 import inference_pb2 as pb


def content(places: Iterable[pb.TopAlternatives]) -> list[dict[str, Any]]:
    """Tell each chosen token and what else it might have been. Places without the chosen one are left out."""
    return [
        {**_token(place.chosen), "top_logprobs": [_token(each) for each in place.alternatives]}
        for place in places
        if place.HasField("chosen")
    ]


def _token(alternative: pb.Alternative) -> dict[str, Any]:
    text = alternative.text
    return {"token": text, "logprob": alternative.logprob, "bytes": list(text.encode())}
