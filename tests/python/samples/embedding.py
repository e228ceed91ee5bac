# SPDX-License-Identifier: MIT
"""Samples of tables looked up by integers."""

import numpy as np
from opcheck import Sample


def samples(rng):
    table = rng.normal(size=(7, 3))
    tokens = np.array([[1, 6, 1], [0, -1, 1]])
    return [
        Sample("embedding", (table, tokens), reference=lambda w, i: w[i]),
        Sample("embedding", (table, tokens[:0]), reference=lambda w, i: w[i], name="empty"),
        Sample("embedding", (table, np.array(2)), reference=lambda w, i: w[i], name="scalar"),
        Sample("lookup", (table, tokens.astype(np.int32)), reference=lambda w, i: w[i]),
        # Enough work to be cut into tiles.
        Sample("embedding", (rng.normal(size=(50, 40)), rng.integers(0, 50, size=(1500,))),
               reference=lambda w, i: w[i], grad=(), name="large"),
    ]  # fmt: skip
