# SPDX-License-Identifier: MIT
"""Products of matrices and vectors, the linear layer."""

import math

import numpy as np
from opcheck import Sample

erf = np.vectorize(math.erf, otypes=[float])

ACTIVATIONS = {
    "none": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "gelu": lambda z: z * (1 + erf(z / math.sqrt(2))) / 2,
    "gelu_tanh": lambda z: z / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "silu": lambda z: z / (1 + np.exp(-z)),
}


def samples(rng):
    def normal(*shape):
        return rng.normal(size=shape)

    close = {"rtol": 2e-5, "atol": 2e-5}
    found = [
        Sample("matmul", (normal(*a), normal(*b)), reference=np.matmul, name=name, **close)
        for name, a, b in (
            ("matrices", (3, 4), (4, 5)),
            ("dot", (4,), (4,)),
            ("row", (4,), (4, 5)),
            ("column", (3, 4), (4,)),
            ("batch", (2, 3, 4), (2, 4, 5)),
            ("shared", (2, 3, 4), (4, 5)),
            ("broadcast", (2, 1, 3, 4), (3, 4, 2)),
            ("batch_row", (4,), (2, 4, 3)),
            ("batch_column", (2, 3, 4), (4,)),
            ("empty_k", (3, 0), (0, 2)),
            ("empty_m", (0, 3), (3, 2)),
            ("empty_batch", (0, 2, 3), (3, 2)),
        )
    ]
    found += [
        # Past the sizes at which operands are packed and tiles go to several threads.
        Sample("matmul", (normal(70, 300), normal(300, 150)), reference=np.matmul, name="large",
               grad=(), rtol=1e-4, atol=1e-4),
        Sample("matmul", (normal(1, 700), normal(700, 600)), reference=np.matmul, name="one_row",
               grad=(), rtol=1e-4, atol=1e-4),
        Sample("matmul", (rng.integers(-9, 9, (2, 3, 4)), rng.integers(-9, 9, (4, 5))),
               reference=np.matmul, name="int"),
        Sample("dot", (normal(7), normal(7)), reference=np.dot, **close),
        Sample("bmm", (normal(3, 2, 4), normal(3, 4, 5)), reference=np.matmul, **close),
        Sample("outer", (normal(3), normal(4)), reference=np.outer, **close),
    ]  # fmt: skip
    for name, f in ACTIVATIONS.items():
        found.append(
            Sample("linear", (normal(5, 3), normal(4, 3), normal(4), name),
                   reference=lambda x, w, b, _, f=f: f(x @ w.T + b), name=name, **close)
        )  # fmt: skip
        found.append(
            Sample("linear", (normal(5, 3), normal(4, 3), normal(4), name, normal(5, 4)),
                   reference=lambda x, w, b, _, r, f=f: f(x @ w.T + b + r),
                   name=f"residual_{name}", **close)
        )  # fmt: skip
    for name, shape in (("row", (4,)), ("column", (5, 1)), ("batch", (5, 4)), ("single", (1,))):
        found.append(
            Sample("linear", (normal(2, 5, 3), normal(4, 3), None, None, normal(*shape)),
                   reference=lambda x, w, b, a, r: x @ w.T + r, name=f"residual_of_a_{name}",
                   **close)
        )  # fmt: skip
    found += [
        Sample("linear", (normal(3), normal(4, 3), normal(4), None, normal(4)),
               reference=lambda x, w, b, a, r: x @ w.T + b + r, name="residual_vector", **close),
        Sample("linear", (normal(0, 3), normal(4, 3), None, None, normal(0, 4)),
               reference=lambda x, w, b, a, r: x @ w.T + r, name="residual_empty", **close),
        Sample("linear", (normal(64, 200), normal(90, 200), normal(90), "relu", normal(64, 90)),
               grad=(), reference=lambda x, w, b, a, r: np.maximum(x @ w.T + b + r, 0),
               name="residual_large", rtol=1e-4, atol=1e-4),
        Sample("linear", (normal(2, 3, 4), normal(5, 4)), reference=lambda x, w: x @ w.T,
               name="no_bias", **close),
        Sample("linear", (normal(4), normal(5, 4), normal(5)),
               reference=lambda x, w, b: x @ w.T + b, name="vector", **close),
        Sample("linear", (normal(0, 4), normal(5, 4), normal(5)),
               reference=lambda x, w, b: x @ w.T + b, name="empty", **close),
        Sample("linear", (normal(3, 0), normal(5, 0), normal(5)),
               reference=lambda x, w, b: x @ w.T + b, name="no_inputs", **close),
        Sample("linear", (normal(64, 200), normal(90, 200), normal(90), "relu"), grad=(),
               reference=lambda x, w, b, _: np.maximum(x @ w.T + b, 0), name="large",
               rtol=1e-4, atol=1e-4),
    ]  # fmt: skip
    return found
