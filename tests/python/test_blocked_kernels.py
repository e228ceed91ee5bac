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


def same_for_all_threads(run):
    """What run() gives, as arrays; the same bits with any number of threads."""
    results = []
    for n in THREADS:
        with opcheck.threads(n):
            results.append([t.to_numpy() for t in run()])
    for again in results[1:]:
        for first, other in zip(results[0], again):
            assert np.array_equal(first, other, equal_nan=True)
    return results[0]


ACROSS = [((300, 70), 0), ((5, 130, 33), 1), ((2, 3, 40, 16), 2), ((1500, 1100), 0), ((2, 2000), 0),
          ((40, 9, 3), 1)]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape, dim", ACROSS)
def test_softmax_across_memory(shape, dim, dtype):
    rng = np.random.default_rng(3)
    x, grad = (rng.normal(size=shape).astype(dtype) for _ in range(2))
    x *= 30
    wide, g = x.astype("float64"), grad.astype("float64")
    top = wide.max(axis=dim, keepdims=True)
    e = np.exp(wide - top)
    total = e.sum(axis=dim, keepdims=True)
    p = e / total
    rtol = 1e-5 if dtype == "float32" else 1e-12

    def check(op, expected, gradient):
        def run():
            t = tensor(x)
            t.requires_grad = True
            y = op(t, dim)
            y.backward(tensor(grad if y.ndim == grad.ndim else grad.sum(axis=dim)))
            return y.detach(), t.grad

        for found, wanted in zip(same_for_all_threads(run), (expected, gradient)):
            scale = np.abs(wanted).max()
            np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol * scale)

    def summed(a):
        return a.sum(axis=dim, keepdims=True)

    check(_ops.softmax, p, p * (g - summed(g * p)))
    check(_ops.log_softmax, wide - top - np.log(total), g - p * summed(g))
    check(_ops.logsumexp, (top + np.log(total)).squeeze(dim), p * summed(g))


def test_columns_with_nan_and_infinity():
    inf, nan = np.inf, np.nan
    x = np.zeros((60, 20), "float32")
    x[45, 0] = nan
    x[3, 1] = inf
    x[:, 2] = -inf
    x[7, 3] = -inf
    x[17, 4] = 1e-42
    x[20, 5], x[21, 5] = nan, inf
    x[:, 6] = np.linspace(-3e38, 3e38, 60)
    for op in (_ops.softmax, _ops.log_softmax):
        rows = op(tensor(x.T), 1).to_numpy().T
        np.testing.assert_allclose(op(tensor(x), 0).to_numpy(), rows, rtol=1e-6, atol=1e-30)
    for axis, t in ((0, tensor(x)), (1, tensor(x.T))):
        found = _ops.logsumexp(t, axis).to_numpy()
        expected = np.full(20, np.log(60.0))
        expected[:7] = nan, inf, -inf, np.log(59.0), np.log(60.0), nan, 3e38
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
@pytest.mark.parametrize("shape, dim", ACROSS)
def test_running_sums_across_memory(shape, dim, dtype, reverse):
    x = np.random.default_rng(4).integers(-9, 9, shape).astype(dtype)
    order = slice(None, None, -1 if reverse else 1)
    op = opcheck.function("cumsum_backward")
    along = np.moveaxis(np.cumsum(np.moveaxis(x, dim, 0)[order], axis=0)[order], 0, dim)
    found = same_for_all_threads(lambda: [op(tensor(x), dim, reverse)])
    assert np.array_equal(found[0], along)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["mse", "l1", "huber", "logistic"])
def test_pointwise_losses_by_definition(kind, dtype, reduction):
    rng = np.random.default_rng(5)
    shape = (3, 41, 333)
    x, t = (3 * rng.normal(size=shape)).astype(dtype), rng.uniform(size=shape).astype(dtype)
    grad = rng.normal(size=shape if reduction == "none" else ()).astype(dtype)
    a, b = x.astype("float64"), t.astype("float64")
    d = a - b
    far = np.abs(d) > 1
    losses, slope = {
        "mse": (d * d, 2 * d),
        "l1": (np.abs(d), np.sign(d)),
        "huber": (np.where(far, np.abs(d) - 0.5, d * d / 2), np.clip(d, -1, 1)),
        "logistic": (np.logaddexp(0, a) - a * b, 1 / (1 + np.exp(-a)) - b),
    }[kind]
    op = {"mse": _ops.mse_loss, "l1": _ops.l1_loss, "huber": _ops.huber_loss,
          "logistic": _ops.binary_cross_entropy_with_logits}[kind]  # fmt: skip

    def run():
        p, q = tensor(x), tensor(t)
        p.requires_grad = q.requires_grad = True
        y = op(p, q, reduction=reduction)
        y.backward(tf.Tensor.from_numpy(np.asarray(grad)))
        return y.detach(), p.grad, q.grad

    share = grad.astype("float64") / (x.size if reduction == "mean" else 1)
    expected = [
        {"mean": np.mean, "sum": np.sum, "none": np.array}[reduction](losses),
        slope * share,
        (-a if kind == "logistic" else -slope) * share,
    ]
    rtol = 3e-6 if dtype == "float32" else 1e-12
    for found, wanted in zip(same_for_all_threads(run), expected):
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol * np.abs(wanted).max())


def test_pointwise_losses_at_the_edges():
    inf, nan = np.inf, np.nan
    x = tensor(np.array([100.0, -100.0, 1e-42, inf, nan, 0.0] * 4, "float32"))
    t = tensor(np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0] * 4, "float32"))
    x.requires_grad = True
    edges = {
        _ops.mse_loss: ([9801, 10000, 0, inf, nan, 0], [198, -200, 0, inf, nan, 0]),
        _ops.l1_loss: ([99, 100, 0, inf, nan, 0], [1, -1, 1, 1, nan, 0]),
        _ops.huber_loss: ([98.5, 99.5, 0, inf, nan, 0], [1, -1, 0, 1, nan, 0]),
        _ops.binary_cross_entropy_with_logits: (
            [0, 0, np.log(2), inf, nan, np.log(2)], [0, 0, 0.5, 1, nan, 0.5],
        ),
    }  # fmt: skip
    for op, (losses, slopes) in edges.items():
        x.grad = None
        y = op(x, t, reduction="none")
        y.backward(tensor(np.ones(24, "float32")))
        np.testing.assert_allclose(y.detach().to_numpy(), losses * 4, rtol=1e-6, atol=1e-38)
        np.testing.assert_allclose(x.grad.to_numpy(), slopes * 4, rtol=1e-6, atol=1e-38)


def test_pointwise_losses_broadcast_and_promote():
    rng = np.random.default_rng(6)
    x, t, w = rng.normal(size=(3, 1, 4)), rng.uniform(size=(5, 1)), rng.uniform(size=4)
    p, q, r = tensor(x), tensor(t.astype("float32")), tensor(w)
    for v in (p, q, r):
        v.requires_grad = True
    y = _ops.binary_cross_entropy_with_logits(p, q, r)
    q64 = t.astype("float32").astype("float64")
    assert y.dtype == "float64"
    np.testing.assert_allclose(y.item(), np.mean((np.logaddexp(0, x) - x * q64) * w), rtol=1e-12)
    y.backward()
    assert [v.grad.shape for v in (p, q, r)] == [(3, 1, 4), (5, 1), (4,)]
    assert q.grad.dtype == "float32"
    slope = (1 / (1 + np.exp(-x)) - q64) * w / 60
    np.testing.assert_allclose(p.grad.to_numpy(), slope.sum(axis=1, keepdims=True), rtol=1e-12)
    empty = tensor(np.zeros((0, 3), "float32"))
    assert np.isnan(_ops.mse_loss(empty, empty).item())
    assert _ops.mse_loss(empty, empty, reduction="sum").item() == 0


@pytest.mark.parametrize("shape, dim", [((4099, 1030), 0), ((70, 300, 33), 1), ((33, 70000), 1),
                                        ((300, 700), None), ((20, 30, 40), (0, 2)), ((9, 1), 1),
                                        ((6, 5, 7, 8), (0, 2, 3))])  # fmt: skip
def test_variance_by_definition(shape, dim):
    x = np.random.default_rng(8).normal(size=shape)
    x[..., 0] += 100  # far from the others
    expected = x.var(axis=dim)
    n = x.size // max(expected.size, 1)
    slope = 2 / n * (x - x.mean(axis=dim, keepdims=True))
    for dtype, rtol in (("float64", 1e-11), ("float32", 2e-5)):

        def run(dtype=dtype):
            t = tensor(x.astype(dtype))
            t.requires_grad = True
            y = _ops.var(t, dim, correction=0)
            y.sum().backward()
            return y.detach(), t.grad

        for found, wanted in zip(same_for_all_threads(run), (expected, slope)):
            np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol * np.abs(wanted).max())


@pytest.mark.parametrize("shape, dim", [((4099, 1030), 0), ((70, 300, 33), 1), ((33, 70000), 1),
                                        ((300, 700), None)])  # fmt: skip
def test_norms_by_definition(shape, dim):
    x = np.random.default_rng(7).normal(size=shape)
    for p, expected in ((2.0, np.sqrt((x * x).sum(axis=dim))), (1.0, np.abs(x).sum(axis=dim))):
        found = same_for_all_threads(lambda p=p: [_ops.norm(tensor(x), p, dim)])
        np.testing.assert_allclose(found[0], expected, rtol=1e-11)
        single = _ops.norm(tensor(x.astype("float32")), p, dim).to_numpy()
        np.testing.assert_allclose(single, expected, rtol=1e-5)


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


# Shapes of x and weight, stride, padding, dilation, groups. Few channels: kept rows of the input's
# gradient, pixels of the output's gradient per product.
THIN = {
    "rows_go_round": ((4, 3, 37, 41), (20, 3, 7, 7), (2, 2), 3, (1, 1), 1),
    "bands": ((1, 3, 250, 30), (8, 3, 3, 3), (2, 1), 1, (1, 1), 1),
    "long_rows": ((1, 2, 9, 600), (5, 2, 3, 3), (1, 2), 1, (2, 1), 1),
    "gaps": ((2, 2, 90, 33), (5, 2, 2, 2), (7, 5), 3, (1, 1), 1),
    "groups": ((2, 4, 61, 40), (6, 2, 3, 3), (2, 1), 1, (1, 2), 2),
    "one_channel": ((3, 1, 70, 45), (6, 1, 5, 5), (2, 3), 2, (1, 1), 1),
}


def convolution_input_gradient(grad, weight, shape, stride, padding, dilation, groups):
    n, channels, height, width = shape
    dx = np.zeros((n, channels, height + 2 * padding + stride[0], width + 2 * padding + stride[1]))
    grad = grad.reshape(n, groups, -1, *grad.shape[2:])
    weight = weight.reshape(groups, -1, *weight.shape[1:])
    (h, w), taps = grad.shape[3:], weight.shape[3:]
    for i, j in np.ndindex(*taps):
        part = np.einsum("ngohw,goc->ngchw", grad, weight[..., i, j]).reshape(n, channels, h, w)
        rows, columns = (
            slice(d * at, d * at + s * (size - 1) + 1, s)
            for d, at, s, size in zip(dilation, (i, j), stride, (h, w))
        )
        dx[:, :, rows, columns] += part
    return dx[:, :, padding : padding + height, padding : padding + width]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", THIN)
def test_thin_convolution_input_gradient(name, channels_last):
    shape, weight_shape, stride, padding, dilation, groups = THIN[name]
    rng = np.random.default_rng(5)
    x, weight = tensor(np.zeros(shape, "float32")), rng.normal(size=weight_shape)
    x.requires_grad = True
    y = _ops.conv2d(x, tensor(weight.astype("float32")), None, stride, padding, dilation, groups)
    grad = rng.normal(size=y.shape)
    order, back = ((0, 2, 3, 1), (0, 3, 1, 2)) if channels_last else ((0, 1, 2, 3),) * 2
    y.backward(_ops.permute(tensor(grad.astype("float32").transpose(order)), back))
    expected = convolution_input_gradient(grad, weight, shape, stride, padding, dilation, groups)
    np.testing.assert_allclose(x.grad.to_numpy(), expected, rtol=1e-4, atol=1e-4)
