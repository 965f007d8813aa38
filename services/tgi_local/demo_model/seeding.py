"""Starting weights that can already copy.

Copying from the context is what every task of the demo model needs, and what a network started at
random finds late: it takes two attention layers that are useless alone (induction heads; Olsson et al.,
2022, "In-context Learning and Induction Heads"). Here layer 0 starts with heads that look one and two
tokens back, and layer 1 with heads that look for an earlier place with the same two tokens and carry over
what followed there. Training is free to change all of it.

The residual stream is laid out as: token embedding | token before | token before that | a constant.
"""

import torch

from services.tgi_local.demo_model.network import Network

BACK = 32
"""Channels that hold the token one (and two) before: one head's width."""
CURRENT = 10
"""Channels of a copying head that compare the token before; the rest compare the one before that."""
SMALL = 0.02
"""Scale of embeddings and of what the heads add to the residual stream."""


@torch.no_grad()
def seed_copying(network: Network) -> None:
    """Overwrite embeddings and the attention of layers 0 and 1."""
    shape = network.shape
    width, head = shape.width, shape.head
    own = width - 1 - 2 * BACK
    constant = width - 1
    embedding = network.token_embd.weight
    embedding[:, own:] = 0
    embedding[:, constant] = 4 * SMALL
    turns = shape.rope_base ** (-torch.arange(0, head, 2, dtype=torch.float32) / head)
    project = torch.randn(BACK, own) / own**0.5

    q, k, v = network.blocks[0].qkv.weight.view(3, shape.heads, head, width)
    out = network.blocks[0].attn_output.weight.view(width, shape.heads, head)
    for number in range(2):
        q[number], k[number], v[number] = 0, 0, 0
        out[:, number] = 0
        for pair in range(6):
            angle = -turns[pair] * (number + 1)
            q[number, 2 * pair, constant] = 1.8 * angle.cos()
            q[number, 2 * pair + 1, constant] = 1.8 * angle.sin()
            k[number, 2 * pair, constant] = 1.8
        v[number, :, :own] = project
        start = own + number * BACK
        out[start : start + BACK, number] = SMALL * torch.eye(BACK)

    q, k, v = network.blocks[1].qkv.weight.view(3, shape.heads, head, width)
    out = network.blocks[1].attn_output.weight.view(width, shape.heads, head)
    slow = list(range(head - 18, head))  # channels that rotary embedding turns slowly
    share = own // shape.heads
    for number in range(shape.heads):
        q[number], k[number], v[number] = 0, 0, 0
        out[:, number] = 0
        picked = torch.randperm(BACK)[: len(slow)].tolist()
        for i, (channel, back) in enumerate(zip(slow, picked, strict=True)):
            if i < CURRENT:
                q[number, channel, :own] = 1.75 * project[back]
                k[number, channel, own + back] = 1.75
            else:
                q[number, channel, own + back] = 1.75
                k[number, channel, own + BACK + back] = 1.75
        for i in range(share):
            v[number, i, number * share + i] = 1
            out[number * share + i, number, i] = 3 * SMALL
