# SPDX-License-Identifier: MIT
"""Matrix products without the way through the ops: the program bench_gemm, asked for one shape
after another."""

import subprocess

from benchmarks.case import Case, Goal
from benchmarks.machine import PROGRAMS

FAMILY = "gemm"
NEEDS_LIBRARY = False
TINY = dict(m=4, n=4, k=4)
DTYPES = ("float32", "bfloat16")

# batch, in, out of a layer: its forward pass, its input gradient, its weight gradient.
LAYERS = [
    (32, 784, 128), (64, 784, 128), (64, 128, 64), (64, 64, 10), (128, 784, 512),
    (256, 512, 512), (1024, 768, 768), (4096, 256, 1024), (1024, 128, 512),
]  # fmt: skip
SHAPES = [(form, n, n, n) for n in (128, 256, 512, 1024, 2048) for form in ("NN", "NT", "TN")] + [
    shape
    for batch, n, m in LAYERS
    for shape in (("NT", batch, m, n), ("NN", batch, n, m), ("TN", m, n, batch))
]


def _case(dtype, form, m, n, k):
    flops = 2.0 * m * n * k
    percent = 95 if m * n * k >= 512**3 else 90 if flops >= 1e6 else None
    params = dict(dtype=dtype, form=form, m=m, n=n, k=k)
    name = f"{form} {m}x{n}x{k}" + " bfloat16" * (dtype == "bfloat16")
    return Case(name, params, flops=flops, dtype=dtype, goal=Goal(roof=percent), sides=("tinyfin",))


CASES = [_case(dtype, *shape) for dtype in DTYPES for shape in SHAPES]

_programs = {}  # by number of threads


def build(lib, dtype, form, m, n, k):
    if lib.threads not in _programs:
        _programs[lib.threads] = subprocess.Popen(
            [PROGRAMS / "bench_gemm", "-", str(lib.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    program = _programs[lib.threads]

    def measure():
        program.stdin.write(f"{dtype} {form} {m} {n} {k} 0.02\n")
        program.stdin.flush()
        return float(program.stdout.readline())

    return measure
