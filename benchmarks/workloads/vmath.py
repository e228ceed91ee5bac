# SPDX-License-Identifier: MIT
"""exp, tanh, gelu: functions of each element, in cache and beyond it; the others in cache."""

from benchmarks.case import Case, Goal

FAMILY = "elementwise"
TINY = dict(n=64)

CASES = [
    Case(f"{name} 2^{bits}", dict(name=name, n=1 << bits), bytes=8.0 * (1 << bits), goal=Goal(0.8))
    for bits in (20, 22)
    for name in ("exp", "tanh", "gelu")
] + [
    Case(f"{name} 2^20", dict(name=name, n=1 << 20), bytes=8.0 * (1 << 20))
    for name in ("log", "log1p", "expm1", "sigmoid", "erf", "sin", "cos")
]


def build(lib, name, n):
    x = lib.normal(n)
    if name.startswith("log"):
        x = x * x
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

    others = {"gelu": gelu, "sigmoid": jax.nn.sigmoid, "erf": jax.lax.erf}
    x = tools.normal(n)
    if name.startswith("log"):
        x = x * x
    return {"jit": tools.blocking(others.get(name) or getattr(jnp, name), x)}


def build_numpy(lib, name, n):
    import numpy as np

    from benchmarks.libraries import normal_array

    op = getattr(np, name, None)
    if op is None:
        return None
    x, out = normal_array(n), np.empty(n, np.float32)
    if name.startswith("log"):
        x = x * x
    return {"out=": lambda: op(x, out=out)}
