# SPDX-License-Identifier: MIT
"""What workloads build with: inputs of the same values and training steps, for each library."""

from __future__ import annotations

import importlib
from functools import reduce

import numpy as np

from benchmarks.case import NotThere


def generator(seed: int = 0):
    return np.random.default_rng(seed)


def normal_array(*shape, seed: int = 0):
    return generator(seed).standard_normal(shape, dtype=np.float32)


def label_array(classes: int, *shape, seed: int = 1):
    return generator(seed).integers(0, classes, shape).astype(np.int64)


class Library:
    """Any of them: `module` is the package."""

    def __init__(self, side, threads: int, imported: bool = True):
        self.name, self.threads, self.compiled = side.library, threads, side.compiled
        self.module = importlib.import_module(side.library) if imported else None


class TensorLibrary(Library):
    """tinyfin or PyTorch: their Python interfaces are alike, so most steps are written once."""

    def __init__(self, side, threads: int, imported: bool = True):
        super().__init__(side, threads, imported)
        self.is_torch = self.name == "torch"
        if self.is_torch and imported:  # tinyfin has read TINYFIN_THREADS
            self.module.set_num_threads(threads)

    def find(self, path: str):
        """An attribute of the package, "nn.LSTM" say."""
        try:
            return reduce(getattr, path.split("."), self.module)
        except AttributeError:
            raise NotThere(f"{self.name}.{path}") from None

    def has(self, path: str) -> bool:
        try:
            self.find(path)
        except NotThere:
            return False
        return True

    def tensor(self, array, requires_grad: bool = False):
        array = np.ascontiguousarray(array)
        t = (self.module if self.is_torch else self.module.Tensor).from_numpy(array)
        if requires_grad:
            t.requires_grad = True
        return t

    def normal(self, *shape, seed: int = 0, requires_grad: bool = False):
        return self.tensor(normal_array(*shape, seed=seed), requires_grad)

    def labels(self, classes: int, *shape, seed: int = 1):
        return self.tensor(label_array(classes, *shape, seed=seed))

    def linear_relu(self, n: int, m: int) -> list:
        """Layers: tinyfin has them in one."""
        nn = self.module.nn
        if self.is_torch:
            return [nn.Linear(n, m), nn.ReLU()]
        return [nn.Linear(n, m, activation="relu")]

    def conv_relu(self, c: int, o: int, k: int, padding: int) -> list:
        nn = self.module.nn
        if self.is_torch:
            return [nn.Conv2d(c, o, k, padding=padding), nn.ReLU()]
        return [nn.Conv2d(c, o, k, padding=padding, activation="relu")]

    def residual(self, x, layer, y):
        """x + layer(y) of a linear layer: tinyfin adds within it."""
        if self.is_torch:
            return x + layer(y)
        return self.module.nn.functional.linear(y, layer.weight, layer.bias, residual=x)

    def layouts(self, images: bool) -> tuple[str, ...]:
        return ("nhwc", "nchw") if images else ("",)

    def laid_out(self, thing, layout: str):
        """A tensor or a module in the memory layout of that name."""
        if layout != "nhwc":
            return thing
        if self.is_torch:
            return thing.to(memory_format=self.module.channels_last)
        # In tinyfin a layout is an order of strides; its modules keep what they are given.
        is_image = isinstance(thing, self.module.Tensor) and thing.ndim == 4
        return thing.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) if is_image else thing

    def optimizers(self, name: str, large: bool = False) -> dict[str, dict]:
        """Names and arguments of the ways to run an optimiser."""
        if not self.is_torch:
            return {"": {}}
        ways = {"fused": {"fused": True}, "foreach": {"foreach": True}}
        return ways if large else ways | {"loop": {"foreach": False}}

    def training(self, make, x, y, optimizer: str, images=False, large=False, **hyper) -> dict:
        """Steps that train make() with cross entropy on one batch. large: no time for every
        variant."""
        steps = {}
        for layout in self.layouts(images):
            for way, arguments in self.optimizers(optimizer, large).items():
                model = self.laid_out(make(), layout)
                opt = getattr(self.module.optim, optimizer)(
                    model.parameters(), **hyper, **arguments
                )
                name = " ".join(part for part in (layout, way) if part)
                steps[name] = self._training_step(model, self.laid_out(x, layout), y, opt)
                if self.compiled:
                    break
        return steps

    def _training_step(self, model, x, y, opt):
        criterion = self.module.nn.CrossEntropyLoss()

        def loss(x, y):
            return criterion(model(x), y)

        if self.compiled:
            loss = self.module.compile(loss)

        def step():
            opt.zero_grad()
            loss(x, y).backward()
            opt.step()

        return step

    def inference(self, make, x, images=False) -> dict:
        no_grad = self.module.inference_mode if self.is_torch else self.module.no_grad
        steps = {}
        for layout in self.layouts(images):
            model = self.laid_out(make(), layout)
            model.eval()
            steps[layout] = self._inference_step(model, self.laid_out(x, layout), no_grad)
        return steps

    def _inference_step(self, model, x, no_grad):
        if self.compiled:
            model = self.module.compile(model)

        def step():
            with no_grad():
                model(x)

        return step


def load(side, threads: int, imported: bool) -> Library:
    kind = TensorLibrary if side.library in ("tinyfin", "torch") else Library
    return kind(side, threads, imported)
