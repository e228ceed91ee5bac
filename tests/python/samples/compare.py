# SPDX-License-Identifier: MIT
"""Comparisons, logic, choice by a mask."""

import numpy as np
from opcheck import Sample


def samples(rng):
    a = np.round(rng.normal(size=(3, 4)))
    b = np.round(rng.normal(size=(3, 4)))
    row = np.round(rng.normal(size=4))
    odd = np.array([0.0, -0.0, 1.5, np.inf, -np.inf, np.nan])
    mask, mask2 = rng.random((3, 4)) < 0.5, rng.random((3, 4)) < 0.5
    found = []
    for op, reference in (
        ("eq", np.equal), ("ne", np.not_equal), ("lt", np.less), ("le", np.less_equal),
        ("gt", np.greater), ("ge", np.greater_equal),
    ):  # fmt: skip
        found += [
            Sample(op, (a, b), reference=reference, dtypes="all"),
            Sample(op, (a, row), reference=reference, dtypes="all", name="row"),
            Sample(op, (a, 1), reference=reference, dtypes="number", name="number"),
            Sample(op, (odd, odd[::-1].copy()), reference=reference, name="odd"),
            Sample(op, (np.zeros((2, 0)), np.array(1.0)), reference=reference, name="empty"),
        ]
    ints = rng.integers(-99, 99, size=(3, 4)), rng.integers(-99, 99, size=4)
    for op, reference in (("bitwise_and", np.bitwise_and), ("bitwise_or", np.bitwise_or),
                          ("bitwise_xor", np.bitwise_xor)):  # fmt: skip
        found += [
            Sample(op, (mask, mask2), reference=reference, name="bool"),
            Sample(op, ints, reference=reference, name="int64"),
            Sample(op, tuple(v.astype("int32") for v in ints), reference=reference, name="int32"),
        ]
    for op, reference in (("logical_and", np.logical_and), ("logical_or", np.logical_or),
                          ("logical_xor", np.logical_xor)):  # fmt: skip
        found += [Sample(op, (a, b), reference=reference, dtypes="all"),
                  Sample(op, (odd, np.ones(6)), reference=reference, name="odd")]  # fmt: skip
    found += [
        Sample("bitwise_not", (mask,), reference=np.bitwise_not, name="bool"),
        Sample("bitwise_not", (ints[0],), reference=np.bitwise_not, name="int64"),
        Sample("bitwise_not", (ints[0].astype("int32"),), reference=np.bitwise_not, name="int32"),
        Sample("logical_not", (a,), reference=np.logical_not, dtypes="all"),
        Sample("isnan", (odd,), reference=np.isnan),
        Sample("isinf", (odd,), reference=np.isinf),
        Sample("isfinite", (odd,), reference=np.isfinite),
    ]
    x, y = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    narrow = mask[:, :1].copy()
    found += [
        Sample("where", (mask, x, y), reference=np.where, dtypes="all"),
        Sample("where", (narrow, x, y[0].copy()), reference=np.where, name="broadcast"),
        Sample("where", (mask, x, 0.5), reference=np.where, name="number"),
        Sample("where", (mask[0].copy(), np.array(1.5), y), reference=np.where, name="scalar"),
        Sample("where", (np.zeros((0, 3), bool), np.zeros((0, 3)), np.ones(3)),
               reference=np.where, name="empty"),
        Sample("masked_fill", (x, mask, -2.0), dtypes="number",
               reference=lambda x, m, v: np.where(m, np.asarray(v, x.dtype), x)),
        Sample("masked_fill", (x, mask[0].copy(), 7.5), name="row",
               reference=lambda x, m, v: np.where(m, v, x)),
        Sample("masked_fill_", (x, mask, 7.5), reference=lambda x, m, v: np.where(m, v, x)),
    ]  # fmt: skip
    wide = rng.normal(size=(3, 4)) * 3
    found += [
        Sample("clamp", (wide,), {"min": -1, "max": 2}, dtypes="number",
               reference=lambda x, min, max: np.clip(x, min, max)),
        Sample("clamp", (wide,), {"min": -0.5}, reference=lambda x, min: np.maximum(x, min)),
        Sample("clamp", (odd,), {"min": -1, "max": 1}, grad=(), name="odd",
               reference=lambda x, min, max: np.clip(x, min, max)),
        Sample("clamp_min", (wide, 0.5), reference=np.maximum),
        Sample("clamp_max", (wide, 0.5), reference=np.minimum),
        Sample("clamp_backward", (x, wide, -1.0, 1.0), grad=(0,),
               reference=lambda g, x, lo, hi: np.where((x >= lo) & (x <= hi), g, 0)),
    ]  # fmt: skip
    return found
