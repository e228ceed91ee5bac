# SPDX-License-Identifier: MIT
"""The cost of a call from C: the program bench_small_ops measures itself."""

import json
import subprocess

from benchmarks.case import Case
from benchmarks.machine import PROGRAMS

USES_THREADS = False
NEEDS_LIBRARY = False

NAMES = ["add", "add, recorded", "relu", "sum", "reshape", "matmul 2x4x2"]
CASES = [Case(name, dict(name=name), sides=("tinyfin",)) for name in NAMES]


def build(side, lib, name):
    def measure():
        run = subprocess.run([PROGRAMS / "bench_small_ops"], capture_output=True, check=True)
        return json.loads(run.stdout)[name]

    return measure
