# SPDX-License-Identifier: MIT
"""A CNN for MNIST: one training step, one forward pass."""

import numpy as np

from benchmarks.case import Case
from benchmarks.data import generator, normal, tensor

# Per picture: 1->16 at 28x28, 16->32 at 14x14, both 3x3; 1568->10.
MACS_FIRST = 28 * 28 * 16 * 9
MACS = MACS_FIRST + 14 * 14 * 32 * 16 * 9 + 1568 * 10

CASES = [
    Case("train SGD b64", dict(batch=64, train=True), flops=2.0 * 64 * (3 * MACS - MACS_FIRST)),
    Case("train SGD b64 batch-norm", dict(batch=64, train=True, norm=True)),
    Case("infer b64", dict(batch=64, train=False), flops=2.0 * 64 * MACS),
]


def build(side, lib, batch, train, norm=False):
    nn = lib.nn

    def block(c, o):
        layers = [nn.Conv2d(c, o, 3, padding=1)]
        if norm:
            layers.append(nn.BatchNorm2d(o))
        return layers + [nn.ReLU(), nn.MaxPool2d(2)]

    model = nn.Sequential(*block(1, 16), *block(16, 32), nn.Flatten(), nn.Linear(1568, 10))
    x = normal(side, lib, batch, 1, 28, 28)
    y = tensor(side, lib, generator(1).integers(0, 10, batch).astype(np.int64))
    loss_fn = nn.CrossEntropyLoss()

    def infer():
        with lib.no_grad():
            model(x)

    if not train:
        model.eval()
        return infer
    opt = lib.optim.SGD(model.parameters(), lr=1e-3)

    def step():
        opt.zero_grad()
        loss_fn(model(x), y).backward()
        opt.step()

    return step
