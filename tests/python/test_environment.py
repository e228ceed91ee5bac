# SPDX-License-Identifier: MIT
"""Environment variables that make no sense, and limits of the system: a line on standard error and
the defaults."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import tinyfin

PROGRAM = """
import tinyfin
x = tinyfin.ones(300, 300)
assert (x @ x).sum().item() == 300.0 ** 3
print(tinyfin.num_threads(), tinyfin.cpu_isa())
"""


def run(program: str = PROGRAM, **variables: str) -> tuple[list[str], str]:
    path = os.pathsep.join(p for p in sys.path if p)
    env = {k: v for k, v in os.environ.items() if k not in ("TINYFIN_THREADS", "TINYFIN_ISA")}
    env.update(PYTHONPATH=path, **variables)
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


@pytest.mark.parametrize(
    "text", ["abc", "-1", "0", "1025", "1e9", "2.5", "99999999999999999999", " "]
)
def test_threads_that_make_no_sense(text):
    (threads, _), said = run(TINYFIN_THREADS=text)
    assert int(threads) == int(run()[0][0])
    assert said == (
        f"tinyfin: TINYFIN_THREADS={text} is ignored: expected a whole number from 1 to 1024\n"
    )


def test_threads():
    assert run(TINYFIN_THREADS="")[0] == run()[0]
    for n in ("1", "3", "1024"):  # more than there are processors are allowed
        assert run(TINYFIN_THREADS=n) == ([n, run()[0][1]], "")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity masks")
def test_one_processor_of_several():
    pinned = "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n" + PROGRAM
    assert run(pinned)[0][0] == "1"


@pytest.mark.parametrize("name", ["sse9", "AVX2", " ", "%s%n", "avx2,avx512", "x" * 5000])
def test_instruction_sets_that_nobody_knows(name):
    (_, isa), said = run(TINYFIN_ISA=name)
    assert isa == run()[0][1]
    assert said.startswith(f"tinyfin: TINYFIN_ISA={name} is not available: expected one of ")
    assert isa in said.split("expected one of ")[1]


SETS = ["generic", "avx2", "avx512", "avx512_bf16"]  # of x86-64, each with all before it


@pytest.mark.parametrize("name", [*SETS, "neon"])
def test_instruction_sets(name):
    """The one that is asked for, or the best below it and a line that says so."""
    (_, isa), said = run(TINYFIN_ISA=name)
    assert (isa == name) == (said == "")
    best = run()[0][1]
    if name not in SETS or best not in SETS or SETS.index(name) > SETS.index(best):
        assert isa == best


def test_this_process_has_one_of_them():
    assert tinyfin.cpu_isa() in (*SETS, "neon")
