# SPDX-License-Identifier: MIT
"""Training steps with all threads while another process keeps one processor busy: the mean over
seconds, as a multiple of the same side's undisturbed step with one thread."""

import os
import subprocess
import sys
import time

from benchmarks.case import Case, Goal
from benchmarks.workloads import gpt

FAMILY = "threads"
THREADS = (2,)
TINY = dict(gpt.TINY, seconds=0.05)

_small = gpt.CASES[0]
CASES = [
    Case(
        f"GPT {_small.name}",
        dict(_small.params, seconds=10.0),
        unit="steps of one thread",
        goal=Goal(value=1.1),
        sides=("tinyfin", "torch-tuned"),
        turns=1,
    )
]
BURNER = "print(flush=True)\nwhile True: pass"


def build(lib, seconds, **params):
    # Under a real-time policy two busy processes would not share a processor.
    if hasattr(os, "sched_setscheduler"):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    steps = gpt.build(lib, **params)
    step = steps.get("fused") or steps[""]
    threads = lib.threads

    def measure():
        lib.module.set_num_threads(1)
        alone = min(_timed(step) for _ in range(_calls(step, seconds / 5)))
        lib.module.set_num_threads(threads)
        step()
        other = subprocess.Popen([sys.executable, "-c", BURNER], stdout=subprocess.PIPE)
        try:
            other.stdout.readline()  # it runs
            begin, calls = time.perf_counter(), 0
            while time.perf_counter() - begin < seconds:
                step()
                calls += 1
            return (time.perf_counter() - begin) / calls / alone
        finally:
            other.kill()
            other.wait()

    return measure


def _timed(step) -> float:
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


def _calls(step, seconds) -> int:
    _timed(step)
    return 3 + int(seconds / _timed(step))
