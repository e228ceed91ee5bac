# SPDX-License-Identifier: MIT
"""Transforms of images: they take and return (C, H, W) tensors."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Callable

from .. import _convert, _ops
from ..tensor import Tensor


class Transform:
    """A function of one image. Subclasses define __call__."""

    def __call__(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"[{type(self).__name__}] has no __call__()")


class Compose(Transform):
    """Transforms one after the other."""

    def __init__(self, transforms: Sequence[Callable[[Tensor], Tensor]]):
        self.transforms = list(transforms)

    def __call__(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x


class Lambda(Transform):
    """Any function."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        if not callable(function):
            raise TypeError(f"[Lambda] received {type(function).__name__}; expected a function")
        self.function = function

    def __call__(self, x: Tensor) -> Tensor:
        return self.function(x)


class Normalize(Transform):
    """(x - mean) / std; a number, or one for each channel."""

    def __init__(self, mean: Any, std: Any):
        self.mean, self.std = _per_channel(mean), _per_channel(std)

    def __call__(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def _per_channel(values: Any) -> Any:
    return values if isinstance(values, (int, float)) else Tensor(values).reshape(-1, 1, 1)


class RandomHorizontalFlip(Transform):
    """Mirrors left and right with probability p. seed: for a reproducible sequence."""

    def __init__(self, p: float = 0.5, seed: int | None = None):
        if not 0 <= p <= 1:
            raise ValueError(f"[RandomHorizontalFlip] received p {p}; expected 0 to 1")
        self.p, self._random = p, random.Random(seed)

    def __call__(self, x: Tensor) -> Tensor:
        return _ops.flip(x, -1) if self._random.random() < self.p else x


class RandomCrop(Transform):
    """A window of `size` (an int or (height, width)) anywhere in the image padded with zeros."""

    def __init__(self, size: Any, padding: Any = 0, seed: int | None = None):
        self.size = _convert.pair(size, "size", "RandomCrop")
        self.padding = _convert.pair(padding, "padding", "RandomCrop")
        self._random = random.Random(seed)

    def __call__(self, x: Tensor) -> Tensor:
        height, width = self.padding
        if height or width:
            x = x.pad((width, width, height, height))
        rest = [have - want for have, want in zip(x.shape[-2:], self.size)]
        if min(rest) < 0:
            raise ValueError(
                f"[RandomCrop] received an image of {x.shape[-2:]} with padding; expected at least "
                f"{self.size}"
            )
        top, left = (self._random.randint(0, r) for r in rest)
        return x[..., top : top + self.size[0], left : left + self.size[1]]
