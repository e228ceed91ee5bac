# SPDX-License-Identifier: MIT
"""The cost of a call: ops on 8 elements from Python, with and without a gradient being recorded."""

from benchmarks.case import Case
from benchmarks.data import normal

USES_THREADS = False

NAMES = ["a + b", "a + b, recorded", "a * 2.0", "relu", "sum", "reshape", "a[1:3]", "matmul 2x4x2",
         "backward of sum(a * b)"]  # fmt: skip
CASES = [Case(name, dict(name=name)) for name in NAMES]


def build(side, lib, name):
    a, b = normal(side, lib, 8), normal(side, lib, 8, seed=1)
    p, q = normal(side, lib, 8, requires_grad=True), normal(side, lib, 8, requires_grad=True)
    m, n = normal(side, lib, 2, 4), normal(side, lib, 4, 2)

    def backward():
        p.grad = q.grad = None
        (p * q).sum().backward()

    return {
        "a + b": lambda: a + b,
        "a + b, recorded": lambda: p + q,
        "a * 2.0": lambda: a * 2.0,
        "relu": lambda: a.relu(),
        "sum": lambda: a.sum(),
        "reshape": lambda: a.reshape(2, 4),
        "a[1:3]": lambda: a[1:3],
        "matmul 2x4x2": lambda: m @ n,
        "backward of sum(a * b)": backward,
    }[name]
