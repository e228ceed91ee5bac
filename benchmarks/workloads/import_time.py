# SPDX-License-Identifier: MIT
"""Seconds of the first import in a fresh interpreter, files in the page cache."""

import subprocess
import sys

from benchmarks.case import Case

USES_THREADS = False
NEEDS_LIBRARY = False

CASES = [Case("import")]

PROGRAM = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def build(side, lib):
    def measure():
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(side)], capture_output=True, check=True
        )
        return float(run.stdout)

    return measure
