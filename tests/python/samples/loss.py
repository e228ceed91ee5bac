# SPDX-License-Identifier: MIT
"""Losses."""

import numpy as np
from opcheck import Sample


def reduced(losses, reduction):
    return {"none": lambda x: x, "mean": np.mean, "sum": np.sum}[reduction](losses)


def log_softmax(x, dim):
    shifted = x - x.max(axis=dim, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True))


def nll_loss(log_p, target, weight=None, reduction="mean"):
    dim = 1 if log_p.ndim > 1 else 0
    weight = np.ones(log_p.shape[dim]) if weight is None else weight
    target = target.astype(int)
    real = target != -100
    index = np.expand_dims(np.where(real, target, 0), dim)
    used = np.where(real, weight[np.where(real, target, 0)], 0)
    losses = -np.take_along_axis(log_p, index, dim).squeeze(dim) * used
    return losses.sum() / used.sum() if reduction == "mean" else reduced(losses, reduction)


def cross_entropy(x, target, weight=None, reduction="mean"):
    dim = 1 if x.ndim > 1 else 0
    log_p = log_softmax(x, dim)
    if target.ndim < x.ndim:
        return nll_loss(log_p, target, weight, reduction)
    shape = [1] * x.ndim
    shape[dim] = x.shape[dim]
    weight = np.ones(x.shape[dim]) if weight is None else weight
    return reduced(-(target * weight.reshape(shape) * log_p).sum(axis=dim), reduction)


def huber(x, t, delta=1.0, reduction="mean"):
    d = np.abs(x - t)
    return reduced(np.where(d <= delta, d * d / 2, delta * (d - delta / 2)), reduction)


def bce(p, t, weight=None, reduction="mean"):
    p = np.clip(p, 1e-7, 1 - 1e-7)
    losses = -(t * np.log(p) + (1 - t) * np.log1p(-p))
    return reduced(losses if weight is None else losses * weight, reduction)


def bce_with_logits(x, t, weight=None, reduction="mean"):
    losses = np.logaddexp(0, x) - t * x
    return reduced(losses if weight is None else losses * weight, reduction)


def samples(rng):
    x, image = rng.normal(size=(6, 5)) * 2, rng.normal(size=(2, 5, 3, 4))
    one = rng.normal(size=5)
    classes = rng.integers(0, 5, 6)
    some = np.where(np.arange(6) == 2, -100, classes)
    pixels = rng.integers(0, 5, (2, 3, 4))
    weight = rng.uniform(0.5, 2, 5)
    p = rng.dirichlet(np.ones(5), 6)
    image_p = rng.dirichlet(np.ones(5), (2, 3, 4)).transpose(0, 3, 1, 2).copy()
    found = []
    for reduction in ("mean", "sum", "none"):
        k = {"reduction": reduction}
        for op, f in (("cross_entropy", cross_entropy), ("nll_loss", nll_loss)):
            found += [
                Sample(op, (x, classes), dict(k), reference=f),
                Sample(op, (x, classes.astype("int32"), weight), dict(k), reference=f, grad=(0,),
                       name="weight"),
                Sample(op, (x, some), dict(k), reference=f, name="ignored"),
                Sample(op, (image, pixels, weight), dict(k), reference=f, grad=(0,), name="image"),
                Sample(op, (one, np.array(3)), dict(k), reference=f, name="one"),
            ]  # fmt: skip
        found += [
            Sample("cross_entropy", (x, p), dict(k), reference=cross_entropy, name="p"),
            Sample("cross_entropy", (image, image_p, weight), dict(k), reference=cross_entropy,
                   grad=(0, 1), name="image-p"),
        ]  # fmt: skip
        y, t = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
        q, yes = rng.uniform(0.1, 0.9, (3, 4)), rng.uniform(size=(3, 4))
        factors = rng.uniform(0.5, 2, (3, 4))
        found += [
            Sample("mse_loss", (y, t), dict(k), reference=lambda x, t, reduction="mean":
                   reduced((x - t) ** 2, reduction)),
            Sample("l1_loss", (y, t), dict(k), reference=lambda x, t, reduction="mean":
                   reduced(np.abs(x - t), reduction)),
            Sample("huber_loss", (y, t), dict(k), reference=huber),
            Sample("huber_loss", (y, t), {"delta": 0.3, **k}, reference=huber, name="delta"),
            Sample("binary_cross_entropy", (q, yes), dict(k), reference=bce),
            Sample("binary_cross_entropy", (q, yes, factors), dict(k), reference=bce,
                   name="weight"),
            Sample("binary_cross_entropy_with_logits", (y, yes), dict(k),
                   reference=bce_with_logits),
            Sample("binary_cross_entropy_with_logits", (y, yes, factors), dict(k),
                   reference=bce_with_logits, name="weight"),
        ]  # fmt: skip
    found += [
        Sample("cross_entropy", (x, classes.astype("float64")), grad=(0,),
               reference=cross_entropy, name="float-classes"),
        Sample("cross_entropy", (np.array([[1e4, -1e4], [-1e30, 1e4]]), np.array([1, 0])),
               reference=cross_entropy, grad=(), name="large"),
        Sample("cross_entropy", (np.zeros((0, 5)), np.zeros(0, "int64")), {"reduction": "none"},
               reference=cross_entropy, name="empty"),
        Sample("cross_entropy", (rng.normal(size=(300, 41)), rng.integers(0, 41, 300)),
               reference=cross_entropy, name="many"),
        Sample("binary_cross_entropy", (np.array([0.0, 1.0, 0.0, 1.0]),
                                        np.array([0.0, 1.0, 1.0, 0.0])), grad=(),
               reference=bce, name="clamped", rtol=1e-2),
    ]  # fmt: skip
    return found
