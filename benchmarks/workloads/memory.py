# SPDX-License-Identifier: MIT
"""Ops that memory bounds: normalisations, reductions, losses, copies, look-ups."""

from benchmarks.case import Case, Goal

FAMILY = "reductions"
ROWS = 4096
TINY = dict(rows=4, columns=8)


def _case(name, op, columns, moved, extra=0):
    """moved: floats that one element of the input costs; extra: floats beside them."""
    params = dict(op=op, rows=ROWS, columns=columns)
    return Case(name, params, bytes=4.0 * (moved * ROWS * columns + extra), goal=Goal(0.6, roof=70))


VOCABULARY = 10000
CASES = [
    _case("softmax 4096x1024", "softmax", 1024, 2),
    _case("layer norm 4096x768 fwd+bwd", "layer_norm", 768, 5),
    _case("cross entropy 4096x1000 fwd+bwd", "cross_entropy", 1000, 2),
    _case("mean over dim 0 4096x1024", "mean0", 1024, 1),
    _case("transpose copy 4096x1024", "transpose", 1024, 2),
    # Rows read and written, their gradient read, a gradient of the whole table written.
    _case("embedding 10000x256 fwd+bwd", "embedding", 256, 3, VOCABULARY * 256),
]


def build(lib, op, rows, columns):
    x = lib.normal(rows, columns)
    functional = lib.module.nn.functional
    if op == "softmax":
        return lambda: x.softmax(-1)
    if op == "mean0":
        return lambda: x.mean(0)
    if op == "transpose":
        return lambda: x.T.contiguous()
    grad = lib.normal(rows, columns, seed=1)
    if op == "embedding":
        table = lib.module.nn.Embedding(VOCABULARY, columns)
        tokens = lib.labels(VOCABULARY, rows)

        def embedding():
            table.weight.grad = None
            table(tokens).backward(grad)

        return embedding
    x.requires_grad = True
    if op == "cross_entropy":
        y = lib.labels(columns, rows)

        def cross_entropy():
            x.grad = None
            functional.cross_entropy(x, y).backward()

        return cross_entropy
    w, b = (lib.normal(columns, seed=s, requires_grad=True) for s in (1, 2))

    def layer_norm():
        x.grad = w.grad = b.grad = None
        functional.layer_norm(x, (columns,), w, b).backward(grad)

    return layer_norm


def build_jax(lib, op, rows, columns):
    import jax
    import jax.numpy as jnp

    from benchmarks.peers import jax_tools as tools

    x = tools.normal(rows, columns)
    if op == "softmax":
        return {"jit": tools.blocking(jax.nn.softmax, x)}
    if op == "mean0":
        return {"jit": tools.blocking(lambda x: x.mean(0), x)}
    if op == "transpose":
        return {"jit": tools.blocking(jnp.transpose, x)}
    grad = tools.normal(rows, columns, seed=1)
    if op == "embedding":
        table = tools.normal(VOCABULARY, columns)
        tokens = tools.labels(VOCABULARY, rows)

        def embedding(table, grad):
            y, back = jax.vjp(lambda t: t[tokens], table)
            return y, back(grad)

        return {"jit": tools.blocking(embedding, table, grad)}
    if op == "cross_entropy":
        y = tools.labels(columns, rows)
        return {"jit": tools.blocking(jax.value_and_grad(tools.cross_entropy), x, y)}

    def layer_norm(x, w, b):
        mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(var + 1e-5) * w + b

    def both(x, w, b, grad):
        y, back = jax.vjp(layer_norm, x, w, b)
        return y, back(grad)

    w, b = tools.normal(columns, seed=1), tools.normal(columns, seed=2)
    return {"jit": tools.blocking(both, x, w, b, grad)}


def build_numpy(lib, op, rows, columns):
    import numpy as np

    from benchmarks.libraries import normal_array

    x = normal_array(rows, columns)
    if op == "mean0":
        return lambda: x.mean(0)
    if op == "transpose":
        out = np.empty((columns, rows), np.float32)
        return {"out=": lambda: np.copyto(out, x.T)}
    return None
