# SPDX-License-Identifier: MIT
"""Inputs, the same values for every library."""

from __future__ import annotations

import numpy as np


def generator(seed: int = 0):
    return np.random.default_rng(seed)


def tensor(side: str, lib, array, requires_grad: bool = False):
    array = np.ascontiguousarray(array)
    t = lib.from_numpy(array) if side == "torch" else lib.Tensor.from_numpy(array)
    if requires_grad:
        t.requires_grad = True
    return t


def normal(side: str, lib, *shape, seed: int = 0, requires_grad: bool = False):
    values = generator(seed).standard_normal(shape, dtype=np.float32)
    return tensor(side, lib, values, requires_grad)
