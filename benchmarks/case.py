# SPDX-License-Identifier: MIT
"""What a workload is made of."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from typing import Any

SIDES = ("tinyfin", "torch")


@dataclass(frozen=True)
class Case:
    """One row of the table.

    A workload module has `CASES` and `build(side, lib, **params) -> step`. `step()` does the work
    once; where it returns a number, that is the measurement itself (seconds, or `unit`).
    """

    name: str
    params: dict[str, Any] = field(default_factory=dict)
    flops: float = 0.0  # of one step, compared with the multiply-add roof
    bytes: float = 0.0  # read and written by one step, compared with the copy roof
    unit: str = "s"
    sides: tuple[str, ...] = SIDES


def workload_names() -> list[str]:
    package = importlib.import_module("benchmarks.workloads")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__))


def load_workload(name: str):
    return importlib.import_module(f"benchmarks.workloads.{name}")
