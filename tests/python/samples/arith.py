# SPDX-License-Identifier: MIT
"""Arithmetic of two operands."""

import numpy as np
from opcheck import Sample


def samples(rng):
    a = rng.normal(size=(3, 4)) * 3
    b = rng.normal(size=(3, 4)) * 3
    b = np.where(np.abs(b) < 0.5, 1.5, b)
    row, column, scalar = rng.normal(size=4) + 3, rng.normal(size=(3, 1)) + 3, np.array(2.5)
    positive = rng.uniform(0.5, 2.5, size=(3, 4))
    long = rng.normal(size=40001)
    found = []
    for op, reference, dtypes in (
        ("add", np.add, "number"),
        ("sub", np.subtract, "number"),
        ("mul", np.multiply, "number"),
        ("div", np.divide, "float"),
        ("maximum", np.maximum, "number"),
        ("minimum", np.minimum, "number"),
    ):
        found += [
            Sample(op, (a, b), reference=reference, dtypes=dtypes),
            Sample(op, (a, row), reference=reference, dtypes=dtypes, name="row"),
            Sample(op, (column, row), reference=reference, dtypes=dtypes, name="outer"),
            Sample(op, (a, scalar), reference=reference, dtypes=dtypes, name="scalar"),
            Sample(op, (a, 2.5), reference=reference, name="number"),
            Sample(op, (long, long[::-1] + 9.0), reference=reference, name="long", layouts=False),
            Sample(op, (np.zeros((0, 4)), row), reference=reference, dtypes=dtypes, name="empty"),
        ]
    for op, reference in (("add_", np.add), ("sub_", np.subtract), ("mul_", np.multiply),
                          ("div_", np.divide)):  # fmt: skip
        # A leaf cannot be modified in place: only the other operand has a gradient here.
        found += [
            Sample(op, (a, b), reference=reference, grad=(1,)),
            Sample(op, (a, row), reference=reference, grad=(1,), name="row"),
        ]
    bools = rng.random((3, 4)) < 0.5, rng.random((3, 4)) < 0.5
    found += [
        Sample("add", bools, reference=np.logical_or, name="bool"),
        Sample("mul", bools, reference=np.logical_and, name="bool"),
        Sample("maximum", bools, reference=np.logical_or, name="bool"),
        Sample("minimum", bools, reference=np.logical_and, name="bool"),
        Sample("floor_divide", (a, b), reference=np.floor_divide, dtypes="float"),
        Sample("remainder", (a, b), reference=np.remainder, rtol=2e-5, atol=1e-5),
        Sample("remainder", (a, scalar), reference=np.remainder, rtol=2e-5, atol=1e-5),
        Sample("pow", (positive, b), reference=np.power, rtol=1e-5),
        Sample("pow", (positive, row), reference=np.power, rtol=1e-5, name="row"),
        Sample("pow", (a, 2), reference=np.power, dtypes="number", name="square"),
        Sample("pow", (a, 3.0), reference=np.power, name="cube", rtol=2e-5),
        Sample("pow", (np.array([0.0, 0.0, 1.0, -2.0]), 3.0), reference=np.power, name="at0"),
        Sample("pow", (np.array([1.0, -2.0, 3.0]), 0.0), reference=np.power, name="to0"),
        Sample("pow", (2.0, a), reference=np.power, name="base"),
        Sample("pow", (np.array([0.0, 0.0, 0.0, 2.0, -1.0, np.inf, np.nan]),
                       np.array([0.0, 2.0, -1.0, np.inf, np.inf, -1.0, 0.0])),
               reference=np.power, grad=(), name="ieee"),
    ]  # fmt: skip
    whole = rng.integers(-9, 10, size=(3, 4)), rng.integers(1, 5, size=(3, 4))
    for dtype in ("int32", "int64"):
        x, y = (v.astype(dtype) for v in whole)
        for op, reference in (("floor_divide", np.floor_divide), ("remainder", np.remainder),
                              ("pow", np.power)):  # fmt: skip
            found.append(Sample(op, (x, y), reference=reference, name=dtype))
        for op, reference in (("floor_divide", np.floor_divide), ("remainder", np.remainder)):
            found.append(Sample(op, (x, -y), reference=reference, name=f"{dtype}-negative"))
    return found
