"""The network: a small Llama in plain PyTorch, laid out as llama.cpp's `llama` architecture expects."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the network."""

    vocab: int = 896
    width: int = 160
    layers: int = 4
    heads: int = 5
    hidden: int = 416
    rope_base: float = 500_000.0
    eps: float = 1e-5

    @property
    def head(self) -> int:
        """Width of one head."""
        return self.width // self.heads


class Norm(nn.Module):
    """RMSNorm with a learned scale."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over the last axis."""
        return functional.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn pairs (2i, 2i+1) by their position, as llama.cpp does. x: batch, heads, time, head."""
    even, odd = x[..., ::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Block(nn.Module):
    """Attention and SwiGLU, each behind a norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d = shape.width
        self.heads = shape.heads
        self.attn_norm, self.ffn_norm = Norm(d, shape.eps), Norm(d, shape.eps)
        self.qkv = nn.Linear(d, 3 * d, bias=False)
        self.attn_output = nn.Linear(d, d, bias=False)
        self.gate_up = nn.Linear(d, 2 * shape.hidden, bias=False)
        self.ffn_down = nn.Linear(shape.hidden, d, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x: batch, time, width."""
        b, t, d = x.shape
        qkv = self.qkv(self.attn_norm(x)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = rotate(qkv[0], cos, sin), rotate(qkv[1], cos, sin), qkv[2]
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attn_output(mixed.transpose(1, 2).reshape(b, t, d))
        gate, up = self.gate_up(self.ffn_norm(x)).chunk(2, -1)
        return x + self.ffn_down(functional.silu(gate) * up)


class Network(nn.Module):
    """Token ids to hidden states; the embedding is also the output head."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocab, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.output_norm = Norm(shape.width, shape.eps)
        for name, p in self.named_parameters():
            if p.dim() > 1:
                scale = (
                    0.02
                    if not name.endswith(("attn_output.weight", "ffn_down.weight"))
                    else 0.02 / (2 * shape.layers) ** 0.5
                )
                nn.init.normal_(p, std=scale)

    def forward(self, ids: Tensor) -> Tensor:
        """ids: batch, time. Returns normalised hidden states: batch, time, width."""
        time = torch.arange(ids.shape[1], dtype=torch.float32)
        turn = self.shape.rope_base ** (
            -torch.arange(0, self.shape.head, 2, dtype=torch.float32) / self.shape.head
        )
        angles = torch.outer(time, turn)
        cos, sin = angles.cos(), angles.sin()
        x = self.token_embd(ids)
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.output_norm(x)

    def loss(self, ids: Tensor, trained: Tensor) -> Tensor:
        """Mean cross-entropy of the tokens flagged in `trained`, a bool for each id."""
        states = self(ids[:, :-1])[trained[:, 1:]]
        return functional.cross_entropy(states @ self.token_embd.weight.T, ids[:, 1:][trained[:, 1:]])
