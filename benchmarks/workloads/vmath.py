# SPDX-License-Identifier: MIT
"""exp, tanh, gelu: functions of each element, in cache and beyond it."""

from benchmarks.case import Case, Goal

FAMILY = "elementwise"
TINY = dict(n=64)

CASES = [
    Case(f"{name} 2^{bits}", dict(name=name, n=1 << bits), bytes=8.0 * (1 << bits), goal=Goal(0.8))
    for bits in (20, 22)
    for name in ("exp", "tanh", "gelu")
]


def build(lib, name, n):
    x = lib.normal(n)
    op = lib.find("nn.functional.gelu") if name == "gelu" else lib.find(name)
    steps = {"": lambda: op(x)}
    if lib.is_torch and name != "gelu":
        out = lib.normal(n)
        steps["out="] = lambda: op(x, out=out)
    return steps


def build_jax(lib, name, n):
    import jax
    import jax.numpy as jnp

    from benchmarks.peers import jax_tools as tools

    def gelu(x):
        return jax.nn.gelu(x, approximate=False)

    return {"jit": tools.blocking(gelu if name == "gelu" else getattr(jnp, name), tools.normal(n))}


def build_numpy(lib, name, n):
    import numpy as np

    from benchmarks.libraries import normal_array

    if name == "gelu":
        return None
    x, out, op = normal_array(n), np.empty(n, np.float32), getattr(np, name)
    return {"out=": lambda: op(x, out=out)}
