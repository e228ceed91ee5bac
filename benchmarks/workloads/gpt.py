# SPDX-License-Identifier: MIT
"""A small GPT: one training step with AdamW. Attention is spelt out for both libraries, and once
with PyTorch's fused attention for the peer at its best."""

import math

import numpy as np

from benchmarks.case import Case
from benchmarks.data import generator, tensor

VOCABULARY = 96


def _case(name, layers, width, heads, context, batch, **more):
    macs = layers * (12 * width * width + 2 * context * width) + width * VOCABULARY
    params = dict(layers=layers, width=width, heads=heads, context=context, batch=batch, **more)
    return Case(name, params, flops=6.0 * macs * batch * context)


CASES = [
    _case("train 4x128 T64 b16", 4, 128, 4, 64, 16),
    _case("train 4x128 T64 b16, torch sdpa", 4, 128, 4, 64, 16, fused=True),
    _case("train 4x256 T128 b8", 4, 256, 8, 128, 8),
]


def make_model(side, lib, layers, width, heads, context, mask, fused):
    nn = lib.nn

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.q = nn.Linear(width, width)
            self.k = nn.Linear(width, width)
            self.v = nn.Linear(width, width)
            self.out = nn.Linear(width, width)

        def forward(self, x):
            b, t = x.shape[0], x.shape[1]

            def split(y):
                return y.reshape(b, t, heads, width // heads).permute(0, 2, 1, 3)

            q, k, v = split(self.q(x)), split(self.k(x)), split(self.v(x))
            if fused and side == "torch":
                y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            else:
                scores = q @ k.permute(0, 1, 3, 2) * (1 / math.sqrt(width // heads)) + mask
                y = scores.softmax(-1) @ v
            return self.out(y.permute(0, 2, 1, 3).reshape(b, t, width))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attention = Attention()
            self.mlp = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )

        def forward(self, x):
            x = x + self.attention(self.norm1(x))
            return x + self.mlp(self.norm2(x))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Embedding(VOCABULARY, width)
            self.position = nn.Embedding(context, width)
            self.blocks = nn.Sequential(*[Block() for _ in range(layers)])
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, VOCABULARY)

        def forward(self, tokens, positions):
            x = self.token(tokens) + self.position(positions)
            return self.head(self.norm(self.blocks(x)))

    return Model()


def build(side, lib, layers, width, heads, context, batch, fused=False):
    future = np.triu(np.full((context, context), -1e9, np.float32), 1)
    mask = tensor(side, lib, future)
    model = make_model(side, lib, layers, width, heads, context, mask, fused)
    tokens = generator(1).integers(0, VOCABULARY, (batch, context + 1)).astype(np.int64)
    x = tensor(side, lib, tokens[:, :-1])
    y = tensor(side, lib, tokens[:, 1:].reshape(-1))
    positions = tensor(side, lib, np.arange(context, dtype=np.int64))
    opt = lib.optim.AdamW(model.parameters(), lr=1e-4)
    loss_fn = lib.nn.CrossEntropyLoss()

    def step():
        opt.zero_grad()
        logits = model(x, positions)
        loss_fn(logits.reshape(batch * context, VOCABULARY), y).backward()
        opt.step()

    return step
