# SPDX-License-Identifier: MIT
"""The MNIST MLP of the demo: one training step, one forward pass."""

import numpy as np

from benchmarks.case import Case
from benchmarks.data import generator, normal, tensor

WIDTHS = (784, 128, 64, 10)
MACS = sum(a * b for a, b in zip(WIDTHS, WIDTHS[1:]))


def _train(optimizer, batch):
    # Forward, weight gradients, and input gradients of all layers but the first.
    flops = 2.0 * batch * (3 * MACS - WIDTHS[0] * WIDTHS[1])
    return Case(f"train {optimizer} b{batch}", dict(optimizer=optimizer, batch=batch), flops=flops)


CASES = [
    _train("SGD", 64),
    _train("Adam", 64),
    _train("SGD", 512),
    Case("infer b1", dict(optimizer=None, batch=1), flops=2.0 * MACS),
    Case("infer b64", dict(optimizer=None, batch=64), flops=2.0 * MACS * 64),
]


def build(side, lib, optimizer, batch):
    nn = lib.nn
    model = nn.Sequential(
        nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    x = normal(side, lib, batch, 784)
    y = tensor(side, lib, generator(1).integers(0, 10, batch).astype(np.int64))
    loss_fn = nn.CrossEntropyLoss()

    def infer():
        with lib.no_grad():
            model(x)

    if optimizer is None:
        model.eval()
        return infer
    opt = getattr(lib.optim, optimizer)(model.parameters(), lr=1e-3)

    def step():
        opt.zero_grad()
        loss_fn(model(x), y).backward()
        opt.step()

    return step
