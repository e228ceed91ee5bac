# SPDX-License-Identifier: MIT
"""Measures workloads for tinyfin and its peers in turns and prints one table."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
from pathlib import Path

from benchmarks import records
from benchmarks.case import BUILDERS, load_workload, workload_names
from benchmarks.machine import Roof, commit, instructions, processor, scheduling, versions
from benchmarks.measure import Sampling, measure
from benchmarks.sides import SIDES, UNSET, Peers, Worker, recorded, settings
from benchmarks.text import header, line


def arguments():
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", help="names; all when none is given")
    parser.add_argument("--threads", default="1,2", help="thread counts, e.g. 1,2")
    parser.add_argument("--seconds", type=float, default=0.3, help="per side and case")
    parser.add_argument(
        "--budget", type=float, help="seconds of sampling for a whole workload and thread count"
    )
    parser.add_argument("--turns", type=int, default=10, help="of each side")
    parser.add_argument("--filter", default="", help="only cases whose name contains this")
    parser.add_argument("--sides", help=f"of {','.join(SIDES)}; default: all but torch-compile")
    parser.add_argument("--compile", action="store_true", help="torch-compile too: takes minutes")
    parser.add_argument("--peers", default=sys.executable, help="the interpreter with the peers")
    parser.add_argument("--shim", type=Path, help="library to preload for torch-tuned")
    parser.add_argument("--output", type=Path, help="default: results/<host>.jsonl")
    parser.add_argument(
        "--resume", action="store_true", help="leave out rows that the output has of this commit"
    )
    parser.add_argument(
        "--publish", action="store_true", help="the rows of this commit, in published.jsonl too"
    )
    parser.add_argument("--list", action="store_true", help="print workloads and cases and end")
    return parser.parse_args()


def chosen(names: list[str], known, what: str) -> list[str]:
    unknown = set(names) - set(known)
    if unknown:
        raise SystemExit(
            f"received {what} {', '.join(sorted(unknown))}; expected of {', '.join(known)}"
        )
    return names


def run_record(sides, thread_counts, peers: Peers, roof: Roof) -> dict:
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return {
        "kind": "run",
        "run": now,
        "processor": processor(),
        "processors": os.cpu_count(),
        "instructions": instructions(),
        "commit": commit(),
        "versions": versions(peers.python),
        "unset": list(UNSET),
        "scheduling": scheduling(),
        "settings": {
            str(t): {side: recorded(settings(SIDES[side], t, peers.shim)) for side in sides}
            for t in thread_counts
        },
        "roof": {str(t): roof.all(t) for t in thread_counts},
    }


def print_run(run: dict) -> None:
    names = ", ".join(f"{k} {v}" for k, v in run["versions"].items())
    print(f"{run['processor']}, {run['processors']} processors; {run['commit']}; {names}")
    for threads, roof in run["roof"].items():
        figures = ", ".join(f"{k} {v / 1e9:.0f}" for k, v in roof.items() if v)
        print(f"roof, {threads} thread{'s' * (threads != '1')}: {figures} GFLOP/s or GB/s")
    for threads, sides in run["settings"].items():
        for side, env in sides.items():
            print(f"{side}, {threads}:", *(f"{k}={v}" for k, v in env.items()))
    print(header(), flush=True)


def main() -> int:
    options = arguments()
    if options.list:
        for name in workload_names():
            print(name, *(f"    {case.name}" for case in load_workload(name).CASES), sep="\n")
        return 0
    names = chosen(options.workloads, workload_names(), "workload") or workload_names()
    peers = Peers(options.peers, options.shim and options.shim.resolve())
    sides = chosen(options.sides.split(",") if options.sides else [], SIDES, "side")
    sides = sides or peers.sides() + ["torch-compile"] * options.compile
    thread_counts = [int(t) for t in options.threads.split(",")]
    output = options.output or records.RESULTS / f"{platform.node()}.jsonl"
    done = measured(output) if options.resume else set()
    roof = Roof()
    run = run_record(sides, thread_counts, peers, roof)
    print_run(run)
    records.append(output, run)
    failed = False
    for name in names:
        workload = load_workload(name)
        cases = [c for c in workload.CASES if options.filter in c.name]
        for threads in counts(workload, thread_counts) if cases else []:
            workers = {}
            for case in cases:
                if (name, case.name, threads) in done:
                    continue
                taking = [s for s in sides if takes(workload, case, s)]
                for side in taking:
                    if side not in workers:
                        workers[side] = Worker(name, side, threads, peers)
                seconds = options.seconds
                if options.budget:
                    seconds = min(seconds, options.budget / (len(cases) * len(taking)))
                sampling = Sampling(seconds, options.turns)
                row = measure(case, {s: workers[s] for s in taking}, roof, threads, sampling)
                failed |= "tinyfin" in row.get("errors", {})
                print(line(name, row), flush=True)
                row = {"kind": "row", "run": run["run"], "workload": name, **row}
                records.append(output, row)
            for worker in workers.values():
                worker.close()
    roof.close()
    if options.publish:
        # The commit it began with: notes may have been written meanwhile.
        records.publish(output, runs_of(output, run["commit"]))
    return 1 if failed else 0


def runs_of(output: Path, of: str) -> set[str]:
    """Names of the runs of a commit."""
    return {name for name, run in records.read(output)[0].items() if run["commit"] == of}


def measured(output: Path) -> set[tuple]:
    """Keys of the rows of this commit."""
    names = runs_of(output, commit())
    return {k for k, row in records.read(output)[1].items() if row["run"] in names}


def counts(workload, thread_counts: list[int]) -> list[int]:
    if not getattr(workload, "USES_THREADS", True):
        return [t for t in thread_counts if t == 1]
    only = getattr(workload, "THREADS", thread_counts)
    return [t for t in thread_counts if t in only]


def takes(workload, case, side: str) -> bool:
    there = hasattr(workload, BUILDERS[SIDES[side].library])
    if SIDES[side].compiled:
        there = getattr(workload, "COMPILES", False)
    return there and (case.sides is None or side in case.sides)


if __name__ == "__main__":
    sys.exit(main())
