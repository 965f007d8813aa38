"""Tiny GGUF models with random weights: a real engine's behaviour without a trained model."""

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, quants

MERGES = [("t", "h"), ("th", "e"), ("Ġ", "a"), ("i", "n"), ("Ġ", "the"), ("e", "r"), ("o", "n")]
SPECIALS = ["<|im_start|>", "<|im_end|>", "<|pad|>"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
PIECES = [
    "<unk>",
    *(f"<0x{byte:02X}>" for byte in range(256)),
    *("▁the", "▁th", "▁t", "th", "the", "he", "▁h", "▁", *"abcdefghijklmnopqrstuvwxyz"),
    *SPECIALS,
]
"""A SentencePiece vocabulary: unknown, the bytes, words by their rank, the special tokens."""


def byte_characters() -> list[str]:
    """Return the printable stand-in of every byte, as byte-level BPE writes it."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    stand_in = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    return [stand_in[byte] for byte in range(256)]


def tokens() -> list[str]:
    """Return the vocabulary: ids 0-255 are the bytes, then the merges, then the special tokens."""
    return [*byte_characters(), *(a + b for a, b in MERGES), *SPECIALS]


def write_random_model(
    path: Path,
    *,
    seed: int = 0,
    width: int = 64,
    layers: int = 2,
    ctx: int = 2048,
    kind: GGMLQuantizationType = GGMLQuantizationType.F16,
    template: str = TEMPLATE,
    sentence_piece: bool = False,
) -> Path:
    """Write a Llama with random weights; its output is noise, often broken UTF-8, and deterministic.

    `sentence_piece`: its vocabulary puts a blank before a text, as the first Llamas' does.
    """
    rng = np.random.default_rng(seed)
    vocabulary, hidden, heads = PIECES if sentence_piece else tokens(), 2 * width, 4
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("random")
    writer.add_context_length(ctx)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    writer.add_rope_freq_base(10000.0)
    _add_tokenizer(writer, vocabulary, template, sentence_piece=sentence_piece)

    def weights(name: str, *shape: int, scale: float = 0.3) -> None:
        values = (rng.standard_normal(shape) * scale).astype(np.float32)
        writer.add_tensor(f"{name}.weight", quants.quantize(values, kind), raw_dtype=kind)

    def ones(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(width, dtype=np.float32))

    weights("token_embd", len(vocabulary), width, scale=1.0)
    ones("output_norm")
    weights("output", len(vocabulary), width)
    for layer in range(layers):
        block = f"blk.{layer}"
        ones(f"{block}.attn_norm")
        ones(f"{block}.ffn_norm")
        for part in ("q", "k", "v", "output"):
            weights(f"{block}.attn_{part}", width, width)
        weights(f"{block}.ffn_gate", hidden, width)
        weights(f"{block}.ffn_up", hidden, width)
        weights(f"{block}.ffn_down", width, hidden)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tokenizer(
    writer: gguf.GGUFWriter, vocabulary: list[str], template: str, *, sentence_piece: bool
) -> None:
    first_special = len(vocabulary) - len(SPECIALS)
    kinds = [CONTROL if i >= first_special else NORMAL for i in range(len(vocabulary))]
    writer.add_vocab_size(len(vocabulary))
    writer.add_token_list(vocabulary)
    if sentence_piece:
        writer.add_tokenizer_model("llama")
        writer.add_token_scores([-float(i) for i in range(len(vocabulary))])
        kinds[:257] = [UNKNOWN, *[BYTE] * 256]
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("qwen2")
        writer.add_token_merges([f"{a} {b}" for a, b in MERGES])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(first_special)
    writer.add_eos_token_id(first_special + 1)
    writer.add_pad_token_id(first_special + 2)
    writer.add_add_bos_token(False)  # noqa: FBT003 - the library asks for it
    writer.add_chat_template(template)
