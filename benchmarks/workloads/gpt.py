# SPDX-License-Identifier: MIT
"""A GPT: one training step with AdamW. Attention is the library's fused one where it has one."""

import math

import numpy as np

from benchmarks.case import Case, Goal

FAMILY = "training"
COMPILES = True
VOCABULARY = 65
TINY = dict(layers=1, width=16, heads=2, context=8, batch=2)


def _case(name, layers, width, heads, context, batch, goal):
    # Of the scores, the half that the causal mask keeps.
    macs = layers * (12 * width * width + context * width) + width * VOCABULARY
    params = dict(layers=layers, width=width, heads=heads, context=context, batch=batch)
    return Case(name, params, flops=6.0 * macs * batch * context, goal=goal)


CASES = [
    _case("train 4x128 T64 b16", 4, 128, 4, 64, 16, Goal(0.7)),
    _case("train 6x384 T256 b8", 6, 384, 6, 256, 8, Goal(0.85)),
]


def make_attention(lib, context):
    """attention(q, k, v) of shapes (batch, heads, context, width of a head)."""
    if lib.has("nn.functional.scaled_dot_product_attention"):
        fused = lib.find("nn.functional.scaled_dot_product_attention")
        return lambda q, k, v: fused(q, k, v, is_causal=True)
    mask = lib.tensor(np.triu(np.full((context, context), -1e9, np.float32), 1))

    def attention(q, k, v):
        scores = q @ k.permute(0, 1, 3, 2) * (1 / math.sqrt(q.shape[-1])) + mask
        return scores.softmax(-1) @ v

    return attention


def make_model(lib, layers, width, heads, context):
    nn = lib.module.nn
    attend = make_attention(lib, context)
    positions = lib.tensor(np.arange(context, dtype=np.int64))

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)

        def forward(self, residual, x):
            b, t = x.shape[0], x.shape[1]

            def split(y):
                return y.reshape(b, t, heads, width // heads).permute(0, 2, 1, 3)

            q, k, v = self.qkv(x).chunk(3, 2)
            y = attend(split(q), split(k), split(v))
            return lib.residual(residual, self.out, y.permute(0, 2, 1, 3).reshape(b, t, width))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attention = Attention()
            self.up = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU())
            self.down = nn.Linear(4 * width, width)

        def forward(self, x):
            x = self.attention(x, self.norm1(x))
            return lib.residual(x, self.down, self.up(self.norm2(x)))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Embedding(VOCABULARY, width)
            self.position = nn.Embedding(context, width)
            self.blocks = nn.Sequential(*[Block() for _ in range(layers)])
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, VOCABULARY)

        def forward(self, tokens):
            x = self.token(tokens) + self.position(positions)
            return self.head(self.norm(self.blocks(x))).reshape(-1, VOCABULARY)

    return Model()


def build(lib, layers, width, heads, context, batch):
    x = lib.labels(VOCABULARY, batch, context)
    y = lib.labels(VOCABULARY, batch * context, seed=2)

    def make():
        return make_model(lib, layers, width, heads, context)

    return lib.training(make, x, y, "AdamW", large=width > 256, lr=1e-4, weight_decay=1e-2)


def build_jax(lib, layers, width, heads, context, batch):
    import jax
    import jax.numpy as jnp

    from benchmarks.peers import jax_tools as tools

    def linear(n, m, seed):
        return tools.weights(n, m, fan_in=n, seed=seed), tools.weights(m, fan_in=n, seed=seed)

    def norm():
        return jnp.ones(width), jnp.zeros(width)

    def make():
        return {
            "token": tools.normal(VOCABULARY, width),
            "position": tools.normal(context, width),
            "head": linear(width, VOCABULARY, 0),
            "norm": norm(),
            "blocks": [
                {
                    "qkv": linear(width, 3 * width, i),
                    "out": linear(width, width, i + 10),
                    "up": linear(width, 4 * width, i + 20),
                    "down": linear(4 * width, width, i + 30),
                    "norm1": norm(),
                    "norm2": norm(),
                }
                for i in range(layers)
            ],
        }

    def apply(layer, x):
        return x @ layer[0] + layer[1]

    def normed(layer, x):
        mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(var + 1e-5) * layer[0] + layer[1]

    keep = np.tril(np.ones((context, context), bool))

    def einsum(q, k, v):
        scores = jnp.einsum("bthd,bshd->bhts", q, k) / math.sqrt(width // heads)
        scores = jax.nn.softmax(jnp.where(keep, scores, -1e9))
        return jnp.einsum("bhts,bshd->bthd", scores, v)

    def sdpa(q, k, v):
        return jax.nn.dot_product_attention(q, k, v, is_causal=True)

    def loss_with(attend):
        def loss(params, tokens, y):
            x = params["token"][tokens] + params["position"]
            for block in params["blocks"]:
                qkv = apply(block["qkv"], normed(block["norm1"], x))
                q, k, v = (
                    z.reshape(*z.shape[:2], heads, width // heads) for z in jnp.split(qkv, 3, -1)
                )
                x = x + apply(block["out"], attend(q, k, v).reshape(x.shape))
                h = jax.nn.gelu(apply(block["up"], normed(block["norm2"], x)), approximate=False)
                x = x + apply(block["down"], h)
            logits = apply(params["head"], normed(params["norm"], x))
            return tools.cross_entropy(logits.reshape(-1, VOCABULARY), y)

        return loss

    x = tools.labels(VOCABULARY, batch, context)
    y = tools.labels(VOCABULARY, batch * context, seed=2)
    return {
        f"{way}, {name}": step
        for name, attend in (("einsum", einsum), ("sdpa", sdpa))
        for way, step in tools.training(
            loss_with(attend), make, x, y, "AdamW", in_flight=1, lr=1e-4
        ).items()
    }
