"""What a GGUF file says about the size of its model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from services.tgi_local.adapters.gguf_header import UnreadableModel, read_header
from services.tgi_local.core.window import ModelShape, kv_bytes_per_token

_TOKENIZER: Final = "tokenizer."
TEMPLATE: Final = "tokenizer.chat_template"
_MOST_LAYERS: Final = 10_000


def read_shape(path: Path) -> tuple[ModelShape, bool]:
    """Return a model's shape, and whether the file brings a chat template. Raises UnreadableModel."""
    fields = read_header(path, lambda name: name == TEMPLATE or not name.startswith(_TOKENIZER))
    try:
        return shape_of(fields), TEMPLATE in fields
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise UnreadableModel(f"{path}: the model's shape in the GGUF header makes no sense") from error


def shape_of(fields: Mapping[str, Any]) -> ModelShape:
    """Read the fields named after the model's architecture; what is missing counts as unknown, 0.

    Raises TypeError, ValueError or ZeroDivisionError for values that make no sense.
    """
    kind = fields.get("general.architecture")

    def number(name: str) -> int:
        value = fields.get(f"{kind}.{name}")
        found = max(value) if isinstance(value, list) else int(value or 0)
        if found < 0:
            raise ValueError(f"{name} is negative")
        return found

    layers, heads = number("block_count"), number("attention.head_count")
    if layers > _MOST_LAYERS:
        raise ValueError("too many layers")
    kv_heads = fields.get(f"{kind}.attention.head_count_kv", heads)
    by_layer = kv_heads if isinstance(kv_heads, list) else [int(kv_heads)] * layers
    usual = number("embedding_length") // heads if heads else 0
    return ModelShape(
        trained=number("context_length"),
        kv_bytes=kv_bytes_per_token(
            by_layer,
            number("attention.key_length") or usual,
            number("attention.value_length") or usual,
        ),
    )
