# SPDX-License-Identifier: MIT
"""Samples of view and copy ops."""

import numpy as np
from opcheck import Sample


def samples(rng):
    a = rng.normal(size=(2, 3, 4))
    scalar, empty = np.array(1.5), np.zeros((2, 0, 3))
    every = {"dtypes": "all"}
    return [
        Sample("identity", (a,), reference=lambda x: x),
        Sample("reshape", (a, (4, -1)), reference=lambda x, s: x.reshape(s), **every),
        Sample("reshape", (empty, (0, 5)), reference=lambda x, s: x.reshape(s)),
        Sample("reshape", (scalar, (1, 1)), reference=lambda x, s: x.reshape(s)),
        Sample("reshape_view", (a, (6, -1)), reference=lambda x, s: x.reshape(s), layouts=False),
        Sample("expand", (a[:, :1], (5, 2, -1, 4)),
               reference=lambda x, s: np.broadcast_to(x, (5, 2, 1, 4))),
        Sample("expand", (a[:, :1], (2, 3, 4)), reference=np.broadcast_to),
        Sample("expand", (scalar, (2, 0)), reference=np.broadcast_to),
        Sample("permute", (a, (2, 0, -2)), reference=lambda x, d: x.transpose(d), **every),
        Sample("permute", (scalar, ()), reference=lambda x, d: x),
        Sample("swapaxes", (a, 0, -1), reference=np.swapaxes),
        Sample("transpose", (a, ()), reference=lambda x, d: x.T),
        Sample("transpose", (a, (1, 0, 2)), reference=np.transpose),
        Sample("movedim", (a, 0, 2), reference=np.moveaxis),
        Sample("movedim", (a, -1, 1), reference=np.moveaxis),
        Sample("flatten", (a,), reference=lambda x: x.reshape(-1)),
        Sample("flatten", (a, 1), reference=lambda x, s: x.reshape(2, 12)),
        Sample("flatten", (scalar,), reference=lambda x: x.reshape(1)),
        Sample("squeeze", (a[:, :1],), reference=np.squeeze),
        Sample("squeeze", (a[:1, :, :1], (0, 1)), reference=lambda x, d: x[0]),
        Sample("unsqueeze", (a, -1), reference=np.expand_dims),
        Sample("unsqueeze", (scalar, 0), reference=np.expand_dims),
        Sample("flip", (a, (0, 2)), reference=np.flip, **every),
        Sample("flip", (a,), reference=np.flip),
        Sample("flip", (empty,), reference=np.flip),
        Sample("narrow", (a, 2, 1, 2), reference=lambda x, d, s, n: x[:, :, 1:3], **every),
        Sample("narrow", (a, 1, -2, 0), reference=lambda x, d, s, n: x[:, 1:1]),
        Sample("select", (a, 1, -1), reference=lambda x, d, i: x[:, -1]),
        Sample("select", (a[0, 0], 0, 2), reference=lambda x, d, i: x[2]),
        Sample("repeat", (a, (2, 1, 3)), reference=np.tile, **every),
        Sample("repeat", (a, (2, 2, 1, 1)), reference=np.tile),
        Sample("repeat", (a, (1, 1, 1)), reference=np.tile),
        Sample("repeat", (a, (1, 0, 1)), reference=np.tile),
        Sample("repeat", (scalar, (3,)), reference=np.tile),
        Sample("repeat_interleave", (a, 3, 1), reference=np.repeat),
        Sample("repeat_interleave", (a, 2), reference=np.repeat),
        Sample("cast", (a, "float64"), reference=lambda x, t: x),
        Sample("clone", (a,), reference=lambda x: x, **every),
        Sample("contiguous", (a,), reference=lambda x: x, **every),
        # Transposed copies are cut into blocks once they are large.
        Sample("contiguous", (rng.normal(size=(67, 53)).T,), reference=lambda x: x,
               name="transposed", grad=()),
        Sample("copy_", (a, a[:, :1]), reference=lambda x, y: np.broadcast_to(y, x.shape)),
        Sample("to_device", (a, "cpu"), reference=lambda x, d: x),
        Sample("pad", (a, (1, 2, 0, 1)),
               reference=lambda x, p: np.pad(x, ((0, 0), (0, 1), (1, 2)))),
        Sample("pad", (a, (1, 2), 2.5),
               reference=lambda x, p, v: np.pad(x, ((0, 0), (0, 0), (1, 2)), constant_values=v)),
        Sample("pad", (a, ()), reference=lambda x, p: x),
        Sample("pad2d", (a, 1, 2, 7.0),
               reference=lambda x, h, w, v: np.pad(x, ((0, 0), (h, h), (w, w)), constant_values=v)),
        Sample("pad2d", (empty, 1, 1), reference=lambda x, h, w: np.zeros((2, 2, 5))),
    ]  # fmt: skip
