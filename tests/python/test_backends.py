# SPDX-License-Identifier: MIT
"""Every op on the cpu against the ref backend; a small training on ref; backends by name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import compare_backends
import opcheck
import pytest

SAMPLES, _ = opcheck.all_samples()
BY_ID = {s.id: s for s in SAMPLES}

needs_ref = pytest.mark.skipif(not compare_backends.devices("ref"), reason="no ref backend")


@needs_ref
@pytest.mark.parametrize("name", list(BY_ID))
def test_values_as_ref_defines_them(name):
    compare_backends.compare_values(BY_ID[name], "cpu", "ref")


@needs_ref
@pytest.mark.parametrize("name", [s.id for s in SAMPLES if opcheck.keys_to_check(s)])
def test_gradients_as_ref_defines_them(name):
    compare_backends.compare_gradients(BY_ID[name], "cpu", "ref")


@needs_ref
def test_ref_defines_every_primitive_of_the_cpu():
    lacking = [p for p in compare_backends.primitives()
               if set(compare_backends.supported("cpu", p)) - set(
                   compare_backends.supported("ref", p))]  # fmt: skip
    assert not lacking, f"ref has no definition of {', '.join(lacking)}"


def test_cuda_where_there_is_one():
    if not compare_backends.devices("cuda"):
        pytest.skip("no cuda device")
    assert compare_backends.main(["test", "--backend", "cuda"]) == 0
    assert compare_backends.main(["grad", "--backend", "cuda"]) == 0


TRAINING = """
import tinyfin as tf

assert str(tf.zeros(1).device) == "ref:0", tf.zeros(1).device
x = tf.Tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = tf.Tensor([[0.0], [1.0], [1.0], [0.0]])
w1 = tf.Tensor([[1.0, -0.8, 0.6], [-0.9, 1.1, 0.5]])
w2 = tf.Tensor([[0.9], [0.8], [-0.3]])
losses = []
for step in range(60):
    w1.requires_grad = w2.requires_grad = True
    error = tf.relu(x @ w1) @ w2 + y * -1.0
    loss = (error * error).sum()
    loss.backward()
    w1 = (w1 + w1.grad * -0.05).detach()
    w2 = (w2 + w2.grad * -0.05).detach()
    losses.append(loss.item())
assert losses[-1] < 0.05 * losses[0], losses
"""


@needs_ref
def test_a_program_trains_on_ref():
    done = subprocess.run([sys.executable, "-c", TRAINING], text=True, capture_output=True,
                          env={**os.environ, "TINYFIN_BACKEND": "ref"})  # fmt: skip
    assert done.returncode == 0, done.stderr


EXAMPLE = """
import tinyfin as tf

x = tf.Tensor([[1.0, 2.0], [3.0, 4.0]])
assert str(x.device) == "example:0"
assert (x + x.T).tolist() == [[2.0, 5.0], [5.0, 8.0]]
assert (x * x).sum().item() == 30.0  # by way of the cpu
"""


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler")
def test_the_backend_of_the_docs_compiles_and_runs(tmp_path):
    text = (opcheck.ROOT / "docs" / "backends.md").read_text()
    source = tmp_path / "example.c"
    source.write_text(re.search(r"```c\n(/\* example\.c.*?)```", text, re.DOTALL)[1])
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", str(source),
                    f"-I{opcheck.ROOT / 'include'}", "-o",
                    str(tmp_path / "libtinyfin_backend_example.so")], check=True)  # fmt: skip
    done = subprocess.run([sys.executable, "-c", EXAMPLE], text=True, capture_output=True,
                          env={**os.environ, "TINYFIN_BACKEND": "example",
                               "TINYFIN_BACKEND_PATH": str(tmp_path),
                               "TINYFIN_FALLBACK": "warn"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("`mul`") == 1, "one warning per op"


def test_an_unknown_backend_is_an_error_that_names_the_paths_tried():
    program = "import tinyfin as tf; tf.zeros(2)"
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True,
                          env={**os.environ, "TINYFIN_BACKEND": "nosuch"})  # fmt: skip
    assert done.returncode != 0
    assert "libtinyfin_backend_nosuch.so" in done.stderr
