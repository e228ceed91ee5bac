# SPDX-License-Identifier: MIT
"""Convolution, with an einsum over windows as the reference."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from opcheck import Sample

ACTIVATIONS = {
    None: lambda y: y,
    "relu": lambda y: np.maximum(y, 0),
    "tanh": np.tanh,
    "sigmoid": lambda y: 1 / (1 + np.exp(-y)),
    "silu": lambda y: y / (1 + np.exp(-y)),
}


def pair(v):
    return (v, v) if isinstance(v, int) else tuple(v)


def padded(x, weight, bias, stride, padding, dilation, groups, activation=None):
    (sh, sw), (dh, dw) = pair(stride), pair(dilation)
    top, left, bottom, right = padding
    kh, kw = weight.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    span = (dh * (kh - 1) + 1, dw * (kw - 1) + 1)
    windows = sliding_window_view(x, span, axis=(2, 3))[:, :, ::sh, ::sw, ::dh, ::dw]
    n, channels, oh, ow = windows.shape[:4]
    windows = windows.reshape(n, groups, channels // groups, oh, ow, kh, kw)
    kernel = weight.reshape(groups, len(weight) // groups, *weight.shape[1:])
    out = np.einsum("ngchwij,gocij->ngohw", windows, kernel).reshape(n, len(weight), oh, ow)
    if bias is not None:
        out = out + bias[:, None, None]
    return ACTIVATIONS[activation](out)


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, activation=None):
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(pair(dilation), weight.shape[2:])]
        before = [t // 2 for t in total]
        sides = (*before, *(t - b for t, b in zip(total, before)))
    else:
        sides = pair(0 if padding == "valid" else padding) * 2
    return padded(x, weight, bias, stride, sides, dilation, groups, activation)


def conv2d_max_pool(x, weight, bias, stride, padding, dilation, groups, activation, pool_size):
    y = conv2d(x, weight, bias, stride, padding, dilation, groups, activation)
    (ph, pw), (h, w) = pair(pool_size), y.shape[2:]
    y = y[:, :, : h // ph * ph, : w // pw * pw]
    return y.reshape(*y.shape[:2], h // ph, ph, w // pw, pw).max(axis=(3, 5))


def samples(rng):
    found = []

    def add(name, x, out, kernel, bias=True, op="conv2d", reference=conv2d, **kwargs):
        channels = x[1] // kwargs.get("groups", 1)
        args = (
            rng.normal(size=x),
            rng.normal(size=(out, channels, *pair(kernel))),
            rng.normal(size=out) if bias else None,
        )
        found.append(Sample(op, args, kwargs, reference=reference, name=name, rtol=1e-4, atol=1e-4))

    add("plain", (2, 3, 5, 6), 4, 3)
    add("no_bias", (2, 2, 4, 5), 3, 2, bias=False)
    add("padding", (1, 2, 5, 4), 3, 3, padding=1)
    add("relu", (2, 1, 5, 5), 3, 3, padding=(1, 0), activation="relu")
    for activation in ("tanh", "sigmoid", "silu"):
        add(activation, (1, 2, 4, 4), 2, 3, activation=activation)
    add("stride", (2, 2, 6, 7), 3, (3, 2), stride=(2, 3), padding=(1, 0))
    add("dilation", (1, 2, 7, 8), 2, 3, dilation=(2, 3), padding=2)
    add("dilation_rows", (1, 2, 7, 5), 2, 3, dilation=(2, 1), padding=(2, 0), stride=(2, 1))
    add("groups", (2, 4, 5, 4), 6, (2, 3), groups=2, padding=1)
    add("depthwise", (2, 4, 5, 5), 4, 3, groups=4, padding=1)
    add("depthwise_twice", (1, 3, 5, 5), 6, 3, groups=3, stride=2, padding=1)
    add("pointwise", (2, 5, 3, 4), 7, 1)
    add("pointwise_stride", (1, 3, 5, 5), 2, 1, stride=2, padding=1)
    add("same", (1, 2, 5, 6), 3, (2, 5), padding="same", dilation=(3, 1))
    add("valid", (1, 2, 5, 6), 3, (2, 5), padding="valid")
    add("one_pixel", (3, 4, 3, 3), 5, 3)
    add("no_images", (0, 2, 4, 4), 3, 3)
    add("wide", (1, 20, 4, 3), 37, 3, padding=1)
    add("winograd", (4, 16, 7, 9), 18, 3, padding=1)
    add("winograd_groups", (5, 34, 9, 5), 32, 3, groups=2, padding=(0, 2))
    add("blocks_of_channels", (3, 31, 3, 5), 5, (3, 2), stride=(2, 1), padding=1)
    add("patch_rows", (2, 5, 4, 3), 97, (2, 3), padding=(0, 1))
    add("stride_over_kernel", (2, 9, 7, 8), 4, (1, 2), stride=3)
    add("stride_groups", (1, 6, 6, 7), 4, 3, groups=2, stride=2, padding=1)
    add("one_channel", (2, 1, 6, 9), 18, (3, 5), padding=(1, 2))
    add("depthwise_row", (2, 19, 5, 14), 19, 3, groups=19, padding=1)
    add("depthwise_steps", (2, 18, 7, 6), 18, (3, 4), groups=18, stride=(2, 3), padding=(1, 2))
    add("depthwise_dilated", (1, 3, 8, 9), 3, (2, 6), groups=3, dilation=(3, 1), padding=(2, 3))
    add(
        "sides",
        (1, 2, 4, 5),
        3,
        (2, 4),
        op="conv2d_padded",
        reference=padded,
        stride=1,
        padding=(0, 1, 1, 2),
        dilation=1,
        groups=1,
    )
    for name, x, out, kernel, more in (
        ("relu", (2, 3, 6, 7), 5, 3, {"activation": "relu"}),
        ("plain", (1, 20, 9, 8), 18, 3, {"stride": (2, 1), "pool_size": (2, 3)}),
        ("groups", (2, 4, 5, 6), 6, 1, {"groups": 2, "padding": 0}),
        ("depthwise", (1, 4, 5, 6), 4, 3, {"groups": 4, "activation": "relu"}),
        ("dilated", (1, 2, 8, 8), 3, 3, {"dilation": (1, 2), "padding": (1, 0)}),
        ("silu", (1, 2, 4, 4), 3, 3, {"activation": "silu"}),
    ):
        settings = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "activation": None,
                    "pool_size": 2, **more}  # fmt: skip
        add(name, x, out, kernel, op="conv2d_max_pool", reference=conv2d_max_pool, **settings)
    return found
