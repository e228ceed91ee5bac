# SPDX-License-Identifier: MIT
"""Bars of ratios, dots of shares of the roof: small SVG files with text as text."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.text import PEERS

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

COLORS = {1: "#4878a8", 2: "#e0a040"}
# The same file for the same figures; readers' fonts.
STYLE = {"svg.hashsalt": "tinyfin", "svg.fonttype": "none", "font.size": 9}
BARS, DOTS = 0.34, 0.2  # inches a row


def _labels(rows: list[dict]) -> list[tuple[str, str]]:
    """Workload and case, each once, in order."""
    return list(dict.fromkeys((row["workload"], row["case"]) for row in rows))


def _axes(labels, row: float, title: str):
    figure, axes = plt.subplots(figsize=(8, row * len(labels) + 1.1), layout="constrained")
    several = len({workload for workload, _ in labels}) > 1
    names = [f"{workload}: {case}" if several else case for workload, case in labels]
    axes.set_yticks(range(len(labels)), names)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlabel(title)
    axes.grid(axis="x", linewidth=0.4)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _save(figure, axes, path: Path) -> bool:
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return True


def _threads(rows):
    counts = sorted({row["threads"] for row in rows})
    height = 0.8 / len(counts)
    for i, threads in enumerate(counts):
        name = f"{threads} thread{'s' * (threads > 1)}"
        yield threads, name, height, (i - (len(counts) - 1) / 2) * height


def ratios(rows: list[dict], path: Path) -> bool:
    """tinyfin's time over the best peer's, with goals and the peers' names; False where there is
    nothing to draw."""
    rows = [row for row in rows if "ratio" in row and row["unit"] == "s"]
    if not rows:
        return False
    labels = _labels(rows)
    with plt.rc_context(STYLE):
        figure, axes = _axes(labels, BARS, "tinyfin's time / best peer's time (less is faster)")
        axes.set_xscale("log")
        least = min(0.25, *(row["ratio"] for row in rows)) * 0.9
        most = max(1.5, *(row["ratio"] for row in rows)) * 1.35
        axes.set_xlim(least, most)
        axes.xaxis.set_major_locator(
            FixedLocator([0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 4, 8, 16, 32])
        )
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        goals = []
        for threads, name, height, shift in _threads(rows):
            of = [row for row in rows if row["threads"] == threads]
            at = [labels.index((row["workload"], row["case"])) + shift for row in of]
            lengths = [row["ratio"] - 1 for row in of]
            axes.barh(at, lengths, height, 1, color=COLORS.get(threads, "#888"), label=name)
            for y, row in zip(at, of):
                ahead = row["ratio"] > 1
                axes.annotate(
                    PEERS[row["peer"]],
                    (max(row["ratio"], row.get("goal", {}).get("ratio", 0)) if ahead else 1, y),
                    (4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=6,
                    color="#444",
                )
                if "ratio" in row.get("goal", {}):
                    goals.append((row["goal"]["ratio"], y))
        if goals:
            axes.plot(*zip(*goals), "|k", markersize=9, markeredgewidth=1.6, label="goal")
        axes.axvline(1, color="k", linewidth=0.8)
        return _save(figure, axes, path)


def shares(rows: list[dict], path: Path) -> bool:
    """Percent of the roof, with the goals."""
    rows = [row for row in rows if "tinyfin" in row.get("roof_percent", {})]
    rows = [row for row in rows if "roof" in row.get("goal", {})]
    if not rows:
        return False
    labels = _labels(rows)
    with plt.rc_context(STYLE):
        figure, axes = _axes(labels, DOTS, "percent of the multiply-add roof")
        axes.set_xlim(min(60, *(r["roof_percent"]["tinyfin"] for r in rows)) - 2, 103)
        for threads, name, _, shift in _threads(rows):
            of = [row for row in rows if row["threads"] == threads]
            at = [labels.index((row["workload"], row["case"])) + shift / 2 for row in of]
            values = [row["roof_percent"]["tinyfin"] for row in of]
            axes.plot(values, at, "o", color=COLORS.get(threads, "#888"), markersize=5, label=name)
        goals = [(r["goal"]["roof"], labels.index((r["workload"], r["case"]))) for r in rows]
        axes.plot(*zip(*goals), "|k", markersize=10, label="goal")
        return _save(figure, axes, path)
