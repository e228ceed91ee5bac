# SPDX-License-Identifier: MIT
"""The cost of a call from Python: ops on 8 elements and tiny matrices."""

from timeit import Timer

from benchmarks.case import Case, Goal

FAMILY = "hot-path"
USES_THREADS = False

GOALS = {
    "a + b": 450e-9,
    "a + b, recorded": 700e-9,
    "(a + b).sum().backward()": 3e-6,
    "matmul 4x4": 0.6e-6,
    "matmul 16x16": 0.65e-6,
    "matmul 64x64": 2.6e-6,
}
NAMES = [*GOALS, "a * 2.0", "relu", "sum", "reshape", "a[1:3]"]
CASES = [Case(name, dict(name=name), goal=Goal(value=GOALS.get(name))) for name in NAMES]

STATEMENTS = {
    "a + b": "a + b",
    "a + b, recorded": "p + b",
    "(a + b).sum().backward()": "p.grad = q.grad = None; (p + q).sum().backward()",
    "a * 2.0": "a * 2.0",
    "relu": "a.relu()",
    "sum": "a.sum()",
    "reshape": "a.reshape(2, 4)",
    "a[1:3]": "a[1:3]",
}


def _size(name):
    return int(name.split("x")[1]) if name.startswith("matmul") else None


def build(lib, name):
    if n := _size(name):
        a, b = lib.normal(n, n), lib.normal(n, n, seed=1)
        return Timer("a @ b", globals=dict(a=a, b=b))
    a, b = lib.normal(8), lib.normal(8, seed=1)
    p, q = lib.normal(8, requires_grad=True), lib.normal(8, requires_grad=True)
    return Timer(STATEMENTS[name], globals=dict(a=a, b=b, p=p, q=q))


def build_jax(lib, name):
    import jax

    from benchmarks.peers import jax_tools as tools

    n = _size(name)
    if n:
        return {"jit": tools.blocking(lambda a, b: a @ b, *[tools.normal(n, n)] * 2)}
    a, b = tools.normal(8), tools.normal(8, seed=1)
    if name == "a + b":
        return {"jit": tools.blocking(lambda a, b: a + b, a, b)}
    if name == "(a + b).sum().backward()":
        grad = jax.value_and_grad(lambda a, b: (a + b).sum(), (0, 1))
        return {"jit": tools.blocking(grad, a, b)}
    return None


def build_numpy(lib, name):
    from benchmarks.libraries import normal_array

    if n := _size(name):
        a, b = normal_array(n, n), normal_array(n, n, seed=1)
        return Timer("a @ b", globals=dict(a=a, b=b))
    if name not in ("a + b", "a * 2.0", "sum", "reshape", "a[1:3]"):
        return None
    return Timer(STATEMENTS[name], globals=dict(a=normal_array(8), b=normal_array(8, seed=1)))
