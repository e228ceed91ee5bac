# SPDX-License-Identifier: MIT
"""Kernels that cut large arrays into blocks, tiles and bands: shapes around their edges."""

import numpy as np
import opcheck
import pytest
import tinyfin as tf
from tinyfin import _ops

THREADS = (1, 2, 3, 4)


def tensor(array):
    return tf.Tensor.from_numpy(np.ascontiguousarray(array))


COPIES = [
    ((1030, 1100), (1, 0)),  # streamed, with edges
    ((1088, 1024), (1, 0)),  # streamed, without
    ((33, 70), (1, 0)),
    ((7, 100, 3), (2, 1, 0)),
    ((4, 64, 29, 31), (0, 2, 3, 1)),
    ((4, 29, 31, 64), (0, 3, 1, 2)),
    ((2, 3, 35, 67), (0, 2, 3, 1)),  # colours of pixels
    ((2, 35, 67, 3), (0, 3, 1, 2)),
    ((17, 16, 15, 14), (2, 0, 3, 1)),
    ((2, 1, 130, 65), (1, 3, 0, 2)),
    ((5, 40, 3, 20), (0, 2, 1, 3)),  # rows that stay rows
    ((0, 4), (1, 0)),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "bool"])
@pytest.mark.parametrize("shape, order", COPIES)
def test_permuted_copy(shape, order, dtype):
    x = np.random.default_rng(0).integers(-1000, 1000, shape)
    x = x > 0 if dtype == "bool" else x.astype(dtype)
    expected = x.transpose(order)
    view = _ops.permute(tensor(x), order)
    assert np.array_equal(_ops.contiguous(view).to_numpy(), expected)
    # Into memory that begins and ends between cache lines.
    wide = tensor(np.zeros([n + 1 for n in expected.shape], x.dtype))
    inside = wide[tuple(slice(1, None) for _ in shape)]
    _ops.copy_(inside, view)
    assert np.array_equal(inside.to_numpy(), expected)
    assert not wide.to_numpy()[0].any()


@pytest.mark.parametrize("shape, dim", [((4099, 1030), 0), ((70, 300, 33), 1), ((9, 5, 4000), 0),
                                        ((2000, 3, 5), (0, 1))])  # fmt: skip
def test_column_reductions(shape, dim):
    x = np.random.default_rng(1).normal(size=shape)
    t = tensor(x)
    for op, reference in ((_ops.sum, np.sum), (_ops.mean, np.mean), (_ops.max, np.max),
                          (_ops.min, np.min)):  # fmt: skip
        results = []
        for n in THREADS:
            with opcheck.threads(n):
                results.append(op(t, dim).to_numpy())
        np.testing.assert_allclose(results[0], reference(x, axis=dim), rtol=1e-11, atol=1e-11)
        assert all(np.array_equal(r, results[0]) for r in results)


@pytest.mark.parametrize("rows, width, count", [(3000, 37, 5000), (10, 300, 4000), (5, 1, 40000),
                                                (20000, 3, 50), (1, 8, 700)])  # fmt: skip
def test_embedding_gradient(rows, width, count):
    rng = np.random.default_rng(2)
    index = rng.integers(0, rows, count)
    grad = rng.normal(size=(count, width)).astype("float32")
    expected = np.zeros((rows, width), "float32")
    np.add.at(expected, index, grad)  # in the order of the indices, as ours
    for n in THREADS:
        table = tensor(np.zeros((rows, width), "float32"))
        table.requires_grad = True
        with opcheck.threads(n):
            _ops.embedding(table, tensor(index)).backward(tensor(grad))
        assert np.array_equal(table.grad.to_numpy(), expected)


@pytest.mark.parametrize("shape, dim", [((300, 70), 0), ((5, 130, 33), 1), ((2, 3, 40, 16), 2)])
def test_softmax_across_memory(shape, dim):
    x = np.random.default_rng(3).normal(size=shape).astype("float32")
    along = np.moveaxis(x, dim, -1)
    for op in (_ops.softmax, _ops.log_softmax):
        expected = np.moveaxis(op(tensor(along), -1).to_numpy(), -1, dim)
        for n in THREADS:
            with opcheck.threads(n):
                assert np.array_equal(op(tensor(x), dim).to_numpy(), expected)


def test_rows_with_nan_and_infinity():
    inf, nan = np.inf, np.nan
    x = np.zeros((5, 50), "float32")
    x[0, 45] = nan
    x[1, 3] = inf
    x[2, :] = -inf
    x[3, 7] = -inf
    x[4, 17] = 1e-42
    with np.errstate(invalid="ignore"):
        e = np.exp(x.astype("float64") - x.max(axis=1, keepdims=True))
        expected = e / e.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(_ops.softmax(tensor(x), 1).to_numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(_ops.log_softmax(tensor(x), 1).to_numpy()[3:], np.log(expected)[3:],
                               rtol=1e-6)  # fmt: skip
    assert np.isnan(_ops.log_softmax(tensor(x), 1).to_numpy()[:3]).all()


def test_gelu_beyond_the_table():
    x = np.array([np.inf, -np.inf, np.nan, 3e38, -3e38, -20, -5.9, 1e-40, -1e-40, 0.0], "float32")
    y = _ops.gelu(tensor(x)).to_numpy()
    assert y[0] == np.inf and np.isnan(y[2]) and y[3] == x[3]
    assert np.allclose(y[7:], x[7:] / 2, rtol=0, atol=2e-45)
    if not np.isnan(y[1]):  # the limit, or the formula's NaN
        assert y[1] == 0
    assert abs(y[4:7]).max() < 4e-8
