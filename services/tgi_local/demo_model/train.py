"""Trains the demo model on CPU, from the generator's endless conversations.

    python -m services.tgi_local.demo_model.train --out /tmp/demo --seconds 3600

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
from torch import Tensor, distributed, multiprocessing

from services.tgi_local.demo_model import crowd
from services.tgi_local.demo_model.chat import training_spans
from services.tgi_local.demo_model.generate import conversation
from services.tgi_local.demo_model.network import Network, Shape
from services.tgi_local.demo_model.optimizer import Muon, rate
from services.tgi_local.demo_model.seeding import seed_copying
from services.tgi_local.demo_model.tokenizer import train as train_tokenizer

Row = tuple[list[int], list[bool]]
SAVE_EVERY = 120.0
"""Seconds between checkpoints."""


def encode(tokenizer: Tokenizer, rng: random.Random, progress: float, focus: float) -> Row:
    """One conversation as ids and flags of the trained ones. Early on conversations are short.

    `focus`: share of conversations that are like those of the demo.
    """
    kind = rng.random()
    if rng.random() < focus:
        talk = crowd.conversation(rng)
    elif kind < (1.0 if progress < 0.12 else 0.5 if progress < 0.35 else 0.35):
        talk = conversation(rng, size=1, lean=True)
    elif kind < (1.0 if progress < 0.35 else 0.6):
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
    tokenizer: Tokenizer, seed: int, tokens: int, focus: float, progress: list[float]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of rows of like length, about `tokens` ids each."""
    rng = random.Random(seed)  # noqa: S311  # reproducible data, not secrets
    while True:
        drawn = (encode(tokenizer, rng, progress[0], focus) for _ in range(256))
        rows = sorted(drawn, key=lambda row: len(row[0]))
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


def average(network: Network, workers: int, *more: float) -> list[float]:
    """Average the gradients over the workers, and some numbers with them. Returns the numbers."""
    if workers == 1:
        return list(more)
    grads = [p.grad for p in network.parameters()]
    flat = torch.cat([*(g.view(-1) for g in grads), torch.tensor(more)])
    distributed.all_reduce(flat)
    flat /= workers
    for grad, mean in zip(grads, flat.split([*(g.numel() for g in grads), len(more)]), strict=False):
        grad.copy_(mean.view_as(grad))
    return [float(x) for x in flat[-len(more) :]]


def prepare(args: argparse.Namespace) -> tuple[Tokenizer, Network]:
    """Make the tokenizer and the network, or load what an earlier run left."""
    if args.resume:
        tokenizer = Tokenizer.from_file(str(args.resume / "tokenizer.json"))
        saved = torch.load(args.resume / "checkpoint.pt", weights_only=True)
        network = Network(Shape(**saved["shape"]))
        network.load_state_dict(saved["state"])
        return tokenizer, network
    tokenizer = train_tokenizer()
    heads = args.width // 32
    network = Network(Shape(tokenizer.get_vocab_size(), args.width, args.layers, heads, args.hidden))
    seed_copying(network)
    return tokenizer, network


def run(rank: int, args: argparse.Namespace) -> None:
    """One worker: its own data, the gradients of all."""
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    if args.workers > 1:
        meeting = f"file://{args.out}/meeting"
        distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=args.workers)
    tokenizer, network = prepare(args)
    muon = Muon(network)
    rest = [p for n, p in network.named_parameters() if p.dim() < 2 or "token_embd" in n]
    adam = torch.optim.AdamW(rest, lr=args.adam_lr, betas=(0.9, 0.98), weight_decay=0.0)
    start = saved = time.monotonic()
    length = [1.0 if args.resume else 0.0]
    seen = 0
    window: list[float] = []
    drawn = batches(tokenizer, 1000 * args.seed + rank, args.tokens, args.focus, length)
    for step, (ids, trained) in enumerate(drawn):
        loss = network.loss(ids, trained)
        loss.backward()
        here = (time.monotonic() - start) / args.seconds
        progress, mean = average(network, args.workers, here, loss.item())
        length[0] = max(length[0], progress)
        share = rate(progress)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        muon.step(share * args.muon_lr)
        for group in adam.param_groups:
            group["lr"] = share * args.adam_lr
        adam.step()
        adam.zero_grad()
        seen += ids.numel() * args.workers
        window.append(mean)
        if rank == 0 and step % 25 == 24:
            now = time.monotonic() - start
            print(
                f"{now:6.0f} s step {step + 1} loss {sum(window) / 25:.4f} {seen / now:,.0f} tok/s",
                flush=True,
            )
            window.clear()
        if rank == 0 and (progress >= 1 or time.monotonic() - saved > SAVE_EVERY):
            saved = time.monotonic()
            tokenizer.save(str(args.out / "tokenizer.json"))
            state = {"shape": asdict(network.shape), "state": network.state_dict()}
            torch.save(state, args.out / "checkpoint.pt")
        if progress >= 1:
            break


def main() -> None:
    """Train until the time is up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--tokens", type=int, default=2560, help="ids in a batch, for each worker")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--width", type=int, default=160)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=416)
    parser.add_argument("--muon-lr", type=float, default=0.01)
    parser.add_argument("--adam-lr", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--focus", type=float, default=0.0, help="share of conversations as in the demo")
    parser.add_argument("--resume", type=Path, help="folder of a run to go on from, at full length")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "meeting").unlink(missing_ok=True)
    if args.workers == 1:
        run(0, args)
    else:
        multiprocessing.spawn(run, (args,), nprocs=args.workers)


if __name__ == "__main__":
    main()
