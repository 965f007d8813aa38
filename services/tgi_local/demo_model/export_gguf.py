"""Writes a trained checkpoint as the GGUF file that llama.cpp loads (F16 matrices, F32 norms).

python -m services.tgi_local.demo_model.export_gguf --run /tmp/demo --out aios-demo.gguf
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
import torch

from services.tgi_local.demo_model.chat import CHAT_TEMPLATE, IM_END, PAD
from services.tgi_local.demo_model.tokenizer import MARKERS, SPECIALS

CONTEXT = 2048


def write_tokenizer(writer: gguf.GGUFWriter, path: Path) -> None:
    """Write the vocabulary, the merges and the chat template."""
    saved = json.loads(path.read_text())
    vocab: dict[str, int] = saved["model"]["vocab"]
    tokens = sorted(vocab, key=lambda token: vocab[token])
    kinds = [
        gguf.TokenType.CONTROL
        if t in SPECIALS
        else gguf.TokenType.USER_DEFINED
        if t in MARKERS
        else gguf.TokenType.NORMAL
        for t in tokens
    ]
    merges = saved["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_bos_token_id(vocab[PAD])
    writer.add_eos_token_id(vocab[IM_END])
    writer.add_pad_token_id(vocab[PAD])
    writer.add_add_bos_token(value=False)
    writer.add_chat_template(CHAT_TEMPLATE)


def tensors(state: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Tensors by their GGUF names; fused matrices taken apart. No output.weight: the embedding is tied."""
    out = {"token_embd.weight": state["token_embd.weight"], "output_norm.weight": state["output_norm.weight"]}
    for name, value in state.items():
        if not name.startswith("blocks."):
            continue
        _, number, part, _ = name.split(".")
        names = {"qkv": ("attn_q", "attn_k", "attn_v"), "gate_up": ("ffn_gate", "ffn_up")}.get(part, (part,))
        for target, piece in zip(names, value.chunk(len(names)), strict=True):
            out[f"blk.{number}.{target}.weight"] = piece
    return {name: t.numpy().astype(np.float16 if t.dim() > 1 else np.float32) for name, t in out.items()}


def main() -> None:
    """Read the run's folder, write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    checkpoint = torch.load(args.run / "checkpoint.pt", weights_only=True)
    shape = checkpoint["shape"]
    writer = gguf.GGUFWriter(str(args.out), "llama")
    writer.add_name("AIOS demo model")
    writer.add_license("MIT")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(shape["width"])
    writer.add_block_count(shape["layers"])
    writer.add_feed_forward_length(shape["hidden"])
    writer.add_head_count(shape["heads"])
    writer.add_head_count_kv(shape["heads"])
    writer.add_layer_norm_rms_eps(shape["eps"])
    writer.add_rope_dimension_count(shape["width"] // shape["heads"])
    writer.add_rope_freq_base(shape["rope_base"])
    writer.add_vocab_size(shape["vocab"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    write_tokenizer(writer, args.run / "tokenizer.json")
    for name, value in tensors(checkpoint["state"]).items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{args.out}: {args.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
