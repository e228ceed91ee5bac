# SPDX-License-Identifier: MIT
"""3 × 3 convolutions by Winograd's products: how far they are from the definition, at every edge of
their tiles, and what NaN and infinities do."""

import os
import subprocess
import sys

import numpy as np
import opcheck
import pytest
import tinyfin as tf
from tinyfin import _ops

THREADS = (1, 2, 3, 4)
# Of the largest |value| of the result: docs/notebook/winograd.md gives what is measured.
BOUND = 6e-6

# images, channels in, height, width, channels out, groups, padding (top, left, bottom, right)
SHAPES = [
    (2, 16, 14, 14, 32, 1, (1, 1, 1, 1)),
    (4, 16, 8, 8, 16, 1, (1, 1, 1, 1)),
    (3, 17, 9, 11, 19, 1, (1, 1, 1, 1)),  # partial tiles and registers
    (2, 40, 7, 13, 70, 1, (0, 0, 0, 0)),
    (5, 32, 6, 5, 33, 1, (2, 2, 2, 2)),
    (2, 20, 10, 9, 24, 1, (3, 0, 1, 2)),  # more padding than the kernel reaches over
    (2, 48, 12, 10, 96, 3, (1, 1, 1, 1)),
    (2, 64, 5, 67, 40, 2, (1, 0, 0, 1)),
    (9, 130, 4, 4, 150, 1, (1, 1, 1, 1)),  # several slices of channels
    (4, 16, 32, 3, 200, 1, (1, 1, 1, 1)),
]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "-".join(map(str, s[:6])))


def arrays(shape, seed=0, mean=0.5):
    n, c, h, w, o, groups, (top, left, bottom, right) = shape
    rng = np.random.default_rng(seed)
    x = rng.normal(mean, 1, size=(n, c, h, w))
    weight = rng.normal(size=(o, c // groups, 3, 3)) / np.sqrt(9 * c / groups)
    bias = rng.normal(size=o)
    grad = rng.normal(size=(n, o, h + top + bottom - 2, w + left + right - 2))
    return x, weight, bias, grad


def conv(x, weight, bias, shape, activation=None):
    return _ops._conv2d_padded(x, weight, bias, 1, shape[6], 1, shape[5], activation)


def results(shape, values, dtype, layout=None):
    """The result and the three gradients."""
    x, weight, bias, grad = (np.asarray(v, dtype) for v in values)
    place = layout or (lambda t: t)
    x, weight, bias = (tf.Tensor.from_numpy(v, requires_grad=True) for v in (x, weight, bias))
    y = conv(place(x), place(weight), bias, shape)
    y.backward(place(tf.Tensor.from_numpy(grad)))
    return [t.detach().numpy() for t in (y, x.grad, weight.grad, bias.grad)]


def turned(t):
    """The same tensor in another order of memory."""
    order = (3, 1, 0, 2)
    return _ops.permute(_ops.contiguous(_ops.permute(t, order)), np.argsort(order).tolist())


def error(found, expected):
    return abs(found - expected).max() / abs(expected).max()


@each_shape
@pytest.mark.parametrize("layout", [None, turned], ids=["", "turned"])
def test_against_float64(shape, layout):
    values = arrays(shape)
    expected = results(shape, values, "float64")
    for found, exact in zip(results(shape, values, "float32", layout), expected):
        assert found.dtype == np.float32 and error(found, exact) < BOUND


@pytest.mark.parametrize("mean", [0, 3])
@pytest.mark.parametrize("channels", [16, 64, 256])
def test_bound(channels, mean):
    shape = (2, channels, 16, 16, channels, 1, (1, 1, 1, 1))
    values = arrays(shape, mean=mean)
    expected = results(shape, values, "float64")
    for found, exact in zip(results(shape, values, "float32"), expected):
        assert error(found, exact) < BOUND


@each_shape
def test_same_bits_with_any_number_of_threads(shape):
    values = arrays(shape)
    alone = None
    for n in THREADS:
        with opcheck.threads(n):
            found = results(shape, values, "float32")
        alone = alone or found
        assert all(np.array_equal(a, b) for a, b in zip(found, alone))


@pytest.mark.parametrize("pool", [(1, 1), (2, 2), (3, 2), (5, 3), (4, 4)])
@each_shape
def test_pooled_has_the_bits_of_the_three_ops(shape, pool):
    values = (np.asarray(v, "float32") for v in arrays(shape))
    x, weight, bias, _ = map(tf.Tensor.from_numpy, values)
    padding = shape[6]
    if padding[:2] != padding[2:]:
        pytest.skip("conv2d_max_pool has one padding for both sides")
    y = conv(x, weight, bias, shape, "relu")
    if pool[0] > y.shape[2] or pool[1] > y.shape[3]:
        pytest.skip("the window is larger than the result")
    expected = _ops.max_pool2d(y, pool).numpy()
    for n in THREADS:
        with opcheck.threads(n):
            found = _ops._conv2d_max_pool(
                x, weight, bias, 1, padding[:2], 1, shape[5], "relu", pool
            )
        assert np.array_equal(found.numpy(), expected)


def test_gradient_of_pooled():
    """As by three ops, to the bit."""
    values = [np.asarray(v, "float32") for v in arrays(SHAPES[0])]
    found = []
    for fused in (True, False):
        x, weight, bias = (tf.Tensor.from_numpy(v, requires_grad=True) for v in values[:3])
        if fused:
            y = _ops._conv2d_max_pool(x, weight, bias, 1, 1, 1, 1, "relu", 2)
        else:
            y = _ops.max_pool2d(_ops.conv2d(x, weight, bias, 1, 1).relu(), 2)
        (y * y).sum().backward()
        found.append([t.grad.numpy() for t in (x, weight, bias)])
    assert all(np.array_equal(a, b) for a, b in zip(*found))


def test_broadcast_gradient():
    shape = SHAPES[0]
    x, weight, bias, _ = arrays(shape)
    found = []
    for dtype in ("float32", "float64"):
        a, w = (tf.Tensor.from_numpy(v.astype(dtype), requires_grad=True) for v in (x, weight))
        conv(a, w, None, shape).sum().backward()
        found.append((a.grad.numpy(), w.grad.numpy()))
    for f, e in zip(*found):
        assert error(f, e) < BOUND


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("of", ["x", "weight", "bias", "grad"])
def test_values_that_are_not_finite_stay_where_the_definition_has_them(value, of):
    shape = (2, 18, 13, 10, 20, 1, (1, 1, 1, 1))
    values = dict(zip(("x", "weight", "bias", "grad"), arrays(shape)))
    values[of].flat[3 * values[of].size // 7] = value
    values = {k: v.astype("float32") for k, v in values.items()}
    with np.errstate(all="ignore"):
        expected = [e.astype("float32") for e in results(shape, values.values(), "float64")]
    for found, exact in zip(results(shape, values.values(), "float32"), expected):
        assert np.array_equal(np.isnan(found), np.isnan(exact))
        assert np.array_equal(np.isposinf(found), np.isposinf(exact))
        assert np.array_equal(np.isneginf(found), np.isneginf(exact))
        finite = np.isfinite(exact)
        assert error(found[finite], exact[finite]) < BOUND


def test_denormals():
    shape = (4, 16, 8, 8, 16, 1, (1, 1, 1, 1))
    values = arrays(shape)
    values = (values[0] * 1e-40, *values[1:])
    found, exact = (results(shape, values, d)[0] for d in ("float32", "float64"))
    bias = values[2].reshape(1, -1, 1, 1)
    assert error(found, exact) < BOUND and error(found, np.broadcast_to(bias, found.shape)) < BOUND
    found, exact = (
        results(shape, (values[0], values[1], values[2] * 0, values[3]), d)[0]
        for d in ("float32", "float64")
    )
    assert abs(found - exact).max() < 400 * 1.4e-45


def digest():
    """Of a convolution: other bits by other ways."""
    values = arrays(SHAPES[0])
    return float(
        sum(np.abs(r.astype("float64")).sum() for r in results(SHAPES[0], values, "float32"))
    )


def test_setting():
    code = (
        f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); "
        "import test_winograd; print(repr(test_winograd.digest()))"
    )
    path = os.pathsep.join(p for p in sys.path if p)

    def run(value):
        env = {**os.environ, "TINYFIN_WINOGRAD": value, "PYTHONPATH": path}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    on, off = run("1"), run("0")
    assert on[0] != off[0] and not on[1] and not off[1]
    assert run("on")[0] == run("")[0] == on[0]
    assert run("off")[0] == off[0]
    wrong = run("maybe")
    assert wrong[0] == on[0] and "TINYFIN_WINOGRAD is ignored: expected 0, off, 1 or on" in wrong[1]
