# SPDX-License-Identifier: MIT
"""Matrix products of the shapes that layers have: NT forward, NN towards the input, TN towards the
weight."""

from benchmarks.case import Case
from benchmarks.data import normal

SHAPES = [
    ("NT", 64, 128, 784),
    ("TN", 128, 784, 64),
    ("NN", 64, 784, 128),
    ("NT", 64, 64, 128),
    ("NT", 64, 10, 64),
    ("NN", 32, 32, 32),
    ("NN", 128, 128, 128),
    ("NN", 256, 256, 256),
    ("NT", 256, 512, 512),
    ("NT", 512, 2048, 512),
    ("NN", 512, 512, 512),
    ("NN", 1024, 1024, 1024),
    ("TN", 1024, 1024, 1024),
]

CASES = [
    Case(f"{layout} {m}x{n}x{k}", {"layout": layout, "m": m, "n": n, "k": k}, flops=2.0 * m * n * k)
    for layout, m, n, k in SHAPES
]


def build(side, lib, layout, m, n, k):
    a = normal(side, lib, *((m, k) if layout[0] == "N" else (k, m)))
    b = normal(side, lib, *((k, n) if layout[1] == "N" else (n, k)), seed=1)
    a = a if layout[0] == "N" else a.T
    b = b if layout[1] == "N" else b.T
    return lambda: a @ b
