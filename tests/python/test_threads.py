# SPDX-License-Identifier: MIT
"""Arrays large enough to be cut into tiles: the same bits with any number of threads, forward and
backward."""

from __future__ import annotations

import numpy as np
import opcheck
import pytest
from opcheck import Sample


def large(rng: np.random.Generator) -> list[Sample]:
    def n(*shape: int) -> np.ndarray:
        return rng.normal(size=shape)

    rows = rng.integers(0, 50, size=6000)
    return [
        Sample("add", (n(300, 700), n(700))),
        Sample("exp", (n(300, 700),)),
        Sample("gelu", (n(300, 700),)),
        Sample("sum", (n(400, 900),), name="all"),
        Sample("sum", (n(400, 900),), {"dim": 0}, name="rows"),
        Sample("sum", (n(400, 900),), {"dim": 1}, name="columns"),
        Sample("mean", (n(64, 33, 70),), {"dim": (0, 2)}),
        Sample("logsumexp", (n(300, 700),), {"dim": 1}),
        Sample("softmax", (n(300, 700),), {"dim": -1}),
        Sample("log_softmax", (n(300, 700),), {"dim": 0}),
        Sample("cumsum", (n(300, 700), 0)),
        Sample("cross_entropy", (n(2000, 40), rng.integers(0, 40, size=2000))),
        Sample("matmul", (n(150, 333), n(333, 210))),
        Sample("matmul", (n(6, 70, 90), n(6, 90, 50)), name="batched"),
        Sample("linear", (n(64, 784), n(128, 784), n(128))),
        Sample("conv2d", (n(4, 8, 20, 20), n(16, 8, 3, 3), n(16)), {"padding": (1, 1)}),
        Sample("conv2d", (n(9, 40, 15, 16), n(70, 40, 3, 3)), {"stride": (2, 1)}, name="strided"),
        Sample("conv2d", (n(40, 32, 4, 4), n(128, 32, 3, 3)), {"padding": (1, 1)}, name="small"),
        Sample("conv2d", (n(8, 40, 20, 20), n(40, 1, 3, 3)), {"groups": 40}, name="depthwise"),
        Sample("conv2d", (n(3, 3, 40, 40), n(16, 3, 7, 7)), {"stride": (2, 2)}, name="thin"),
        Sample("conv2d_max_pool", (n(6, 8, 20, 20), n(16, 8, 3, 3), n(16)),
               {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "activation": "relu",
                "pool_size": 2}),  # fmt: skip
        Sample("max_pool2d", (n(4, 16, 32, 32), (2, 2))),
        Sample("avg_pool2d", (n(4, 16, 32, 32), (2, 2))),
        Sample("layer_norm", (n(500, 300), (300,), n(300), n(300))),
        Sample("batch_norm", (n(16, 8, 20, 20), None, None, n(8), n(8)), {"training": True}),
        Sample("embedding", (n(50, 64), rows)),
        Sample("index_select", (n(50, 64), 0, rows)),
        Sample("dropout", (n(300, 700), 0.3)),
        Sample("concat", ([n(200, 300), n(100, 300)], 0)),
    ]


SAMPLES = {s.id: s for s in large(np.random.default_rng(7))}


@pytest.mark.parametrize("name", list(SAMPLES))
def test_same_bits(name):
    sample = opcheck.cast(SAMPLES[name], "float32")
    with opcheck.threads(1):
        alone = opcheck.bits(sample)
    for n in (2, 3, 4):
        with opcheck.threads(n):
            assert opcheck.bits(sample) == alone, f"{n} threads"
