# SPDX-License-Identifier: MIT
"""Writes docs/performance.md and its pictures from benchmarks/results/published.jsonl."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from benchmarks import pictures, records
from benchmarks.case import load_workload
from benchmarks.machine import ROOT
from benchmarks.text import PEERS, goal_text, met, quantity


@dataclass(frozen=True)
class Section:
    title: str
    name: str  # of its picture
    workloads: tuple[str, ...]
    text: str
    roof: bool = False  # the picture shows shares of the roof, not ratios


SECTIONS = (
    Section(
        "Training steps and forward passes",
        "steps",
        ("mlp", "cnn", "gpt", "resnet", "epoch", "busy"),
        "`train` is a whole step: gradients cleared, forward, backward, optimiser. The MLP is "
        "784-128-64-10, the CNN has two convolutions (16, 32) with pooling and 1568-128-10; GPT is "
        "named layers × width, context, batch. The epoch is 60,000 images of 28×28 in shuffled "
        "batches of 64. `busy` is the mean step with two threads while another process keeps a "
        "processor busy, as a multiple of the same side's own step with one thread.",
    ),
    Section(
        "Convolutions",
        "conv",
        ("conv",),
        "Channels, picture, kernel / stride, batch. `gradients` are those of input and weight.",
    ),
    Section(
        "Matrix products",
        "gemm",
        ("gemm_kernel", "gemm"),
        "`gemm_kernel` is the kernel alone, `gemm` the op from Python. NT is a layer's forward "
        "pass, NN its input gradient, TN its weight gradient.",
        roof=True,
    ),
    Section("Recurrent layers", "lstm", ("lstm",), ""),
    Section(
        "Ops bound by memory",
        "memory",
        ("memory", "vmath", "adam"),
        "The roof is what a plain copy moves, in the last cache or in memory; ops that leave part "
        "of their data in the cache pass it.",
    ),
    Section(
        "Small ops and start-up",
        "small",
        ("small_ops", "small_ops_c", "startup", "library_size"),
        "Eight elements, from Python and from C (`small_ops_c`): what a call costs. NumPy keeps no "
        "gradients.",
    ),
)

MARKS = {True: "yes", False: "**no**", None: ""}
COLUMNS = (
    "workload | case | threads | tinyfin | best peer | ratio | PyTorch as installed | of the roof, "
    "tinyfin / peer | goal | reached"
)


REAL_TIME = (
    "Some runs had real-time priority, so that other work on the machine did not disturb them. It "
    "makes pages that are given back to the kernel dearer with two threads, and PyTorch as "
    "installed gives many back: its two-thread CNN rows are several times slower there than under "
    "the usual policy."
)


def notebook(workload: str, docs: Path) -> str:
    """A link to the page that tells why a goal is missed, where there is one."""
    page = f"notebook/{load_workload(workload).FAMILY}.md"
    return f" ([why]({page}))" if (docs / page).exists() else ""


def cells(row: dict, docs: Path) -> list[str]:
    best, unit, peer = row.get("best", {}), row["unit"], row.get("peer")
    ours = quantity(best.get("tinyfin"), unit)
    if "tinyfin" in row.get("missing", {}):
        ours = "not there yet"
    elif "tinyfin" in row.get("errors", {}):
        ours = "failed"
    theirs = f"{quantity(best[peer], unit)} {PEERS[peer]}" if peer else ""
    if peer and peer in row.get("variants", {}):
        theirs += f" ({row['variants'][peer]})"
    ratio = f"{row['ratio']:.2f}" if "ratio" in row else ""
    percents = row.get("roof_percent", {})
    percents = [f"{percents[side]:.0f} %" for side in ("tinyfin", peer) if side in percents]
    reached = met(row)
    return [
        row["workload"],
        row["case"],
        str(row["threads"]),
        ours,
        theirs,
        f"**{ratio}**" if row.get("ratio", 0) > 1 else ratio,
        quantity(best["torch"], unit) if "torch" in best and peer != "torch" else "",
        " / ".join(percents),
        goal_text(row),
        MARKS[reached] + (notebook(row["workload"], docs) if reached is False else ""),
    ]


def table(rows: list[dict], docs: Path) -> str:
    lines = [f"| {COLUMNS} |", "|---|---|---:|---:|---:|---:|---:|---:|---:|---|"]
    lines += ["| " + " | ".join(cells(row, docs)) + " |" for row in rows]
    return "\n".join(lines)


def ordered(rows: dict[tuple, dict], section: Section) -> list[dict]:
    """As the workloads list their cases; both numbers of threads together."""
    found = []
    for workload in section.workloads:
        for case in load_workload(workload).CASES:
            of_case = [r for k, r in rows.items() if k[:2] == (workload, case.name)]
            found += sorted(of_case, key=lambda r: r["threads"])
    return found


def merged(runs: dict[str, dict]) -> dict:
    """The last run, with the settings of all sides and the best roofs of any run."""
    whole = {**runs[max(runs)], "settings": {}, "roof": {}}
    for _, run in sorted(runs.items()):
        for threads, sides in run["settings"].items():
            whole["settings"].setdefault(threads, {}).update(sides)
        for threads, roof in run["roof"].items():
            best = whole["roof"].setdefault(threads, {})
            best |= {kind: max(figure, best.get(kind, 0)) for kind, figure in roof.items()}
    return whole


def roofs(run: dict) -> str:
    names = {
        "flops": "float32 multiply-adds, GFLOP/s",
        "bf16": "bfloat16 dot products, GFLOP/s",
        "cache": "copies in the last cache, GB/s",
        "memory": "copies in memory, GB/s",
    }
    counts = sorted(run["roof"])
    lines = ["| roof | " + " | ".join(f"{t} thread{'s' * (t != '1')}" for t in counts) + " |"]
    lines.append("|---|" + "---:|" * len(counts))
    for kind, name in names.items():
        figures = [run["roof"][t].get(kind, 0) / 1e9 for t in counts]
        if any(figures):
            lines.append(f"| {name} | " + " | ".join(f"{f:.0f}" for f in figures) + " |")
    return "\n".join(lines)


def settings(run: dict) -> str:
    most = max(run["settings"])
    lines = []
    for side, env in run["settings"][most].items():
        shown = " ".join(f"{k}={v}" for k, v in env.items())
        lines.append(f"- {PEERS.get(side, side)}: `{shown}`")
    return "\n".join(lines)


def summary(rows: list[dict]) -> str:
    verdicts = [met(row) for row in rows if row.get("goal")]
    unknown = verdicts.count(None)
    behind = sum(row.get("ratio", 0) > 1 for row in rows)
    text = f"{verdicts.count(True)} of {len(verdicts)} goals are reached"
    if unknown:
        text += f", {unknown} cannot be told yet"
    return text + f". In {behind} of {sum('ratio' in r for r in rows)} rows a peer is ahead."


def page(runs: dict[str, dict], rows: dict[tuple, dict], docs: Path, drawn: set[str]) -> str:
    last = merged(runs)
    machine = f"{last['processor']}, {last['processors']} processors"
    if last["instructions"]:
        machine += f" ({', '.join(last['instructions'])})"
    versions = ", ".join(f"{name} {version}" for name, version in last["versions"].items())
    dates = sorted({(run["run"][:10], run["commit"]) for run in runs.values()})
    parts = [
        "# Performance",
        "<!-- Written by `make performance`; edits are lost. -->",
        "tinyfin beside its peers, each at its best, in turns in the same minute; the least of "
        "many samples of each side counts, float32 where a row does not say bfloat16. The ratio is "
        "tinyfin's time over the best peer's: below 1 is faster, ratios where a peer is ahead "
        "stand in bold. "
        "[benchmarks/README.md](../benchmarks/README.md) says how it is measured; "
        '`make bench-peers BENCH="mlp"` does it again.',
        summary(list(rows.values())),
        f"Machine: {machine}.\n\nVersions: {versions}.\n\nCommits: "
        + ", ".join(f"{commit} ({date})" for date, commit in dates)
        + ".",
        roofs(last),
    ]
    for section in SECTIONS:
        of_section = ordered(rows, section)
        if not of_section:
            continue
        parts += [f"## {section.title}", section.text]
        if section.name in drawn:
            what = "shares of the roof" if section.roof else "time as a multiple of the best peer's"
            parts.append(f"![{section.title}: {what}](pictures/performance-{section.name}.svg)")
        parts.append(table(of_section, docs))
    parts += [
        "## How the sides were run",
        "As many processors as threads are allowed to each side; ONNX Runtime is told the number "
        "of threads when it loads a model.",
        settings(last),
        REAL_TIME if any(run.get("scheduling") == "real-time" for run in runs.values()) else "",
        "Unset in all: " + ", ".join(f"`{name}`" for name in last["unset"]) + ".",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def write(source: Path, docs: Path) -> Path:
    runs, rows = records.read(source)
    if not rows:
        raise SystemExit(f"received {source}, which has no rows; `make bench-peers` makes some")
    used = {row["run"] for row in rows.values()}
    runs = {name: run for name, run in runs.items() if name in used}
    (docs / "pictures").mkdir(parents=True, exist_ok=True)
    drawn = set()
    for section in SECTIONS:
        path = docs / "pictures" / f"performance-{section.name}.svg"
        draw = pictures.shares if section.roof else pictures.ratios
        if draw(ordered(rows, section), path):
            drawn.add(section.name)
    target = docs / "performance.md"
    target.write_text(page(runs, rows, docs, drawn), encoding="utf-8")
    return target


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.report", description=__doc__)
    parser.add_argument("--source", type=Path, default=records.PUBLISHED)
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    print(write(options.source, options.docs))


if __name__ == "__main__":
    main()
