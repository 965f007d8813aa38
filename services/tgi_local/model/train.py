"""Trains the demo model on CPU, from the generator's endless conversations.

    python -m services.tgi_local.model.train --out /tmp/demo --seconds 2400

Writes tokenizer.json and checkpoint.pt into --out, the checkpoint anew every two minutes. The schedule
follows wall time: short conversations first, long ones later, learning rate constant, then falling to 0.
"""

# Shares of a mixture are read best where they are drawn; docstrings name what is made.
# ruff: noqa: PLR2004

import argparse
import os
import random
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve whoever shares the machine

import torch
from tokenizers import Tokenizer
from torch import Tensor

from services.tgi_local.model.chat import training_spans
from services.tgi_local.model.generate import conversation
from services.tgi_local.model.network import Network, Shape
from services.tgi_local.model.seeding import seed_copying
from services.tgi_local.model.tokenizer import train as train_tokenizer

Row = tuple[list[int], list[bool]]


def encode(tokenizer: Tokenizer, rng: random.Random, progress: float) -> Row:
    """One conversation as ids and flags of the trained ones. Early on conversations are short."""
    kind = rng.random()
    if kind < (1.0 if progress < 0.12 else 0.5 if progress < 0.35 else 0.2):
        talk = conversation(rng, size=1, lean=True)
    elif kind < (1.0 if progress < 0.35 else 0.5):
        talk = conversation(rng, size=rng.randint(1, 3), lean=True)
    else:
        talk = conversation(rng)
    ids: list[int] = []
    flags: list[bool] = []
    for text, trained in training_spans(talk.messages()):
        piece = tokenizer.encode(text).ids
        ids += piece
        flags += [trained] * len(piece)
    return ids, flags


def batches(
    tokenizer: Tokenizer, seed: int, tokens: int, progress: list[float]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of rows of like length, about `tokens` ids each."""
    rng = random.Random(seed)  # noqa: S311  # reproducible data, not secrets
    while True:
        rows = sorted((encode(tokenizer, rng, progress[0]) for _ in range(256)), key=lambda row: len(row[0]))
        groups: list[list[Row]] = [[]]
        for row in rows:
            if groups[-1] and (len(groups[-1]) + 1) * len(row[0]) > tokens:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        for group in groups:
            longest = max(len(ids) for ids, _ in group)
            yield (
                torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in group]),
                torch.tensor([flags + [False] * (longest - len(flags)) for _, flags in group]),
            )


def orthogonal(g: Tensor) -> Tensor:
    """Nearest semi-orthogonal matrices by five quintic Newton-Schulz steps (Muon; Jordan et al., 2024)."""
    wide = g.shape[-2] <= g.shape[-1]
    x = g if wide else g.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x if wide else x.mT


class Muon:
    """Momentum whose step is made orthogonal, for the weight matrices of the blocks."""

    def __init__(self, network: Network, decay: float = 0.01) -> None:
        self.parts = [
            (p, 3 if "qkv" in n else 2 if "gate_up" in n else 1)
            for n, p in network.blocks.named_parameters()
            if p.dim() == 2
        ]
        self.momenta = [torch.zeros_like(p) for p, _ in self.parts]
        self.decay = decay

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Apply the gradients; fused matrices are taken apart first."""
        for (p, count), m in zip(self.parts, self.momenta, strict=True):
            m.mul_(0.95).add_(p.grad)
            u = orthogonal((p.grad + 0.95 * m).view(count, -1, p.shape[1]))
            scale = max(1.0, u.shape[-2] / u.shape[-1]) ** 0.5
            p.mul_(1 - lr * self.decay).add_(u.reshape(p.shape), alpha=-lr * scale)
            p.grad = None


def rate(progress: float) -> float:
    """Share of the full learning rate: short warm-up, constant to 55 %, then linear to 0."""
    return min(progress / 0.01, 1.0, (1.0 - progress) / 0.45)


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=2400)
    parser.add_argument("--tokens", type=int, default=8192, help="ids in a batch")
    parser.add_argument("--width", type=int, default=160)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=416)
    parser.add_argument("--muon-lr", type=float, default=0.02)
    parser.add_argument("--adam-lr", type=float, default=4e-3)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Train until the time is up."""
    args = options()
    torch.set_num_threads(2)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer()
    tokenizer.save(str(args.out / "tokenizer.json"))
    shape = Shape(
        vocab=tokenizer.get_vocab_size(),
        width=args.width,
        layers=args.layers,
        heads=args.width // 32,
        hidden=args.hidden,
    )
    network = Network(shape)
    seed_copying(network)
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters, {shape}", flush=True)
    muon = Muon(network)
    rest = [p for n, p in network.named_parameters() if p.dim() < 2 or "token_embd" in n]
    adam = torch.optim.AdamW(rest, lr=args.adam_lr, betas=(0.9, 0.98), weight_decay=0.0)
    start = saved = time.monotonic()
    progress = [0.0]
    seen = 0
    window: list[float] = []
    for step, (ids, trained) in enumerate(batches(tokenizer, args.seed, args.tokens, progress)):
        progress[0] = (time.monotonic() - start) / args.seconds
        if progress[0] >= 1:
            break
        share = rate(progress[0])
        loss = network.loss(ids, trained)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        muon.step(max(share, 1e-4) * args.muon_lr)
        for group in adam.param_groups:
            group["lr"] = max(share, 1e-4) * args.adam_lr
        adam.step()
        adam.zero_grad()
        seen += ids.numel()
        window.append(loss.item())
        if step % 25 == 24:
            now = time.monotonic()
            mean, pace = sum(window) / len(window), seen / (now - start)
            print(f"{now - start:6.0f} s step {step + 1} loss {mean:.4f} {pace:,.0f} tok/s", flush=True)
            window.clear()
        if time.monotonic() - saved > 120:
            saved = time.monotonic()
            torch.save({"shape": asdict(shape), "state": network.state_dict()}, args.out / "checkpoint.pt")
    torch.save({"shape": asdict(shape), "state": network.state_dict()}, args.out / "checkpoint.pt")
    print(f"done: {seen:,} tokens", flush=True)


if __name__ == "__main__":
    main()
