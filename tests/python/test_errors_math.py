# SPDX-License-Identifier: MIT
"""What arithmetic, comparisons and functions of one element refuse, and how they say so."""

import numpy as np
import pytest
import tinyfin
from tinyfin import Tensor, _ops


def tensor(values, dtype="float32"):
    return Tensor.from_numpy(np.array(values, dtype))


BOOLS = tensor([True, False], "bool")


@pytest.mark.parametrize(
    ("call", "error", "fragments"),
    [
        (lambda: tensor([1, 2]) + tensor([1, 2, 3]), ValueError, ["[add]", "(2,)", "(3,)"]),
        (lambda: BOOLS - BOOLS, TypeError, ["[sub]", "bool", "^"]),
        (lambda: -BOOLS, TypeError, ["[neg]", "bool", "~x"]),
        (lambda: BOOLS // BOOLS, TypeError, ["[floor_divide]", "bool"]),
        (lambda: tensor([1.0]) & tensor([2.0]), TypeError, ["[bitwise_and]", "float32"]),
        (lambda: ~tensor([1.0]), TypeError, ["[bitwise_not]", "float32"]),
        (lambda: _ops.add_(tensor([1], "int64"), 0.5), TypeError, ["[add_]", "int64", "float32"]),
        (lambda: _ops.div_(tensor([1], "int64"), 2), TypeError, ["[div_]", "float32"]),
        (lambda: _ops.add_(tensor([1.0]), tensor([1.0, 2.0])), ValueError, ["[add_]", "(2,)"]),
        (lambda: _ops.clamp(tensor([1.0])), ValueError, ["[clamp]", "neither min nor max"]),
        (lambda: _ops.clamp(tensor([1.0]), min=float("nan")), ValueError, ["[clamp]", "NaN"]),
        (lambda: _ops.masked_fill(tensor([1.0]), tensor([1.0]), 0), TypeError, ["mask", "bool"]),
        (lambda: _ops.masked_fill(tensor([1.0]), BOOLS, 0), ValueError, ["mask", "(2,)"]),
        (lambda: _ops.gelu(tensor([1.0]), "relu"), ValueError, ["[gelu]", "tanh"]),
        (lambda: _ops.softplus(tensor([1.0]), beta=0), ValueError, ["[softplus]", "beta"]),
    ],
)
def test_refused(call, error, fragments):
    with pytest.raises(error) as caught:
        call()
    assert isinstance(caught.value, tinyfin.Error)
    for text in fragments:
        assert text in str(caught.value)


def test_integer_division_by_zero_does_not_trap():
    least = np.iinfo(np.int32).min
    a, b = tensor([5, -5, least], "int32"), tensor([0, 0, -1], "int32")
    assert (a // b).tolist() == [0, 0, least]
    assert (a % b).tolist() == [0, 0, 0]
    assert (tensor([0, 2, -1], "int64") ** tensor([-1, -1, -3], "int64")).tolist() == [0, 0, -1]
