# SPDX-License-Identifier: MIT
"""Results as JSON lines: a record of each run (machine, commit, versions, settings, roofs), and one
of each row, which names its run."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.machine import ROOT

RESULTS = ROOT / "benchmarks" / "results"
PUBLISHED = RESULTS / "published.jsonl"


def rounded(value):
    """Five digits: more are noise."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return value


def append(path: Path, record: dict) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(rounded(record), ensure_ascii=False) + "\n")


def key(row: dict) -> tuple:
    return row["workload"], row["case"], row["threads"]


def read(path: Path) -> tuple[dict[str, dict], dict[tuple, dict]]:
    """Runs by name, and of the rows the last of each workload, case and number of threads."""
    runs, rows = {}, {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record["kind"] == "run":
                runs[record["run"]] = record
            else:
                rows[key(record)] = record
    return runs, rows


def publish(source: Path, names: set[str]) -> None:
    """The rows of those runs take their places in the published file."""
    runs, rows = read(PUBLISHED)
    new_runs, new_rows = read(source)
    runs |= {name: new_runs[name] for name in names}
    rows |= {k: row for k, row in new_rows.items() if row["run"] in names}
    used = {row["run"] for row in rows.values()}  # a run without rows leaves the file
    PUBLISHED.unlink(missing_ok=True)
    for name, record in sorted(runs.items()):
        if name in used:
            append(PUBLISHED, record)
    for _, row in sorted(rows.items()):
        append(PUBLISHED, row)
