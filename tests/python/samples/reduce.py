# SPDX-License-Identifier: MIT
"""Reductions over dimensions and running sums."""

import numpy as np
from opcheck import Sample


def along(f):
    """f of NumPy with the arguments' names here."""
    return lambda x, dim=None, keepdim=False, **more: f(
        x, axis=tuple(dim) if isinstance(dim, (list, tuple)) else dim, keepdims=keepdim, **more
    )


def logsumexp(x, axis=None, keepdims=False):
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def norm(x, p=2.0, axis=None, keepdims=False):
    size = np.abs(x)
    if p == 0:
        return np.sum(size != 0, axis=axis, keepdims=keepdims).astype(x.dtype)
    if np.isinf(p):
        return (np.max if p > 0 else np.min)(size, axis=axis, keepdims=keepdims)
    return np.sum(size**p, axis=axis, keepdims=keepdims) ** (1 / p)


def samples(rng):
    x = rng.normal(size=(3, 4, 5))
    x = np.where(np.abs(x) < 0.05, 0.5, x)
    choices = ({}, {"dim": 0}, {"dim": -1}, {"dim": 1, "keepdim": True}, {"dim": (0, 2)},
               {"dim": (1, 2), "keepdim": True})  # fmt: skip
    found = []
    for op, f, dtypes in (
        ("sum", np.sum, "number"),
        ("mean", np.mean, "float"),
        ("prod", np.prod, "float"),
        ("max", np.max, "number"),
        ("min", np.min, "number"),
        ("logsumexp", logsumexp, "float"),
        ("norm", norm, "float"),
        ("var", lambda x, **k: np.var(x, ddof=1, **k), "float"),
        ("std", lambda x, **k: np.std(x, ddof=1, **k), "float"),
    ):
        found += [Sample(op, (x,), dict(k), reference=along(f), dtypes=dtypes) for k in choices]
        found.append(Sample(op, (rng.normal(size=(70, 33)),), {"dim": 0}, reference=along(f),
                            name="columns", rtol=1e-4))  # fmt: skip
        found.append(Sample(op, (rng.normal(size=(33, 70)),), {"dim": 1}, reference=along(f),
                            name="rows", rtol=1e-4))  # fmt: skip
    for op, f in (("any", np.any), ("all", np.all)):
        coarse = np.round(rng.normal(size=(3, 4, 5)) * 0.7)
        found += [Sample(op, (coarse,), dict(k), reference=along(f), dtypes="all")
                  for k in choices]  # fmt: skip
        found.append(Sample(op, (np.zeros((0, 3)),), {"dim": 0}, reference=along(f), name="empty"))
    coarse = np.round(rng.normal(size=(4, 40, 3)) * 2)
    nans = np.where(rng.random((6, 7)) < 0.1, np.nan, rng.normal(size=(6, 7)))
    for op, f in (("argmax", np.argmax), ("argmin", np.argmin)):
        for k in ({}, {"dim": 0}, {"dim": 1}, {"dim": -1, "keepdim": True}):
            found.append(Sample(op, (coarse,), dict(k), reference=along(f), dtypes="number"))
            if k.get("dim") != 1:
                found.append(Sample(op, (nans,), dict(k), reference=along(f), name="nan"))
        found.append(Sample(op, (np.array(2.0),), {}, reference=along(f), name="0-d"))
    long = rng.normal(size=100_003)
    found += [
        Sample("sum", (np.array(2.0),), reference=along(np.sum), name="0-d"),
        Sample("sum", (np.zeros((0, 3)),), {"dim": 0}, reference=along(np.sum), name="empty"),
        Sample("prod", (np.zeros((0, 3)),), {"dim": 0}, reference=along(np.prod), name="empty"),
        Sample("mean", (np.zeros((0, 3)),), {"dim": 0}, reference=along(np.mean), grad=(),
               name="empty"),
        Sample("logsumexp", (np.zeros((0, 3)),), {"dim": 0}, reference=along(logsumexp), grad=(),
               name="empty"),
        Sample("max", (np.zeros((0, 3)),), {"dim": 1}, reference=along(np.max), name="empty"),
        Sample("max", (nans,), {"dim": 0}, reference=along(np.max), grad=(), name="nan"),
        Sample("min", (nans,), {"dim": 1}, reference=along(np.min), grad=(), name="nan"),
        Sample("sum", (x,), {"dtype": "float64"}, name="dtype",
               reference=lambda x, dtype: x.sum(dtype=dtype)),
        Sample("sum", (rng.random((3, 4)) < 0.5,), reference=along(np.sum), name="bool"),
        Sample("max", (rng.random((3, 4)) < 0.5,), {"dim": 0}, reference=along(np.max),
               name="bool"),
        Sample("mean", (rng.integers(0, 9, (3, 4)),), reference=along(np.mean), name="int"),
        Sample("prod", (rng.integers(1, 4, (3, 4)),), {"dim": 0}, reference=along(np.prod),
               name="int"),
        Sample("prod", (np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [4.0, 5.0, 6.0]]),),
               {"dim": 1}, reference=along(np.prod), name="zeros"),
        Sample("logsumexp", (np.array([1000.0, 1000.0, -np.inf]),), grad=(), layouts=False,
               name="large", reference=lambda x: 1000 + np.log(2)),
        Sample("logsumexp", (np.full(3, -np.inf),), grad=(), name="nothing",
               reference=lambda x: np.array(-np.inf)),
        Sample("var", (x,), {"dim": 1, "correction": 0}, name="correction",
               reference=lambda x, dim, correction: x.var(axis=dim, ddof=correction)),
        Sample("cumsum", (x, 1), reference=lambda x, dim: np.cumsum(x, axis=dim),
               dtypes="number"),
        Sample("cumsum", (x, -1), reference=lambda x, dim: np.cumsum(x, axis=dim)),
        Sample("cumsum", (np.zeros((2, 0)), 1), reference=lambda x, dim: np.cumsum(x, axis=dim),
               name="empty"),
        Sample("cumsum_backward", (x, 0, True),
               reference=lambda x, dim, reverse: np.cumsum(x[::-1], axis=0)[::-1]),
    ]  # fmt: skip
    for p in (1.0, 3.0, float("inf"), float("-inf")):
        found.append(Sample("norm", (x,), {"p": p, "dim": 1}, reference=along(norm), name=f"{p}"))
    found.append(Sample("norm", (coarse,), {"p": 0.0, "dim": 1}, reference=along(norm), grad=(),
                        name="0"))  # fmt: skip
    found += [Sample(op, (long,), layouts=False, reference=along(f), name="long", rtol=1e-4)
              for op, f in (("sum", np.sum), ("mean", np.mean), ("max", np.max))]  # fmt: skip
    return found
