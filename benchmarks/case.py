# SPDX-License-Identifier: MIT
"""What a workload is made of."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import Any


class NotThere(Exception):
    """A library lacks what a case needs; the message is the name of it."""


@dataclass(frozen=True)
class Goal:
    """What a case is to reach. A pair holds one figure for one thread and one for more."""

    ratio: float | tuple[float, float] | None = None  # of the best peer's time, at most
    roof: float | None = None  # percent of the roof, at least
    value: float | None = None  # of the measurement itself, at most

    def at(self, threads: int) -> dict[str, float]:
        goal = {"ratio": self.ratio, "roof": self.roof, "value": self.value}
        if isinstance(self.ratio, tuple):
            goal["ratio"] = self.ratio[min(threads, 2) - 1]
        return {name: figure for name, figure in goal.items() if figure is not None}


@dataclass(frozen=True)
class Case:
    """One row of the table, for each number of threads.

    A workload module has `CASES`, `FAMILY` (the page of docs/notebook that tells about its kernels)
    and for each library that can do it a function that builds one step of a case:

        build(lib, **params)          tinyfin and PyTorch, alike
        build_jax(lib, **params)      and so on: build_<library>

    A function returns the step, or {variant: step} where a library has several ways (the fastest is
    kept), or None where the case is not for it. A step is a callable, a `timeit.Timer`, or a
    `Several`. Where calling it returns a number, that is the measurement itself (in `unit`).

    `COMPILES = True` says that `TensorLibrary` makes the steps: torch-compile takes part then.
    """

    name: str
    params: dict[str, Any] = field(default_factory=dict)
    flops: float = 0.0  # of one step, compared with the multiply-add roof
    dtype: str = "float32"  # bfloat16 has a multiply-add roof of its own
    bytes: float = 0.0  # the least that one step reads and writes, compared with the copy roof
    unit: str = "s"
    goal: Goal = Goal()
    sides: tuple[str, ...] | None = None  # only these
    turns: int | None = None  # of each side, where the usual number would take too long


@dataclass
class Several:
    """A callable that does more than one step."""

    call: Any
    steps: int


BUILDERS = {
    "tinyfin": "build",
    "torch": "build",
    "jax": "build_jax",
    "onnxruntime": "build_onnx",
    "numpy": "build_numpy",
}


def workload_names() -> list[str]:
    package = importlib.import_module("benchmarks.workloads")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__))


def load_workload(name: str):
    return importlib.import_module(f"benchmarks.workloads.{name}")
