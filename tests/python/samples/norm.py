# SPDX-License-Identifier: MIT
"""Normalisation, by its definition."""

import numpy as np
from opcheck import Sample


def affine(y, weight, bias, shape):
    if weight is not None:
        y = y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


def unit(x, dims, eps):
    if x.size == 0:
        return x
    mean, var = x.mean(axis=dims, keepdims=True), x.var(axis=dims, keepdims=True)
    return (x - mean) / np.sqrt(var + eps)


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    dims = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    return affine(unit(x, dims, eps), weight, bias, normalized_shape)


def rms_norm(x, normalized_shape, weight=None, eps=1e-6):
    dims = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    y = x / np.sqrt((x * x).mean(axis=dims, keepdims=True) + eps) if x.size else x
    return affine(y, weight, None, normalized_shape)


def per_channel(x):
    return (-1,) + (1,) * (x.ndim - 2)


def batch_norm(x, mean=None, var=None, weight=None, bias=None, training=False, momentum=0.1,
               eps=1e-5):  # fmt: skip
    shape = per_channel(x)
    if training:
        y = unit(x, (0, *range(2, x.ndim)), eps)
    else:
        y = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + eps)
    return affine(y, weight, bias, shape)


def batch_norm_relu(*args):
    return np.maximum(batch_norm(*args), 0)


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    y = unit(x.reshape(x.shape[0], num_groups, -1), (2,), eps) if x.size else x
    return affine(y.reshape(x.shape), weight, bias, per_channel(x))


def samples(rng):
    def normal(*shape):
        return rng.normal(size=shape)

    found = []

    def add(op, reference, name, *args, grad=None, **kwargs):
        found.append(Sample(op, args, kwargs, reference=reference, name=name, grad=grad,
                            rtol=1e-4, atol=1e-5))  # fmt: skip

    add("layer_norm", layer_norm, "plain", normal(3, 5), (5,))
    add("layer_norm", layer_norm, "affine", normal(2, 3, 4), (4,), normal(4), normal(4))
    add("layer_norm", layer_norm, "two_dims", normal(3, 2, 5), (2, 5), normal(2, 5), None)
    add("layer_norm", layer_norm, "bias", normal(4, 3), (3,), None, normal(3))
    add("layer_norm", layer_norm, "all", normal(7), (7,), normal(7), normal(7), eps=0.1)
    add("layer_norm", layer_norm, "long", normal(2, 37), (37,), normal(37), normal(37))
    add("layer_norm", layer_norm, "no_rows", normal(0, 4), (4,), normal(4), normal(4))

    add("rms_norm", rms_norm, "plain", normal(3, 5), (5,))
    add("rms_norm", rms_norm, "affine", normal(2, 3, 4), (3, 4), normal(3, 4))
    add("rms_norm", rms_norm, "long", normal(7, 37), (37,), normal(37))
    add("rms_norm", rms_norm, "no_rows", normal(0, 4), (4,), normal(4))
    add("layer_norm", layer_norm, "rows", normal(11, 6), (6,), normal(6), normal(6))

    train = {"training": True}
    none = (None, None)
    add("batch_norm", batch_norm, "flat", normal(5, 3), *none, normal(3), normal(3), **train)
    add(
        "batch_norm", batch_norm, "images", normal(2, 3, 4, 2), *none, normal(3), normal(3), **train
    )
    add("batch_norm", batch_norm, "plain", normal(3, 2, 2, 3), **train)
    add("batch_norm", batch_norm, "bias", normal(4, 18), *none, None, normal(18), **train)
    add("batch_norm", batch_norm, "no_channels", normal(3, 0), *none, normal(0), normal(0), **train)
    running = (normal(3), rng.uniform(0.5, 2, size=3))
    add("batch_norm", batch_norm, "eval", normal(2, 3, 2, 2), *running, normal(3), normal(3),
        grad=(0, 3, 4))  # fmt: skip
    add("batch_norm", batch_norm, "eval_flat", normal(4, 3), *running, grad=(0,))

    for training in (True, False):
        rest = (*(none if training else running), normal(3), normal(3), training, 0.1, 1e-5)
        grad = (0, 3, 4)
        name = "train" if training else "eval"
        add("batch_norm_relu", batch_norm_relu, f"images-{name}", normal(3, 3, 4, 2), *rest,
            grad=grad)  # fmt: skip
        add("batch_norm_relu", batch_norm_relu, f"flat-{name}", normal(7, 3), *rest, grad=grad)
    add("batch_norm_relu", batch_norm_relu, "plain", normal(9, 2), *none, None, None, True, 0.1,
        1e-5, grad=(0,))  # fmt: skip

    add("group_norm", group_norm, "flat", normal(3, 6), 2, normal(6), normal(6))
    add("group_norm", group_norm, "images", normal(2, 4, 3, 2), 2, normal(4), normal(4))
    add("group_norm", group_norm, "plain", normal(2, 4, 3), 4)
    add("group_norm", group_norm, "volume", normal(2, 4, 3, 2, 2), 2, normal(4), None)
    add("group_norm", group_norm, "wide", normal(3, 70, 2, 3), 10, normal(70), normal(70))
    add("group_norm", group_norm, "no_images", normal(0, 4, 3, 2), 2, normal(4), normal(4))
    return found
