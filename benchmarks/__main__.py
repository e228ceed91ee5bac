# SPDX-License-Identifier: MIT
"""Runs workloads for tinyfin and PyTorch side by side and prints one table."""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import platform
import subprocess
import sys

from benchmarks.case import SIDES, load_workload, workload_names
from benchmarks.machine import ROOT, Roof, commit, processor, versions

HEADER = (
    f"{'workload':<12} {'case':<34} {'thr':>3} {'tinyfin':>11} {'torch':>11}"
    f" {'ratio':>6} {'roof':>6}"
)


class Side:
    """A worker process."""

    def __init__(self, workload: str, side: str, threads: int):
        env = dict(os.environ, OMP_NUM_THREADS=str(threads), TINYFIN_THREADS=str(threads))
        for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS"):
            env.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", workload, side, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )

    def ask(self, **command) -> dict:
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": "the worker ended"}

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()


def measure(case, workers: dict[str, Side], roof: Roof, threads: int, options) -> dict:
    """Minima of all sides, taken in turns, and the roof as seen between the turns."""
    row = {"case": case.name, "threads": threads, "unit": case.unit, "best": {}, "samples": {}}
    ready = {}
    for side, worker in workers.items():
        answer = worker.ask(case=case.name) if side in case.sides else None
        if answer == {}:
            ready[side] = worker
        elif answer:
            row.setdefault("errors", {})[side] = answer["error"]
    kind = "flops" if case.flops else "copy" if case.bytes else None
    best_roof = 0.0
    for _ in range(options.rounds):
        for side, worker in list(ready.items()):
            answer = worker.ask(seconds=options.seconds / options.rounds)
            if "error" in answer:
                row.setdefault("errors", {})[side] = answer["error"]
                row["best"].pop(side, None)
                del ready[side]
                continue
            row["best"][side] = min(row["best"].get(side, float("inf")), answer["value"])
            row["samples"][side] = row["samples"].get(side, 0) + answer["samples"]
        if kind:
            best_roof = max(best_roof, roof.measure(kind, threads))
    best = row["best"]
    if "tinyfin" in best and "torch" in best:
        row["ratio"] = best["tinyfin"] / best["torch"]
    if kind and "tinyfin" in best:
        row["roof"] = {kind: best_roof}
        row["roof_percent"] = 100 * (case.flops or case.bytes) / best["tinyfin"] / best_roof
    return row


def quantity(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "bytes":
        return f"{value / 2**20:.1f} MiB"
    for scale, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= scale:
            return f"{value / scale:.2f} {name}"
    return f"{value / 1e-9:.0f} ns"


def line(workload: str, row: dict) -> str:
    ratio = f"{row['ratio']:.2f}" if "ratio" in row else "-"
    percent = f"{row['roof_percent']:.0f} %" if "roof_percent" in row else "-"
    numbers = [quantity(row["best"].get(side), row["unit"]) for side in SIDES]
    text = (
        f"{workload:<12} {row['case']:<34} {row['threads']:>3} {numbers[0]:>11} {numbers[1]:>11}"
        f" {ratio:>6} {percent:>6}"
    )
    for side, error in row.get("errors", {}).items():
        text += f"\n    {side}: {error}"
    return text


def arguments():
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", help="names; all when none is given")
    parser.add_argument("--threads", default="1,2", help="thread counts, e.g. 1,2")
    parser.add_argument("--seconds", type=float, default=1.0, help="per side and case")
    parser.add_argument("--rounds", type=int, default=10, help="turns of each side")
    parser.add_argument("--filter", default="", help="only cases whose name contains this")
    parser.add_argument("--output", help="JSON lines go here; default results/<host>.jsonl")
    parser.add_argument("--list", action="store_true", help="print names and end")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    names = workload_names()
    if options.list:
        print("\n".join(names))
        return 0
    unknown = set(options.workloads) - set(names)
    if unknown:
        raise SystemExit(f"received {', '.join(sorted(unknown))}; expected of {', '.join(names)}")
    sides = [s for s in SIDES if importlib.util.find_spec(s)]
    if "torch" not in sides:
        print("PyTorch is not installed here: tinyfin alone is measured", file=sys.stderr)
    where = {
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "processor": processor(),
        "commit": commit(),
        "versions": versions(),
    }
    output = options.output or ROOT / "benchmarks" / "results" / f"{platform.node()}.jsonl"
    print(f"{where['processor']}, {os.cpu_count()} processors; {where['versions']}\n{HEADER}")
    failed = False
    roof = Roof()
    with open(output, "a", encoding="utf-8") as results:
        for name in options.workloads or names:
            workload = load_workload(name)
            cases = [c for c in workload.CASES if options.filter in c.name]
            thread_counts = [int(t) for t in options.threads.split(",")]
            if not getattr(workload, "USES_THREADS", True):
                thread_counts = thread_counts[:1]
            for threads in thread_counts if cases else []:
                workers = {side: Side(name, side, threads) for side in sides}
                for case in cases:
                    row = measure(case, workers, roof, threads, options)
                    failed |= "tinyfin" in row.get("errors", {})
                    print(line(name, row), flush=True)
                    results.write(json.dumps({**where, "workload": name, **row}) + "\n")
                for worker in workers.values():
                    worker.close()
    roof.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
