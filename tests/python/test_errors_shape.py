# SPDX-License-Identifier: MIT
"""Errors of shape, joining and indexing ops: the class, and what the one line names."""

import numpy as np
import pytest
import tinyfin
from tinyfin import Tensor, _ops


def x():
    return Tensor.from_numpy(np.zeros((2, 3, 4)))


def ints(*values):
    return Tensor.from_numpy(np.array(values))


@pytest.mark.parametrize(
    "call, kinds, words",
    [
        (lambda: x().reshape(5, -1), ValueError, ["(5, -1)", "24"]),
        (lambda: x().reshape(-1, -1), ValueError, ["at most one -1"]),
        (lambda: _ops.reshape_view(x().T, 24), ValueError, ["(24,)", "reshape"]),
        (lambda: x().permute(0, 1), (ValueError, IndexError), ["2 dimensions", "3"]),
        (lambda: x().permute(0, 1, 1), (ValueError, IndexError), ["(0, 1, 1)", "permutation"]),
        (lambda: x().transpose(0, 1), (ValueError, IndexError), ["swapaxes(0, 1)"]),
        (lambda: x().swapaxes(0, 3), (ValueError, IndexError), ["dimension 3", "-3 to 2"]),
        (lambda: x().flatten(2, 1), (ValueError, IndexError), ["start_dim 2", "end_dim 1"]),
        (lambda: x().expand(2, 3, 5), ValueError, ["(2, 3, 5)", "(2, 3, 4)"]),
        (lambda: x().unsqueeze(5), (ValueError, IndexError), ["dimension 5"]),
        (lambda: x().flip((0, 0)), (ValueError, IndexError), ["twice"]),
        (lambda: x().narrow(1, 2, 2), IndexError, ["start 2", "length 2", "size 3"]),
        (lambda: x().select(2, 4), IndexError, ["index 4", "axis 2", "size 4", "-4 to 3"]),
        (lambda: x().repeat(2, 2), ValueError, ["2 repeats", "3 dimensions"]),
        (lambda: x().repeat(2, -1, 1), ValueError, ["not negative"]),
        (lambda: x().split(1, 2), ValueError, ["2 parts", "size 3", "chunk"]),
        (lambda: x().chunk(0), ValueError, ["0 chunks"]),
        (lambda: _ops.concat([]), ValueError, ["no tensors"]),
        (lambda: _ops.concat([x(), x()[:, :2]], 0), ValueError, ["(2, 3, 4)", "(2, 2, 4)"]),
        (lambda: _ops.stack([x(), x()[0]]), ValueError, ["(2, 3, 4)", "(3, 4)"]),
        (lambda: _ops.concat([ints(1)[0], ints(2)[0]]), ValueError, ["scalars", "stack"]),
        (lambda: _ops._pad(x(), (1, -1)), ValueError, ["(1, -1)", "not negative"]),
        (lambda: _ops._pad(x(), (1,)), ValueError, ["1 paddings", "pair"]),
        (lambda: x().gather(1, ints(0)), ValueError, ["(1,)", "(2, 3, 4)"]),
        (lambda: x()[0, 0].gather(0, ints(9)), IndexError, ["index 9", "axis 0", "size 4"]),
        (lambda: x().index_select(1, ints(3)), IndexError, ["index 3", "axis 1", "size 3"]),
        (lambda: _ops.embedding(x(), ints(0, 2)), IndexError, ["index 2", "size 2", "-2 to 1"]),
        (lambda: _ops.embedding(x(), Tensor.from_numpy(np.array([0.5]))), IndexError,
         ["fractions"]),
        (lambda: _ops.one_hot(ints(0, 3), 3), IndexError, ["index 3", "size 3"]),
        (lambda: x()[0, 0].tril(), ValueError, ["(4,)", "two dimensions"]),
        (lambda: x().masked_select(ints(1)), TypeError, ["int64", "bool"]),
        (lambda: _ops._arange(0, 1, 0), ValueError, ["step 0"]),
        (lambda: _ops._eye(-1), ValueError, ["-1"]),
    ],
)  # fmt: skip
def test_errors(call, kinds, words):
    with pytest.raises(kinds) as caught:
        call()
    text = str(caught.value)
    assert isinstance(caught.value, tinyfin.Error) and "\n" not in text
    for word in words:
        assert word in text, text
