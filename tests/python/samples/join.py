# SPDX-License-Identifier: MIT
"""Samples of ops that join tensors and take them apart."""

import numpy as np
from opcheck import Sample


def samples(rng):
    a, b = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 1, 4))
    many = [rng.normal(size=(2, 1 + i % 2)) for i in range(20)]

    def split(x, dim, parts):
        return tuple(np.split(x, parts, dim))

    return [
        Sample("concat", ([a, b, a], 1), reference=np.concatenate, dtypes="all"),
        Sample("concat", ([a, b], -2), reference=np.concatenate),
        Sample("concat", (many, 1), reference=np.concatenate, name="many"),
        Sample("concat", ([a[:0], a, a[:0]], 0), reference=np.concatenate, name="empty"),
        Sample("concat", ([a],), reference=np.concatenate, name="one"),
        Sample("stack", ([a, a + 1], 1), reference=np.stack, dtypes="all"),
        Sample("stack", ([a, a, a], -1), reference=np.stack),
        Sample("stack", ([np.array(1.0), np.array(2.0)],), reference=np.stack, name="scalars"),
        Sample("split", (a, 2, 2), reference=split, dtypes="all"),
        Sample("split", (a[:0], 0, 3), reference=split, name="empty"),
        Sample("chunk", (a, 2, 1), reference=lambda x, n, d: (x[:, :2], x[:, 2:])),
        Sample("chunk", (a, 3, 2), reference=lambda x, n, d: (x[:, :, :2], x[:, :, 2:])),
    ]
