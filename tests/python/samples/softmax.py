# SPDX-License-Identifier: MIT
"""softmax, log_softmax and their gradients' kernels."""

import numpy as np
from opcheck import Sample


def softmax(x, dim=-1):
    if x.ndim == 0:
        return np.ones(())
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)


def log_softmax(x, dim=-1):
    if x.ndim == 0:
        return np.zeros(())
    shifted = x - x.max(axis=dim, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))


def softmax_backward(g, y, dim):
    return y * (g - (g * y).sum(axis=dim, keepdims=True))


def log_softmax_backward(g, y, dim):
    return g - np.exp(y) * g.sum(axis=dim, keepdims=True)


def samples(rng):
    x, wide = rng.normal(size=(3, 4, 5)), rng.normal(size=(7, 101))
    many = rng.normal(size=(2, 19, 37))
    large = np.array([[1e4, 1e4, -1e4], [-1e30, 0.0, -1e30]])
    found = []
    for op, f in (("softmax", softmax), ("log_softmax", log_softmax)):
        found += [Sample(op, (x,), {"dim": d}, reference=f) for d in (0, 1, -1)]
        found += [
            Sample(op, (wide,), reference=f, name="wide"),
            Sample(op, (many, 1), reference=f, name="many"),
            Sample(op, (large,), reference=f, grad=(), name="large"),
            Sample(op, (np.array(1.5),), reference=f, name="0-d"),
            Sample(op, (np.zeros((0, 3)),), reference=f, name="empty"),
            Sample(op, (rng.integers(0, 5, (2, 3)),), reference=f, name="int", grad=()),
        ]
    y = softmax(x, 1)
    for op, f, out in (("softmax_backward", softmax_backward, y),
                       ("log_softmax_backward", log_softmax_backward, np.log(y))):  # fmt: skip
        found.append(Sample(op, (rng.normal(size=x.shape), out, 1), reference=f))
    return found
