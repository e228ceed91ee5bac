# SPDX-License-Identifier: MIT
"""One row: the sides take turns, A B A B, and the least of a side's samples counts."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.case import Case
from benchmarks.machine import Roof
from benchmarks.sides import Worker

LEAST_TURNS = 3
# Threads of a side keep a processor busy for a while after its turn, waiting for work (OpenBLAS's
# for 2^26 cycles); whoever comes next would be measured beside them.
SETTLE = 0.04


@dataclass(frozen=True)
class Sampling:
    seconds: float  # for each side
    turns: int  # of each side, as far as the seconds allow


def measure(case: Case, workers: dict[str, Worker], roof: Roof, threads: int, sampling: Sampling):
    row: dict = {"case": case.name, "threads": threads, "unit": case.unit}
    row |= {name: {} for name in ("best", "samples", "variants", "errors", "missing")}
    turns = {side: _prepare(worker, case, row, side, sampling) for side, worker in workers.items()}
    kind, best_roof = roof.kind(case), 0.0
    for turn in range(max(turns.values(), default=0)):
        for side in list(turns):
            if turn < turns[side]:
                _settle(threads)
                _turn(workers[side], row, side, sampling.seconds / sampling.turns)
        if kind and turn < sampling.turns:
            _settle(threads)
            best_roof = max(best_roof, roof.measure(kind, threads))
    best = row["best"]
    peers = {side: value for side, value in best.items() if side != "tinyfin"}
    if peers:
        row["peer"] = min(peers, key=peers.get)
    if peers and "tinyfin" in best:
        row["ratio"] = best["tinyfin"] / best[row["peer"]]
    if kind and best:
        row["work"], row["roof"] = case.flops or case.bytes, {kind: best_roof}
        row["roof_percent"] = {
            side: 100 * row["work"] / value / best_roof for side, value in best.items()
        }
    row["goal"] = case.goal.at(threads)
    return {name: value for name, value in row.items() if value != {}}


def _settle(threads: int) -> None:
    if threads > 1:
        time.sleep(SETTLE)


def _prepare(worker: Worker, case: Case, row: dict, side: str, sampling: Sampling) -> int:
    """The number of turns that a side gets: fewer where a step takes long."""
    answer = worker.ask(case=case.name)
    for problem, name in (("error", "errors"), ("missing", "missing")):
        if problem in answer:
            row[name][side] = answer[problem]
    if "estimate" not in answer:
        return 0
    if answer["variant"]:
        row["variants"][side] = answer["variant"]
    if answer["measured"] or case.turns:
        row["best"][side], row["samples"][side] = answer["estimate"], 1
    if case.turns:
        return case.turns - 1
    affordable = int(sampling.seconds / max(answer["estimate"], 1e-9))
    return max(LEAST_TURNS, min(sampling.turns, affordable))


def _turn(worker: Worker, row: dict, side: str, seconds: float) -> None:
    if side in row["errors"]:
        return
    answer = worker.ask(seconds=seconds)
    if "error" in answer:
        row["errors"][side] = answer["error"]
        row["best"].pop(side, None)
        return
    row["best"][side] = min(row["best"].get(side, float("inf")), answer["value"])
    row["samples"][side] = row["samples"].get(side, 0) + answer["samples"]
