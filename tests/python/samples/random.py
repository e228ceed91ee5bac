# SPDX-License-Identifier: MIT
"""Samples of random ops whose result does not depend on chance; the rest: test_random.py."""

import numpy as np
from opcheck import Sample


def samples(rng):
    a = rng.normal(size=(3, 4))
    return [
        Sample("dropout", (a, 0.0), reference=lambda x, p: x),
        Sample("dropout", (a, 0.5, False), reference=lambda x, p, t: x),
        Sample("dropout", (a, 1.0), reference=lambda x, p: 0 * x),
        Sample("bernoulli", (1.0, (2, 3)), reference=lambda p, s: np.ones(s)),
        Sample("randint", (5, 6, (4,)), reference=lambda lo, hi, s: np.full(s, 5)),
        Sample("randn", ((2, 3), 4.0, 0.0), reference=lambda s, m, d: np.full(s, m)),
    ]
