# SPDX-License-Identifier: MIT
"""x[…] and x[…] = v by NumPy's rules, with gradients."""

import numpy as np
import pytest
import tinyfin as tf
from tinyfin import Tensor

A = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
MASK = A % 5 < 2

INDICES = [
    0, -1, (1, 2), (1, -1, 3), slice(None), slice(1, None), slice(None, None, 2),
    slice(None, None, -1), slice(5, 1), slice(-2, None), slice(0, 100), (slice(None), 1),
    (slice(None), slice(0, 2), slice(None, None, -2)), None, (None, 0), (..., 0), (0, ...), ...,
    (..., None), (slice(None), None, 1), (0, ..., None, slice(1, 3)), (),
    [0, 1, 1], ([0, 1], [2, 0]), (slice(None), [0, 2]), (slice(None), [0, 2], slice(1, 3)),
    ([[0], [1]], [[0, 1, 2]]), ([0, 1], slice(None), [1, 2]), (0, [0, 2]), (0, slice(None), [0, 2]),
    (None, [1, 0]), np.array([1, 0]), np.int64(1), (np.array([[0, 1], [1, 0]]), 2),
    MASK, MASK[:, :, 0], (slice(None), MASK[0]), (MASK[:, 0, 0], 1), [True, False],
    np.zeros((0,), np.int64), (slice(None), slice(2, 2)), [-1, -2],
]  # fmt: skip


def ours(index):
    """The same index with Tensors in the place of arrays."""
    if isinstance(index, tuple):
        return tuple(ours(i) for i in index)
    return Tensor.from_numpy(index) if isinstance(index, np.ndarray) else index


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_reading_and_its_gradient(index):
    for i in (index, ours(index)):
        x = Tensor(A, requires_grad=True)
        y = x[i]
        np.testing.assert_array_equal(y.data, A[index])
        weights = np.arange(A[index].size, dtype=np.float32).reshape(A[index].shape)
        (y * weights).sum().backward()
        expected = np.zeros_like(A)
        np.add.at(expected, index, weights)
        np.testing.assert_array_equal(x.grad.numpy(), expected)


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_writing(index):
    for value in (7.5, np.arange(A[index].size, dtype=np.float32).reshape(A[index].shape)):
        if np.size(value) > 1 and isinstance(index, list) and index == [0, 1, 1]:
            continue  # the order of duplicates is not fixed
        expected = A.copy()
        expected[index] = value
        x = Tensor(A)
        x[ours(index)] = value
        np.testing.assert_array_equal(x.numpy(), expected)


def test_gradients_of_writing():
    x, v = Tensor(A, requires_grad=True), Tensor(np.ones((2, 4)), requires_grad=True)
    y = x * 2
    y[:, 1] = v
    (y * y).sum().backward()
    expected = 8 * A
    expected[:, 1] = 0
    np.testing.assert_array_equal(x.grad.numpy(), expected)
    np.testing.assert_array_equal(v.grad.numpy(), 2 * np.ones((2, 4)))


def test_basic_indices_are_views():
    x = Tensor(A.copy())
    for index in (0, slice(None, None, 2), (..., 1), None):
        assert np.shares_memory(x[index].numpy(), x.numpy())
    x[0][1] = 5
    assert x.tolist()[0][1] == [5, 5, 5, 5]
    assert not np.shares_memory(x[[0, 1]].numpy(), x.numpy())


def test_iteration():
    assert [row.shape for row in Tensor(A)] == [(3, 4), (3, 4)]
    first, second = Tensor([1, 2])
    assert (first.item(), second.item()) == (1, 2)
    with pytest.raises(TypeError):
        iter(Tensor(1.0)).__next__()


@pytest.mark.parametrize(
    "index",
    [2, -3, (0, 3), (0, 0, 0, 0), [0, 2], ([0, 1], [0, 1, 2]), "a", 1.5, (..., ...), [1.5],
     np.ones((3, 3), bool), slice("a", None)],
    ids=str,
)  # fmt: skip
def test_bad_indices_are_index_errors(index):
    with pytest.raises(IndexError, match=r"\[getitem"):
        Tensor(A)[index]
    x = Tensor(A)
    with pytest.raises(IndexError):
        x[index] = 1
    np.testing.assert_array_equal(x.numpy(), A)


def test_writing_a_shape_that_does_not_fit():
    x = Tensor(A)
    with pytest.raises(ValueError):
        x[0] = [1, 2]
    leaf = Tensor(A, requires_grad=True)
    with pytest.raises(RuntimeError):
        leaf[0] = 1
    with tf.no_grad():
        leaf[0] = 1
    assert leaf.tolist()[0][0] == [1, 1, 1, 1]
