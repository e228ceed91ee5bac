# SPDX-License-Identifier: MIT
"""Fresh interpreters, files in the page cache: the import alone, and the time from the start of the
process to the end of a first training step."""

import subprocess
import sys
import time

from benchmarks.case import Case, Goal

FAMILY = "hot-path"
USES_THREADS = False
NEEDS_LIBRARY = False
SIDES = ("tinyfin", "torch", "jax", "onnxruntime", "numpy")

CASES = [
    Case("import", dict(what="import"), goal=Goal(value=40e-3), sides=SIDES, turns=5),
    Case("first step", dict(what="first"), goal=Goal(value=80e-3), sides=SIDES[:3], turns=5),
]

IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
FIRST_STEP = """
import {0} as lib
from {0} import nn
model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
opt = lib.optim.SGD(model.parameters(), lr=0.1)
x, y = lib.ones((64, 784)), lib.zeros((64,), dtype={1})
nn.CrossEntropyLoss()(model(x), y).backward()
opt.step()
"""
FIRST_STEP_JAX = """
import jax, jax.numpy as jnp
def loss(p, x, y):
    logits = jax.nn.relu(x @ p[0] + p[1]) @ p[2] + p[3]
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()
def update(p, x, y):
    return [w - 0.1 * g for w, g in zip(p, jax.grad(loss)(p, x, y))]
p = [jnp.zeros(s) for s in ((784, 128), (128,), (128, 10), (10,))]
jax.block_until_ready(jax.jit(update)(p, jnp.ones((64, 784)), jnp.zeros(64, int)))
"""


def _run(program) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    ).stdout


def _steps(name, what, program):
    def whole():
        begin = time.perf_counter()
        _run(program)
        return time.perf_counter() - begin

    return (lambda: float(_run(IMPORT.format(name)))) if what == "import" else whole


def build(lib, what):
    dtype = "lib.int64" if lib.is_torch else '"int64"'
    return _steps(lib.name, what, FIRST_STEP.format(lib.name, dtype))


def build_jax(lib, what):
    return _steps("jax.numpy", what, FIRST_STEP_JAX)


def build_onnx(lib, what):
    return _steps("onnxruntime", what, "")


def build_numpy(lib, what):
    return _steps("numpy", what, "")
