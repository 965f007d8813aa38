"""The optimiser of the weight matrices, and the schedule of its rate."""

import torch
from torch import Tensor

from services.tgi_local.demo_model.network import Network


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
            if p.dim() > 1
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
    """Share of the full learning rate: short warm-up, constant to 30 %, then linear to 0."""
    return max(min(progress / 0.01, 1.0, (1.0 - progress) / 0.7), 1e-4)
