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

BFLOAT16 = [("NT", 64, 128, 784), ("NN", 512, 512, 512), ("NT", 1024, 768, 768)]


def _case(layout, m, n, k, dtype="float32"):
    params = {"layout": layout, "m": m, "n": n, "k": k, "dtype": dtype}
    name = f"{layout} {m}x{n}x{k}" + " bfloat16" * (dtype == "bfloat16")
    return Case(name, params, flops=2.0 * m * n * k, dtype=dtype)


CASES = [_case(*shape) for shape in SHAPES] + [_case(*shape, "bfloat16") for shape in BFLOAT16]


def _shapes(layout, m, n, k):
    return ((m, k) if layout[0] == "N" else (k, m)), ((k, n) if layout[1] == "N" else (n, k))


def _product(layout):
    return {
        "NN": lambda a, b: a @ b,
        "NT": lambda a, b: a @ b.T,
        "TN": lambda a, b: a.T @ b,
    }[layout]


def build(lib, layout, m, n, k, dtype):
    first, second = _shapes(layout, m, n, k)
    a, b = lib.normal(*first), lib.normal(*second, seed=1)
    if dtype == "bfloat16":
        a, b = a.bfloat16(), b.bfloat16()
    a, b = a if layout[0] == "N" else a.T, b if layout[1] == "N" else b.T
    steps = {"": lambda: a @ b}
    if lib.is_torch:
        out = lib.normal(m, n).to(a.dtype)
        steps["out="] = lambda: lib.module.mm(a, b, out=out)
    return steps


def build_jax(lib, layout, m, n, k, dtype):
    from benchmarks.peers import jax_tools as tools

    first, second = _shapes(layout, m, n, k)
    a, b = tools.normal(*first).astype(dtype), tools.normal(*second, seed=1).astype(dtype)
    return {"jit": tools.blocking(_product(layout), a, b)}


def build_numpy(lib, layout, m, n, k, dtype):
    if dtype == "bfloat16":
        return None
    import numpy as np

    from benchmarks.libraries import normal_array

    first, second = _shapes(layout, m, n, k)
    a, b = normal_array(*first), normal_array(*second, seed=1)
    a, b = a if layout[0] == "N" else a.T, b if layout[1] == "N" else b.T
    out = np.empty((m, n), np.float32)
    return {"out=": lambda: np.matmul(a, b, out=out)}
