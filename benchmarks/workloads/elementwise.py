# SPDX-License-Identifier: MIT
"""Elementwise ops, reductions and normalisations, in cache and beyond it."""

from benchmarks.case import Case
from benchmarks.data import normal

# name: (step on a, b of the shape; floats moved per element)
OPS = {
    "add": (lambda a, b: a + b, 3),
    "mul": (lambda a, b: a * b, 3),
    "relu": (lambda a, b: a.relu(), 2),
    "exp": (lambda a, b: a.exp(), 2),
    "tanh": (lambda a, b: a.tanh(), 2),
    "sigmoid": (lambda a, b: a.sigmoid(), 2),
    "sum": (lambda a, b: a.sum(), 1),
    "sum rows": (lambda a, b: a.sum(-1), 1),
    "sum columns": (lambda a, b: a.sum(0), 1),
    "softmax": (lambda a, b: a.softmax(-1), 2),
    "copy of transpose": (lambda a, b: a.T + 0.0, 2),
}
SHAPES = [(64, 128), (1024, 256), (4096, 2048)]
BEYOND_CACHE = 1 << 22

CASES = [
    Case(
        f"{name} {rows}x{columns}",
        dict(name=name, rows=rows, columns=columns),
        bytes=4.0 * moved * rows * columns if rows * columns >= BEYOND_CACHE else 0.0,
    )
    for rows, columns in SHAPES
    for name, (_, moved) in OPS.items()
]


def build(side, lib, name, rows, columns):
    a = normal(side, lib, rows, columns)
    b = normal(side, lib, rows, columns, seed=1)
    op = OPS[name][0]
    return lambda: op(a, b)
