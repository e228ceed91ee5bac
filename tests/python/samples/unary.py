# SPDX-License-Identifier: MIT
"""Functions of one element."""

import math

import numpy as np
from opcheck import Sample

erf = np.vectorize(math.erf, otypes=[float])
PHI = 1 / math.sqrt(2 * math.pi)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gelu(x, approximate="none"):
    if approximate == "tanh":
        return x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2
    return x * (1 + erf(x / math.sqrt(2))) / 2


def gelu_slope(g, x, approximate="none"):
    if approximate == "tanh":
        u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
        du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x**2)
        return g * (0.5 * (1 + np.tanh(u)) + 0.5 * x * (1 - np.tanh(u) ** 2) * du)
    return g * ((1 + erf(x / math.sqrt(2))) / 2 + x * PHI * np.exp(-x * x / 2))


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(x))


def softplus(x, beta=1.0):
    return np.logaddexp(0, beta * x) / beta


def silu_slope(g, x):
    return g * sigmoid(x) * (1 + x * (1 - sigmoid(x)))


def leaky_relu(x, slope=0.01):
    return np.where(x > 0, x, slope * x)


def samples(rng):
    x = rng.normal(size=(3, 5)) * 2
    x = np.where(np.abs(x) < 0.1, 0.7, x)  # away from kinks
    above = rng.uniform(0.3, 3.0, size=(3, 5))
    g = rng.normal(size=(3, 5))
    odd = np.array([0.0, -0.0, 1e-30, -1e-30, 85.0, -85.0, np.inf, -np.inf, np.nan])
    found = []
    for op, reference, at, dtypes in (
        ("neg", np.negative, x, "number"),
        ("abs", np.abs, x, "number"),
        ("square", np.square, x, "number"),
        ("sign", np.sign, x, "number"),
        ("relu", lambda x: np.maximum(x, 0), x, "number"),
        ("floor", np.floor, x, "number"),
        ("ceil", np.ceil, x, "number"),
        ("round", np.round, x, "number"),
        ("exp", np.exp, x, "number"),
        ("expm1", np.expm1, x, "number"),
        ("log", np.log, above, "number"),
        ("log1p", np.log1p, above, "number"),
        ("sqrt", np.sqrt, above, "number"),
        ("rsqrt", lambda x: 1 / np.sqrt(x), above, "float"),
        ("reciprocal", lambda x: 1 / x, x, "float"),
        ("sin", np.sin, x, "number"),
        ("cos", np.cos, x, "number"),
        ("erf", erf, x, "number"),
        ("tanh", np.tanh, x, "number"),
        ("sigmoid", sigmoid, x, "number"),
        ("silu", lambda x: x * sigmoid(x), x, "number"),
        ("gelu", gelu, x, "number"),
        ("elu", elu, x, "number"),
        ("softplus", softplus, x, "number"),
        ("leaky_relu", leaky_relu, x, "number"),
    ):
        found += [
            Sample(op, (at,), reference=reference, dtypes=dtypes),
            Sample(op, (at[0, 0].copy(),), reference=reference, name="0-d"),
            Sample(op, (np.zeros((2, 0)),), reference=reference, name="empty"),
        ]
        if op not in ("sin", "cos", "silu", "gelu"):  # 0 * inf and sin(inf) are NaN or not by luck
            found.append(Sample(op, (odd,), reference=reference, grad=(), name="odd"))
    halves = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 8388609.0, -4194303.5])
    found += [
        Sample("round", (halves,), reference=np.round, grad=(), name="halves"),
        Sample("gelu", (x,), {"approximate": "tanh"}, reference=gelu, name="tanh"),
        Sample("elu", (x,), {"alpha": 0.5}, reference=elu, name="alpha"),
        Sample("softplus", (x,), {"beta": 3.0}, reference=softplus, name="beta"),
        Sample("leaky_relu", (x,), {"slope": -0.5}, reference=leaky_relu, name="slope"),
        Sample("relu_mask", (g, x), reference=lambda g, r: np.where(r > 0, g, 0), grad=(0,)),
        Sample("leaky_relu_backward", (g, x, 0.1), grad=(0,),
               reference=lambda g, x, s: np.where(x > 0, g, s * g)),
        Sample("tanh_backward", (g, x), reference=lambda g, r: g * (1 - r * r)),
        Sample("sigmoid_backward", (g, x), reference=lambda g, r: g * r * (1 - r)),
        Sample("elu_backward", (g, x, 0.7),
               reference=lambda g, x, a: g * np.where(x > 0, 1, a * np.exp(x))),
        Sample("silu_backward", (g, x), reference=silu_slope),
        Sample("gelu_backward", (g, x, "none"), reference=gelu_slope),
        Sample("gelu_backward", (g, x, "tanh"), reference=gelu_slope, name="tanh"),
    ]  # fmt: skip
    found += [Sample(op, (rng.normal(size=40003),), layouts=False, name="long")
              for op in ("exp", "gelu", "tanh")]  # fmt: skip
    return found
