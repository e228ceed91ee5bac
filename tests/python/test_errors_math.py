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
        (lambda: _ops.linear(tensor([[1.0]]), tensor([[1.0]]), residual=tensor([1.0, 2.0])),
         ValueError, ["[linear]", "residual", "(2,)", "(1, 1)"]),
        (lambda: _ops.linear(tensor([1.0]), tensor([[1.0]]), residual=tensor([[1.0]])),
         ValueError, ["[linear]", "residual", "(1, 1)", "(1,)"]),
        (lambda: _ops.linear(tensor([1.0]), tensor([[1.0]]), residual=tensor([1], "int64")),
         TypeError, ["[linear]", "residual", "int64"]),
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


SCORES = tensor([[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    ("call", "error", "fragments"),
    [
        (lambda: _ops.sum(SCORES, 2), IndexError, ["[sum]", "2"]),
        (lambda: _ops.sum(SCORES, (0, 0)), ValueError, ["[sum]"]),
        (lambda: _ops.max(tensor(np.zeros((0, 3)))), ValueError, ["[max]", "at least one"]),
        (lambda: _ops.argmax(tensor(np.zeros((2, 0))), 1), ValueError, ["[argmax]", "at least"]),
        (lambda: _ops.mean(SCORES, dtype="int64"), TypeError, ["[mean]", "int64"]),
        (lambda: _ops.softmax(SCORES, 2), IndexError, ["[softmax]", "2"]),
        (lambda: _ops.cumsum(SCORES, -3), IndexError, ["[cumsum]", "-3"]),
        (lambda: _ops.norm(SCORES, p=float("nan")), ValueError, ["[norm]", "NaN"]),
        (lambda: _ops.cross_entropy(SCORES, tensor([0, 3], "int64")), IndexError,
         ["[cross_entropy]", "class index 3", "0 to 2"]),
        (lambda: _ops.cross_entropy(SCORES, tensor([0, -1], "int32")), IndexError, ["-1"]),
        (lambda: _ops.cross_entropy(SCORES, tensor([0, 0.5])), ValueError, ["0.5", "whole"]),
        (lambda: _ops.cross_entropy(SCORES, tensor([0], "int64")), ValueError, ["(1,)", "(2,)"]),
        (lambda: _ops.cross_entropy(SCORES, tensor([True, False], "bool")), TypeError, ["bool"]),
        (lambda: _ops.cross_entropy(SCORES, tensor([[1, 0]])), ValueError, ["(1, 2)", "(2, 3)"]),
        (lambda: _ops.cross_entropy(SCORES, tensor(1, "int64")), ValueError, ["()", "(2, 3)"]),
        (lambda: _ops.cross_entropy(SCORES, tensor([0, 1], "int64"), tensor([1, 1])), ValueError,
         ["weights", "(3,)"]),
        (lambda: _ops.nll_loss(SCORES, tensor([0, 7], "int64")), IndexError, ["[nll_loss]", "7"]),
        (lambda: _ops.huber_loss(SCORES, SCORES, delta=-1), ValueError, ["[huber_loss]", "delta"]),
        (lambda: _ops.mse_loss(SCORES, tensor([1, 2])), ValueError, ["(2, 3)", "(2,)"]),
    ],
)  # fmt: skip
def test_reductions_and_losses_refuse(call, error, fragments):
    test_refused(call, error, fragments)
