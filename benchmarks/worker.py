# SPDX-License-Identifier: MIT
"""One side of a comparison: a process that prepares steps and takes samples when told to.

Reads commands as JSON lines on standard input and answers each with one JSON line:
{"case": name} prepares and warms up; {"seconds": s} samples for about s seconds.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import time
import traceback

from benchmarks.case import load_workload

SAMPLE = 2e-3  # seconds: long against the clock, short against being descheduled
WARM_UP = 0.1


def load_library(side: str, threads: int):
    library = importlib.import_module(side)
    if side == "torch":  # tinyfin has read TINYFIN_THREADS
        library.set_num_threads(threads)
    return library


class Sampler:
    def __init__(self, step):
        self.step = step
        self.measured = isinstance(step(), (int, float))  # the step measures itself
        self.calls = 1
        if self.measured:
            return
        end = time.perf_counter() + WARM_UP
        while True:
            seconds = self.sample()
            if time.perf_counter() > end:
                break
            self.calls = max(1, round(SAMPLE / max(seconds, 1e-8)))

    def sample(self) -> float:
        if self.measured:
            return self.step()
        step = self.step
        calls = range(self.calls)
        begin = time.perf_counter()
        for _ in calls:
            step()
        return (time.perf_counter() - begin) / self.calls

    def best(self, seconds: float) -> tuple[float, int]:
        """The least of the samples that fit into the time, and their number."""
        end = time.perf_counter() + seconds
        values = [self.sample()]
        while time.perf_counter() < end:
            values.append(self.sample())
        return min(values), len(values)


def main():
    workload_name, side, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    answers = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is no answer
    workload = load_workload(workload_name)
    cases = {c.name: c for c in workload.CASES}
    library = sampler = None
    gc.disable()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if "case" in command:
                sampler = None
                gc.collect()
                if library is None and getattr(workload, "NEEDS_LIBRARY", True):
                    library = load_library(side, threads)
                sampler = Sampler(workload.build(side, library, **cases[command["case"]].params))
                answer = {}
            else:
                value, samples = sampler.best(command["seconds"])
                answer = {"value": value, "samples": samples}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
