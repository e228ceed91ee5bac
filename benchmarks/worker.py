# SPDX-License-Identifier: MIT
"""One side of a comparison: a process that prepares steps and takes samples when told to.

Reads commands as JSON lines on standard input and answers each with one JSON line:
{"case": name} prepares, warms up and picks the fastest variant; {"seconds": s} samples for about
s seconds.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import timeit
import traceback

from benchmarks.case import BUILDERS, NotThere, Several, load_workload
from benchmarks.libraries import load
from benchmarks.sides import SIDES

SAMPLE = 2e-3  # seconds: long against the clock, short against being descheduled
WARM_UP = 0.1  # seconds, of every variant


class Sampler:
    """Takes samples of one step; the first calls find out how many calls make a sample."""

    def __init__(self, step):
        self.steps = 1
        if isinstance(step, Several):
            step, self.steps = step.call, step.steps
        self.step = step
        timed = isinstance(step, timeit.Timer)
        # The first call of the rest may compile, and may be one that measures itself.
        self.measured = not timed and isinstance(step(), (int, float))
        self.timer = step if timed else timeit.Timer(step)
        self.calls = 1
        end = time.perf_counter() + (0 if self.measured else WARM_UP)
        self.estimate = self.sample()
        while time.perf_counter() < end:
            self.calls = max(1, round(SAMPLE / max(self.estimate * self.steps, 1e-8)))
            self.estimate = min(self.estimate, self.sample())

    def sample(self) -> float:
        if self.measured:
            return self.step()
        return self.timer.timeit(self.calls) / (self.calls * self.steps)

    def best(self, seconds: float) -> tuple[float, int]:
        """The least of the samples that fit into the time, and their number."""
        end = time.perf_counter() + seconds
        values = [self.sample()]
        while time.perf_counter() < end:
            values.append(self.sample())
        return min(values), len(values)


def prepare(workload, case, side, library) -> tuple[Sampler | None, str]:
    """The fastest of the variants, and its name."""
    build = getattr(workload, BUILDERS[side.library], None)
    steps = build(library, **case.params) if build else None
    if steps is None:
        return None, ""
    if not isinstance(steps, dict):
        steps = {"": steps}
    best, variant = None, ""
    while steps:
        name, step = steps.popitem()
        sampler = Sampler(step)
        if best is None or sampler.estimate < best.estimate:
            best, variant = sampler, name
    return best, variant


def main():
    workload = load_workload(sys.argv[1])
    side, threads = SIDES[sys.argv[2]], int(sys.argv[3])
    cases = {c.name: c for c in workload.CASES}
    answers = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is no answer
    library = sampler = None
    gc.disable()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if "case" in command:
                sampler = None
                gc.collect()
                library = library or load(side, threads, getattr(workload, "NEEDS_LIBRARY", True))
                sampler, variant = prepare(workload, cases[command["case"]], side, library)
                if sampler is None:
                    answer = {"skip": True}
                else:
                    answer = {"estimate": sampler.estimate, "variant": variant}
                    answer["measured"] = sampler.measured
            else:
                value, samples = sampler.best(command["seconds"])
                answer = {"value": value, "samples": samples}
        except NotThere as name:
            answer = {"missing": str(name)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
