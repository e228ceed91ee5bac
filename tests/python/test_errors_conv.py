# SPDX-License-Identifier: MIT
"""What convolution and pooling answer to arguments that do not fit."""

import numpy as np
import pytest
import tinyfin
from opcheck import function


def tensor(*shape):
    return tinyfin.Tensor(np.ones(shape, np.float32))


CASES = {
    "channels": ("conv2d", (tensor(1, 3, 5, 5), tensor(4, 2, 3, 3)), ["2 channels"]),
    "dimensions": ("conv2d", (tensor(3, 5, 5), tensor(4, 3, 3, 3)), ["(3, 5, 5)", "(N, C, H, W)"]),
    "weight": ("conv2d", (tensor(1, 3, 5, 5), tensor(4, 3, 3)), ["(4, 3, 3)", "(O, C / groups"]),
    "bias": ("conv2d", (tensor(1, 3, 5, 5), tensor(4, 3, 3, 3), tensor(3)), ["(3,)", "(4,)"]),
    "kernel": ("conv2d", (tensor(1, 3, 2, 5), tensor(4, 3, 3, 3)), ["height 2", "spans 3"]),
    "groups": ("conv2d", (tensor(1, 4, 5, 5), tensor(3, 2, 3, 3), None, 1, 0, 1, 2), ["2 groups"]),
    "stride": ("conv2d", (tensor(1, 3, 5, 5), tensor(4, 3, 3, 3), None, 0), ["stride 0"]),
    "padding": ("conv2d", (tensor(1, 3, 5, 5), tensor(4, 3, 3, 3), None, 1, -1), ["padding -1"]),
    "same_stride": ("conv2d", (tensor(1, 3, 5, 5), tensor(4, 3, 3, 3), None, 2, "same"),
                    ["stride (2, 2)", "same"]),
    "padding_word": ("conv2d", (tensor(1, 3, 5, 5), tensor(4, 3, 3, 3), None, 1, "full"),
                     ["'full'", '"same"']),
    "pool_padding": ("max_pool2d", (tensor(1, 1, 4, 4), 2, None, 2), ["padding 2", "half"]),
    "pool_kernel": ("avg_pool2d", (tensor(1, 1, 4, 4), 5), ["(1, 1, 4, 4)", "kernel_size 5"]),
    "pool_strides": ("avg_pool2d", (tensor(1, 1, 4, 4), 2, (1, 1, 1)), ["3 strides"]),
    "strict": ("maxpool2d", (tensor(1, 1, 5, 4), 2), ["(1, 1, 5, 4)", "(2, 2)", "max_pool2d"]),
    "strict_dimensions": ("avgpool2d", (tensor(4, 4), 2), ["(4, 4)", "(N, C, H, W)"]),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CASES))
def test_message(name):
    op, args, fragments = CASES[name]
    with pytest.raises(ValueError) as caught:
        function(op)(*args)
    for fragment in [f"[{op}]", "received", "expected", *fragments]:
        assert fragment in str(caught.value)


def test_max_pool_hands_nan_on():
    x = np.zeros((1, 20, 4, 4), np.float32)
    x[0, 3, 1, 1] = np.nan
    for image in (x, np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)):
        y = function("max_pool2d")(tinyfin.Tensor(image), 2).numpy()
        assert np.isnan(y[0, 3, 0, 0]) and np.isnan(y).sum() == 1


def test_max_pool_of_minus_infinity():
    x = tinyfin.Tensor(np.full((1, 2, 3, 3), -np.inf), requires_grad=True)
    y = function("max_pool2d")(x, 3)
    y.sum().backward()
    assert np.isneginf(y.detach().numpy()).all()
    assert (x.grad.numpy()[:, :, 0, 0] == 1).all() and x.grad.numpy().sum() == 2
