# SPDX-License-Identifier: MIT
"""Normalisation: what samples do not say (running statistics, errors)."""

import numpy as np
import pytest
import tinyfin
from opcheck import function


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
}


@pytest.mark.parametrize("name", list(CASES))
def test_message(name):
    op, args, kwargs, fragments = CASES[name]
    with pytest.raises(ValueError) as caught:
        function(op)(*args, **kwargs)
    for fragment in [f"[{op}]", "received", "expected", *fragments]:
        assert fragment in str(caught.value)
