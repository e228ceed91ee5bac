# SPDX-License-Identifier: MIT
"""Activations and their slopes over the whole range: limits, NaN, zeros, denormals, accuracy."""

import math

import compare_backends
import numpy as np
import opcheck
import pytest
import tinyfin as tf
from tinyfin import _ops

INF = math.inf
erfc = np.vectorize(math.erfc, otypes=[float])


def sigmoid(x):
    return np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x)))


def normal(x):
    return erfc(-x * math.sqrt(0.5)) / 2


def tanh_form(x):
    return 2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)


def gelu_tanh_slope(x):
    u = tanh_form(x)
    inner = 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return sigmoid(u) + x * inner * sigmoid(u) * sigmoid(-u)


def gelu_slope(x):
    return normal(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


# Name: (function, definition, slope, values at -inf and inf, slopes there).
ACTIVATIONS = {
    "relu": (_ops.relu, lambda x: np.maximum(x, 0), lambda x: 1.0 * (x > 0), (0, INF), (0, 1)),
    "gelu": (_ops.gelu, lambda x: x * normal(x), gelu_slope, (0, INF), (0, 1)),
    "gelu_tanh": (lambda x: _ops.gelu(x, approximate="tanh"), lambda x: x * sigmoid(tanh_form(x)),
                  gelu_tanh_slope, (0, INF), (0, 1)),
    "silu": (_ops.silu, lambda x: x * sigmoid(x),
             lambda x: sigmoid(x) * (1 + x * sigmoid(-x)), (0, INF), (0, 1)),
    "sigmoid": (_ops.sigmoid, sigmoid, lambda x: sigmoid(x) * sigmoid(-x), (0, 1), (0, 0)),
    "tanh": (_ops.tanh, np.tanh, lambda x: 1 - np.tanh(x) ** 2, (-1, 1), (0, 0)),
    "elu": (_ops.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
            lambda x: np.exp(np.minimum(x, 0)), (-1, INF), (0, 1)),
    "softplus": (_ops.softplus, lambda x: np.logaddexp(0, x), sigmoid, (0, INF), (0, 1)),
}  # fmt: skip

each_activation = pytest.mark.parametrize("name", list(ACTIVATIONS))
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def value_and_slope(function, array):
    x = tf.Tensor.from_numpy(np.ascontiguousarray(array))
    x.requires_grad = True
    y = function(x)
    y.backward(tf.Tensor.from_numpy(np.ones_like(array)))
    return y.to_numpy(), x.grad.to_numpy()


@pytest.mark.parametrize("device", ["cpu", "ref"])
@each_dtype
@each_activation
def test_limits_and_nan(name, dtype, device):
    if not compare_backends.devices(device):
        pytest.skip(f"no {device} backend")
    function, _, _, limits, slopes = ACTIVATIONS[name]
    x = np.array([-INF, INF, math.nan] * 21, dtype)  # registers, and what is left over
    with opcheck.default_device(device):
        value, slope = value_and_slope(function, x)
    assert np.array_equal(value[0::3], np.full(21, limits[0], dtype))
    assert np.array_equal(value[1::3], np.full(21, limits[1], dtype))
    assert np.isnan(value[2::3]).all()
    assert np.array_equal(slope[0::3], np.full(21, slopes[0], dtype))
    assert np.array_equal(slope[1::3], np.full(21, slopes[1], dtype))
    if name != "relu":
        assert np.isnan(slope[2::3]).all()


@each_dtype
@each_activation
def test_zeros_and_denormals(name, dtype):
    function, definition, slope_of, _, _ = ACTIVATIONS[name]
    info = np.finfo(dtype)
    tiny = [0.0, -0.0, info.smallest_subnormal, 100 * info.smallest_subnormal, info.tiny / 2,
            info.tiny, 1e3 * info.tiny]  # fmt: skip
    x = np.array(tiny + [-t for t in tiny], dtype)
    value, slope = value_and_slope(function, x)
    assert value[0] == definition(np.zeros(1)).astype(dtype)[0]
    np.testing.assert_allclose(value, definition(x.astype(float)), rtol=4 * info.eps,
                               atol=1.01 * info.smallest_subnormal)  # fmt: skip
    if name != "relu":
        np.testing.assert_allclose(slope, slope_of(x.astype(float)), rtol=8 * info.eps)


@each_dtype
@each_activation
def test_accuracy(name, dtype):
    function, definition, slope_of, _, _ = ACTIVATIONS[name]
    eps = np.finfo(dtype).eps
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-s, s, 20000) for s in (0.1, 1, 4, 12, 100)]).astype(dtype)
    value, slope = value_and_slope(function, x)
    wide = x.astype(float)
    np.testing.assert_allclose(value, definition(wide), rtol=16 * eps, atol=eps)
    np.testing.assert_allclose(slope, slope_of(wide), rtol=16 * eps, atol=4 * eps)


@each_activation
def test_largest_numbers(name):
    function, _, _, limits, slopes = ACTIVATIONS[name]
    x = np.array([-3e38, 3e38, -1e30, 1e30], "float32")
    value, slope = value_and_slope(function, x)
    assert np.array_equal(value[::2], np.full(2, limits[0], "float32"))
    assert np.array_equal(value[1::2], x[1::2] if limits[1] == INF else np.ones(2, "float32"))
    assert np.array_equal(slope, np.array([*slopes, *slopes], "float32"))
