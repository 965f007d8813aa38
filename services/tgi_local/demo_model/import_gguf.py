"""Reads a GGUF back as a checkpoint that training goes on from (`train --resume`).

python -m services.tgi_local.demo_model.import_gguf --out /tmp/demo
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gguf
import torch
from torch import Tensor

from services.tgi_local.demo_model.network import Network, Shape
from services.tgi_local.demo_model.tokenizer import MARKERS, SPECIALS, build, byte_alphabet

MODEL = Path(__file__).parent / "aios-demo.gguf"
FUSED = {"qkv": ("attn_q", "attn_k", "attn_v"), "gate_up": ("ffn_gate", "ffn_up")}


def field(reader: gguf.GGUFReader, name: str) -> Any:
    """Return the value of one key."""
    return reader.fields[name].contents()


def shape_of(reader: gguf.GGUFReader) -> Shape:
    """Return the sizes of the network in the file."""
    return Shape(
        vocab=len(field(reader, "tokenizer.ggml.tokens")),
        width=field(reader, "llama.embedding_length"),
        layers=field(reader, "llama.block_count"),
        heads=field(reader, "llama.attention.head_count"),
        hidden=field(reader, "llama.feed_forward_length"),
        rope_base=field(reader, "llama.rope.freq_base"),
    )


def state_of(reader: gguf.GGUFReader, shape: Shape) -> dict[str, Tensor]:
    """Return the tensors by the network's own names, fused ones put together."""
    held = {tensor.name: torch.tensor(tensor.data.copy()).float() for tensor in reader.tensors}
    state = {}
    for name in Network(shape).state_dict():
        parts = name.split(".")
        pieces = FUSED.get(parts[2], (parts[2],)) if parts[0] == "blocks" else ()
        state[name] = (
            torch.cat([held[f"blk.{parts[1]}.{piece}.weight"] for piece in pieces]) if pieces else held[name]
        )
    return state


def main() -> None:
    """Write tokenizer.json and checkpoint.pt into the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    reader = gguf.GGUFReader(args.model)
    shape = shape_of(reader)
    merges = [tuple(merge.split(" ")) for merge in field(reader, "tokenizer.ggml.merges")]
    tokenizer = build([*SPECIALS, *MARKERS, *byte_alphabet()], merges)
    tokens = field(reader, "tokenizer.ggml.tokens")
    if [tokenizer.id_to_token(number) for number in range(len(tokens))] != tokens:
        raise SystemExit("the merges of the file do not make its tokens")
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(args.out / "tokenizer.json"))
    state = {"shape": asdict(shape), "state": state_of(reader, shape)}
    torch.save(state, args.out / "checkpoint.pt")


if __name__ == "__main__":
    main()
