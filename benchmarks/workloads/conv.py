# SPDX-License-Identifier: MIT
"""2-D convolutions: forward, and forward with both gradients."""

from benchmarks.case import Case
from benchmarks.data import normal

# batch, channels in, height = width, channels out, kernel, stride, padding, groups
SHAPES = [
    (64, 1, 28, 8, 3, 1, 1, 1),
    (64, 8, 14, 16, 3, 1, 1, 1),
    (32, 3, 32, 32, 3, 1, 1, 1),
    (32, 32, 32, 64, 3, 1, 1, 1),
    (32, 64, 16, 128, 3, 1, 1, 1),
    (32, 64, 16, 64, 1, 1, 0, 1),
    (32, 64, 32, 128, 3, 2, 1, 1),
    (32, 64, 16, 64, 3, 1, 1, 64),
    (8, 3, 112, 64, 7, 2, 3, 1),
]


def _case(direction, n, c, h, o, k, s, p, g):
    out = (h + 2 * p - k) // s + 1
    flops = 2.0 * n * o * out * out * (c // g) * k * k
    name = f"{direction} {n}x{c}x{h}x{h} {o}x{k}x{k}/{s}" + (f" g{g}" if g > 1 else "")
    params = dict(direction=direction, n=n, c=c, h=h, o=o, k=k, s=s, p=p, g=g, out=out)
    return Case(name, params, flops=flops * (3 if direction == "train" else 1))


CASES = [_case(d, *shape) for shape in SHAPES for d in ("infer", "train")]


def build(side, lib, direction, n, c, h, o, k, s, p, g, out):
    conv2d = lib.nn.functional.conv2d
    train = direction == "train"
    x = normal(side, lib, n, c, h, h, requires_grad=train)
    w = normal(side, lib, o, c // g, k, k, seed=1, requires_grad=train)
    b = normal(side, lib, o, seed=2, requires_grad=train)
    grad = normal(side, lib, n, o, out, out, seed=3)

    def infer():
        with lib.no_grad():
            conv2d(x, w, b, stride=s, padding=p, groups=g)

    def step():
        x.grad = w.grad = b.grad = None
        conv2d(x, w, b, stride=s, padding=p, groups=g).backward(grad)

    return step if train else infer
