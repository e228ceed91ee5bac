# SPDX-License-Identifier: MIT
"""Normalisation: what samples do not say (running statistics, errors)."""

import numpy as np
import pytest
import tinyfin
from opcheck import function, threads


def tensor(array):
    return tinyfin.Tensor(np.asarray(array), dtype="float64")


@pytest.mark.parametrize("channels_last", [False, True])
def test_running_statistics_move_once_per_call(channels_last):
    rng = np.random.default_rng(0)
    x = rng.normal(2.0, 3.0, size=(4, 3, 5, 2))
    image = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    mean, var = rng.normal(size=3), rng.uniform(1, 2, size=3)
    running_mean, running_var = tensor(mean), tensor(var)
    function("batch_norm")(tensor(image if channels_last else x), running_mean, running_var,
                           training=True, momentum=0.25)  # fmt: skip
    expected = 0.75 * mean + 0.25 * x.mean(axis=(0, 2, 3))
    np.testing.assert_allclose(running_mean.numpy(), expected, rtol=1e-12)
    expected = 0.75 * var + 0.25 * x.var(axis=(0, 2, 3), ddof=1)
    np.testing.assert_allclose(running_var.numpy(), expected, rtol=1e-12)


def test_running_statistics_rest_in_evaluation():
    running_mean, running_var = tensor([1.0, 2.0]), tensor([3.0, 4.0])
    function("batch_norm")(tensor([[5.0, 6.0]]), running_mean, running_var)
    assert running_mean.tolist() == [1.0, 2.0] and running_var.tolist() == [3.0, 4.0]


def test_large_mean_keeps_its_variance():
    x = 1e4 + np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    y = function("batch_norm")(tinyfin.Tensor(x), training=True).numpy()
    np.testing.assert_allclose(y.std(axis=0), 1.0, rtol=1e-2)


# Shapes around the edges of chunks, bands and groups of registers; (N, H, W, C) in memory where
# the last is true.
IMAGES = [
    ((3, 64, 33, 32), True),
    ((2, 67, 40, 41), True),
    ((4, 200, 9, 9), True),
    ((5000, 70), True),
    ((2, 3, 65, 66), False),
    ((40, 8, 31, 30), False),
    ((3000, 1), False),
    ((7, 1, 90, 90), False),
]


def image(array, channels_last, dtype):
    array = array.astype(dtype)
    if channels_last and array.ndim == 4:
        return tinyfin.Tensor.from_numpy(array.transpose(0, 2, 3, 1).copy()).permute(0, 3, 1, 2)
    return tinyfin.Tensor.from_numpy(array)


def mean_of(y, groups):
    """Per channel, or per image and group, as it broadcasts to y."""
    if groups is None:
        return y.mean(axis=(0, *range(2, y.ndim)), keepdims=True)
    means = y.reshape(len(y), groups, -1).mean(axis=2)
    means = np.repeat(means, y.shape[1] // groups, axis=1)
    return means.reshape(y.shape[:2] + (1,) * (y.ndim - 2))


@pytest.mark.parametrize("kind", ["batch", "batch_relu", "group"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape, channels_last", IMAGES)
def test_channels_by_definition(shape, channels_last, dtype, kind):
    """Result and gradients against float64, for one mean far from 0, and any number of threads."""
    groups = None if kind != "group" else 1 if shape[1] % 2 else 2
    rng = np.random.default_rng(0)
    c = shape[1]
    per_channel = (c,) + (1,) * (len(shape) - 2)
    far = np.where(np.arange(c) == 1, 100.0, 0.0).reshape(per_channel)
    x = (rng.normal(size=shape) + (0 if groups else far)).astype(dtype).astype("float64")
    g, w, b = rng.normal(size=shape), rng.normal(size=c), rng.normal(size=c)
    centred = x - mean_of(x, groups)
    rstd = 1 / np.sqrt(mean_of(centred**2, groups) + 1e-5)
    unit = centred * rstd
    scale = w.reshape(per_channel)
    y = unit * scale + b.reshape(per_channel)
    # Where relu's bend is nearer than rounding, the gradient is not asked.
    g = np.where((np.abs(y) < 1e-3) & (kind == "batch_relu"), 0.0, g)
    gy = np.where(y > 0, g, 0.0) if kind == "batch_relu" else g
    gw = gy * scale
    dx = rstd * (gw - mean_of(gw, groups) - unit * mean_of(gw * unit, groups))
    others = (0, *range(2, len(shape)))
    expected = [np.maximum(y, 0) if kind == "batch_relu" else y, dx,
                (gy * unit).sum(axis=others), gy.sum(axis=others)]  # fmt: skip
    results = []
    for n in (1, 3):
        with threads(n):
            tx, tg = image(x, channels_last, dtype), image(g, channels_last, dtype)
            tw, tb = (tinyfin.Tensor.from_numpy(a.astype(dtype)) for a in (w, b))
            for t in (tx, tw, tb):
                t.requires_grad = True
            if groups:
                out = function("group_norm")(tx, groups, tw, tb)
            else:
                op = "batch_norm_relu" if kind == "batch_relu" else "batch_norm"
                out = function(op)(tx, None, None, tw, tb, True, 0.1, 1e-5)
            out.backward(tg)
            results.append([t.to_numpy() for t in (out, tx.grad, tw.grad, tb.grad)])
    rtol = 1e-10 if dtype == "float64" else 1e-4
    # What may cancel: a result in units of its deviation, and dx, which those divide.
    sizes = (1.0, rstd.max(), 1.0, 1.0)
    for found, again, wanted, size in zip(*results, expected, sizes):
        assert np.array_equal(found, again)
        scale = max(size, np.abs(wanted).max())
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize("op", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize("shape", [(2999, 1013), (130, 77)])  # the first goes past the caches
def test_rows_by_definition(shape, op):
    rng = np.random.default_rng(0)
    x, g = (rng.normal(size=shape).astype("float32") for _ in range(2))
    w, b = (rng.normal(size=shape[1]).astype("float32") for _ in range(2))
    x[:, 0] += 30
    x[1] = 7.0  # no variance
    wide, gw = x.astype("float64"), (g * w).astype("float64")
    mean = wide.mean(axis=1, keepdims=True) if op == "layer_norm" else 0.0
    rstd = 1 / np.sqrt(((wide - mean) ** 2).mean(axis=1, keepdims=True) + 1e-5)
    unit = (wide - mean) * rstd
    mean_g = gw.mean(axis=1, keepdims=True) if op == "layer_norm" else 0.0
    dx = rstd * (gw - mean_g - unit * (gw * unit).mean(axis=1, keepdims=True))
    expected = [unit * w, dx, (g * unit).sum(axis=0)]
    parameters = [w]
    if op == "layer_norm":
        parameters.append(b)
        expected[0] = expected[0] + b
        expected.append(g.sum(axis=0, dtype="float64"))
    results = []
    for n in (1, 3):
        with threads(n):
            tensors = [tinyfin.Tensor.from_numpy(a.copy()) for a in (x, *parameters)]
            for t in tensors:
                t.requires_grad = True
            out = function(op)(tensors[0], (shape[1],), *tensors[1:], eps=1e-5)
            out.backward(tinyfin.Tensor.from_numpy(g))
            results.append([t.to_numpy() for t in (out, *(t.grad for t in tensors))])
    for found, again, wanted in zip(*results, expected):
        assert np.array_equal(found, again)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("channels_last", [False, True])
def test_nan_stays_in_its_channel(channels_last):
    x = np.random.default_rng(0).normal(size=(4, 20, 6, 5))
    x[1, 3, 2, 2] = np.nan
    x[2, 4, 0, 0] = np.inf
    bad = np.isin(np.arange(20), (3, 4))
    t = image(x, channels_last, "float32")
    for op in ("batch_norm", "batch_norm_relu"):
        y = function(op)(t, None, None, None, None, True, 0.1, 1e-5).numpy()
        assert np.isnan(y[:, bad]).any(axis=(0, 2, 3)).all() and np.isfinite(y[:, ~bad]).all()
    y = function("group_norm")(t, 10).numpy()
    assert np.isnan(y[1, 2:4]).all() and np.isfinite(y[0]).all() and np.isfinite(y[1, 4:]).all()


def test_sequential_runs_norm_and_relu_in_one_pass():
    nn = tinyfin.nn
    norm, relu = nn.BatchNorm2d(5), nn.ReLU()
    x = tinyfin.Tensor(np.random.default_rng(0).normal(size=(4, 5, 6, 7)).astype("float32"))
    model = nn.Sequential(norm, relu)
    for training in (True, False):
        model.train(training)
        results = []
        for run in (model, lambda t: relu(norm(t))):
            t = x.clone()
            t.requires_grad = True
            y = run(t)
            (y * y).sum().backward()
            results.append((y.to_numpy(), t.grad.to_numpy()))
        for found, expected in zip(*results):
            assert np.array_equal(found, expected)


x = tensor(np.ones((2, 4, 3)))
images = tensor(np.ones((2, 4, 3, 3)))
CASES = {
    "ending": ("layer_norm", (x, (4,)), {}, ["(2, 4, 3)", "(4,)", "last dimensions"]),
    "nothing": ("layer_norm", (x, ()), {}, ["normalized_shape ()"]),
    "weight": ("layer_norm", (x, (3,), tensor([1.0, 2.0])), {}, ["weight", "(2,)", "(3,)"]),
    "eps": ("layer_norm", (x, (3,)), {"eps": -1.0}, ["eps = -1"]),
    "rms": ("rms_norm", (x, (5,)), {}, ["(2, 4, 3)", "(5,)"]),
    "dimensions": ("batch_norm", (x,), {"training": True}, ["(2, 4, 3)", "(N, C, H, W)"]),
    "running": ("batch_norm", (images,), {}, ["running_mean", "when not training"]),
    "running_shape": ("batch_norm", (images, tensor([1.0])), {}, ["running_mean", "(4,)"]),
    "momentum": ("batch_norm", (images,), {"training": True, "momentum": 2.0}, ["momentum = 2"]),
    "one_value": ("batch_norm", (tensor([[1.0, 2.0]]),), {"training": True}, ["1 values per"]),
    "no_values": ("batch_norm", (tensor(np.ones((0, 2))),), {"training": True}, ["0 values per"]),
    "groups": ("group_norm", (x, 3), {}, ["num_groups = 3", "4 channels"]),
    "group_eps": ("group_norm", (x, 2), {"eps": -1.0}, ["eps = -1"]),
}


@pytest.mark.parametrize("name", list(CASES))
def test_message(name):
    op, args, kwargs, fragments = CASES[name]
    with pytest.raises(ValueError) as caught:
        function(op)(*args, **kwargs)
    for fragment in [f"[{op}]", "received", "expected", *fragments]:
        assert fragment in str(caught.value)
