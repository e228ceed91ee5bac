# SPDX-License-Identifier: MIT
"""The cost of a call from C: the program bench_small_ops measures itself."""

import json
import subprocess

from benchmarks.case import Case, Goal
from benchmarks.machine import PROGRAMS

FAMILY = "hot-path"
USES_THREADS = False
NEEDS_LIBRARY = False

GOALS = {
    "a + b": 120e-9,
    "a + b, recorded": 250e-9,
    "(a + b).sum().backward()": 900e-9,
}
NAMES = [*GOALS, "relu", "sum", "reshape", "matmul 2x4x2"]
CASES = [
    Case(name, dict(name=name), goal=Goal(value=GOALS.get(name)), sides=("tinyfin",))
    for name in NAMES
]


def build(lib, name):
    def measure():
        run = subprocess.run([PROGRAMS / "bench_small_ops", name], capture_output=True, check=True)
        return json.loads(run.stdout)[name]

    return measure
