# SPDX-License-Identifier: MIT
"""Matrix products from Python: NT as in a layer's forward pass, NN towards its input, TN towards
its weight."""

from benchmarks.case import Case

FAMILY = "gemm"
SHAPES = [
    ("NT", 64, 128, 784),
    ("TN", 128, 784, 64),
    ("NN", 64, 784, 128),
    ("NT", 64, 10, 64),
    ("NN", 128, 128, 128),
    ("NN", 256, 256, 256),
    ("NT", 256, 512, 512),
    ("NN", 512, 512, 512),
    ("NT", 1024, 768, 768),
    ("NN", 1024, 1024, 1024),
    ("TN", 1024, 1024, 1024),
    ("NT", 4096, 1024, 256),
    ("NN", 4096, 256, 1024),
    ("TN", 1024, 256, 4096),
    ("NN", 2048, 2048, 2048),
]
TINY = dict(m=4, n=4, k=4)

CASES = [
    Case(f"{layout} {m}x{n}x{k}", {"layout": layout, "m": m, "n": n, "k": k}, flops=2.0 * m * n * k)
    for layout, m, n, k in SHAPES
]


def _shapes(layout, m, n, k):
    return ((m, k) if layout[0] == "N" else (k, m)), ((k, n) if layout[1] == "N" else (n, k))


def _product(layout):
    return {
        "NN": lambda a, b: a @ b,
        "NT": lambda a, b: a @ b.T,
        "TN": lambda a, b: a.T @ b,
    }[layout]


def build(lib, layout, m, n, k):
    first, second = _shapes(layout, m, n, k)
    a, b = lib.normal(*first), lib.normal(*second, seed=1)
    a, b = a if layout[0] == "N" else a.T, b if layout[1] == "N" else b.T
    steps = {"": lambda: a @ b}
    if lib.is_torch:
        out = lib.normal(m, n)
        steps["out="] = lambda: lib.module.mm(a, b, out=out)
    return steps


def build_jax(lib, layout, m, n, k):
    from benchmarks.peers import jax_tools as tools

    first, second = _shapes(layout, m, n, k)
    return {
        "jit": tools.blocking(_product(layout), tools.normal(*first), tools.normal(*second, seed=1))
    }


def build_numpy(lib, layout, m, n, k):
    import numpy as np

    from benchmarks.libraries import normal_array

    first, second = _shapes(layout, m, n, k)
    a, b = normal_array(*first), normal_array(*second, seed=1)
    a, b = a if layout[0] == "N" else a.T, b if layout[1] == "N" else b.T
    out = np.empty((m, n), np.float32)
    return {"out=": lambda: np.matmul(a, b, out=out)}
