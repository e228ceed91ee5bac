# SPDX-License-Identifier: MIT
"""Pooling, with reductions over sliding windows as the reference."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from opcheck import Sample


def pair(v):
    return (v, v) if isinstance(v, int) else tuple(v)


def windows(x, kernel, stride, padding, fill):
    (ph, pw), (sh, sw) = pair(padding), pair(kernel if stride is None else stride)
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=fill)
    return sliding_window_view(x, pair(kernel), axis=(2, 3))[:, :, ::sh, ::sw]


def max_pool2d(x, kernel_size, stride=None, padding=0):
    return windows(x, kernel_size, stride, padding, -np.inf).max(axis=(-2, -1))


def avg_pool2d(x, kernel_size, stride=None, padding=0, count_include_pad=True):
    total = windows(x, kernel_size, stride, padding, 0.0).sum(axis=(-2, -1))
    counted = np.ones_like(x)
    count = windows(counted, kernel_size, stride, padding, float(count_include_pad))
    return total / count.sum(axis=(-2, -1))


def distinct(rng, *shape):
    """Elements far enough from each other for finite differences of a maximum."""
    n = int(np.prod(shape))
    return (rng.permutation(n) * (4.0 / max(n, 1)) - 2.0).reshape(shape)


def samples(rng):
    found = []
    shapes = [
        ("plain", (2, 3, 6, 4), {"kernel_size": 2}),
        ("rest", (1, 2, 5, 7), {"kernel_size": (2, 3)}),
        ("overlap", (2, 2, 6, 7), {"kernel_size": 3, "stride": 2, "padding": 1}),
        ("gaps", (1, 2, 7, 8), {"kernel_size": 2, "stride": (3, 4), "padding": (0, 1)}),
        ("one_step", (1, 1, 4, 5), {"kernel_size": (3, 2), "stride": 1, "padding": (1, 0)}),
        ("whole", (2, 5, 3, 3), {"kernel_size": 3}),
        ("no_images", (0, 3, 4, 4), {"kernel_size": 2}),
        ("wide", (1, 19, 4, 4), {"kernel_size": 2}),
    ]
    for name, shape, kwargs in shapes:
        x = distinct(rng, *shape)
        found.append(Sample("max_pool2d", (x,), kwargs, reference=max_pool2d, name=name))
        found.append(Sample("avg_pool2d", (x,), kwargs, reference=avg_pool2d, name=name))
    found.append(
        Sample("avg_pool2d", (distinct(rng, 2, 2, 6, 7),),
               {"kernel_size": 3, "stride": 2, "padding": 1, "count_include_pad": False},
               reference=avg_pool2d, name="without_pad")
    )  # fmt: skip
    x = distinct(rng, 2, 3, 6, 4)
    found.append(Sample("maxpool2d", (x, (3, 2)), reference=max_pool2d))
    found.append(Sample("avgpool2d", (x, 2), reference=avg_pool2d))
    return found
