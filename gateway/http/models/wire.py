"""Kernel models as each vendor's clients read them. Pure."""

from collections.abc import Sequence

from aios.api.inference.v1 import inference_pb2 as pb

CREATED = 1_700_000_000
"""The kernel does not know when a model was made, and the shapes demand a time. Unix seconds."""
_CREATED_AT = "2023-11-14T22:13:20Z"


def openai_model(model: pb.Model, name: str) -> dict[str, object]:
    """Tell one model under the name that was asked for."""
    return {
        "id": name,
        "object": "model",
        "created": CREATED,
        "owned_by": "aios",
        "context_window": model.max_total_tokens,
    }


def openai_list(models: Sequence[pb.Model]) -> dict[str, object]:
    """Tell all models."""
    return {"object": "list", "data": [openai_model(model, model.name) for model in models]}


def anthropic_model(model: pb.Model, name: str) -> dict[str, object]:
    """Tell one model under the name that was asked for."""
    return {
        "type": "model",
        "id": name,
        "display_name": model.name,
        "created_at": _CREATED_AT,
        "lifecycle": "active",
        "max_input_tokens": model.max_total_tokens,
        "max_tokens": model.max_total_tokens,
    }


def anthropic_list(models: Sequence[pb.Model]) -> dict[str, object]:
    """Tell all models."""
    data = [anthropic_model(model, model.name) for model in models]
    return {
        "data": data,
        "has_more": False,
        "first_id": models[0].name if models else None,
        "last_id": models[-1].name if models else None,
    }
