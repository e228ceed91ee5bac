# SPDX-License-Identifier: MIT
"""ResNet-18 in its form for 32x32 pictures: one training step, SGD with momentum."""

from benchmarks.case import Case, Goal

FAMILY = "training"
COMPILES = True
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels, stride; two blocks each
TINY = dict(batch=2, size=8)


def _macs():
    """Of one picture, and of its first layer."""
    size, c = 32, 64
    first = size * size * 3 * c * 9
    macs = first
    for o, stride in STAGES:
        size //= stride
        macs += size * size * 9 * (c * o + 3 * o * o) + (size * size * c * o if stride > 1 else 0)
        c = o
    return macs + c * 10, first


MACS, MACS_FIRST = _macs()
CASES = [
    Case(
        "ResNet-18 32x32 b32",
        dict(batch=32, size=32),
        flops=2.0 * 32 * (3 * MACS - MACS_FIRST),
        goal=Goal(0.85),
    )
]


def build(lib, batch, size):
    nn = lib.module.nn

    class Block(nn.Module):
        def __init__(self, c, o, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(c, o, 3, stride=stride, padding=1, bias=False)
            self.norm1 = nn.BatchNorm2d(o)
            self.conv2 = nn.Conv2d(o, o, 3, padding=1, bias=False)
            self.norm2 = nn.BatchNorm2d(o)
            self.relu = nn.ReLU()
            self.short = nn.Identity()
            if stride > 1:
                self.short = nn.Sequential(
                    nn.Conv2d(c, o, 1, stride=stride, bias=False), nn.BatchNorm2d(o)
                )

        def forward(self, x):
            y = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))
            return self.relu(y + self.short(x))

    def make():
        layers, c = [nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()], 64
        for o, stride in STAGES:
            layers += [Block(c, o, stride), Block(o, o, 1)]
            c = o
        return nn.Sequential(*layers, nn.AvgPool2d(size // 8), nn.Flatten(), nn.Linear(c, 10))

    x, y = lib.normal(batch, 3, size, size), lib.labels(10, batch)
    return lib.training(make, x, y, "SGD", images=True, large=True, lr=0.1, momentum=0.9)


def build_jax(lib, batch, size):
    import jax
    import jax.numpy as jnp

    from benchmarks.peers import jax_tools as tools

    def conv_norm(k, c, o):
        return tools.weights(k, k, c, o, fan_in=k * k * c), jnp.ones(o), jnp.zeros(o)

    def make():
        blocks, c = [], 64
        for o, stride in STAGES:
            for n, s in ((c, stride), (o, 1)):
                short = [conv_norm(1, n, o)] if s > 1 else []
                blocks.append([conv_norm(3, n, o), conv_norm(3, o, o), *short])
            c = o
        return [conv_norm(3, 3, 64), blocks, (tools.weights(c, 10, fan_in=c), jnp.zeros(10))]

    def normed(layer, x, stride=1):
        w, scale, shift = layer
        form = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(x, w, (stride, stride), "SAME", dimension_numbers=form)
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return (x - mean) * (jax.lax.rsqrt(var + 1e-5) * scale) + shift

    strides = [s for _, stride in STAGES for s in (stride, 1)]

    def loss(params, x, y):
        first, blocks, (w, b) = params
        x = jax.nn.relu(normed(first, x))
        for stride, (conv1, conv2, *short) in zip(strides, blocks):
            z = normed(conv2, jax.nn.relu(normed(conv1, x, stride)))
            x = jax.nn.relu(z + (normed(short[0], x, stride) if short else x))
        return tools.cross_entropy(x.mean((1, 2)) @ w + b, y)

    x, y = tools.normal(batch, size, size, 3), tools.labels(10, batch)
    return tools.training(loss, make, x, y, "SGD", in_flight=1, lr=0.1, momentum=0.9)
