# SPDX-License-Identifier: MIT
"""Samples of ops that make tensors."""

import numpy as np
from opcheck import Sample


def samples(rng):
    a = rng.normal(size=(2, 3))
    return [
        Sample("zeros", ((2, 0, 3),), reference=np.zeros),
        Sample("ones", ((2, 3),), {"dtype": "int32"}, reference=lambda s, dtype: np.ones(s)),
        Sample("full", ((2, 3), 2.5), reference=np.full),
        Sample("zeros_like", (a,), reference=np.zeros_like),
        Sample("ones_like", (a,), reference=np.ones_like),
        Sample("full_like", (a, 3.0), reference=np.full_like, dtypes="number"),
        Sample("fill_", (a, 1.5), reference=np.full_like),
        Sample("arange", (2, 11, 3), reference=np.arange),
        Sample("arange", (5, 0, -1), reference=np.arange),
        Sample("arange", (0, 1, 0.125), reference=np.arange),
        Sample("arange", (3, 3), reference=np.arange, name="empty"),
        Sample("linspace", (-1, 1, 9), reference=np.linspace),
        Sample("linspace", (2, 3, 1), reference=np.linspace),
        Sample("linspace", (2, 3, 0), reference=np.linspace),
        Sample("eye", (3,), reference=np.eye),
        Sample("eye", (2, 4), reference=np.eye),
        Sample("eye", (0,), reference=np.eye, name="empty"),
    ]
