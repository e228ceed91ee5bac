# SPDX-License-Identifier: MIT
"""Figures and rows as text."""

from __future__ import annotations

PEERS = {
    "torch": "PyTorch",
    "torch-tuned": "PyTorch tuned",
    "torch-compile": "torch.compile",
    "jax": "JAX",
    "onnxruntime": "ONNX Runtime",
    "numpy": "NumPy",
}
SHORT = {
    "torch": "torch", "torch-tuned": "tuned", "torch-compile": "compile",
    "onnxruntime": "ort", "jax": "jax", "numpy": "numpy",
}  # fmt: skip


def quantity(value: float | None, unit: str = "s") -> str:
    if value is None:
        return "-"
    if unit == "bytes":
        return f"{value / 2**20:.1f} MiB"
    if unit != "s":
        return f"{value:.2f}"
    for scale, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= scale:
            return f"{value / scale:.3g} {name}"
    return f"{value / 1e-9:.0f} ns"


def goal_text(row: dict) -> str:
    goal, parts = row.get("goal", {}), []
    if "ratio" in goal:
        parts.append(f"≤{goal['ratio']:g}")
    if "roof" in goal:
        parts.append(f"≥{goal['roof']:g} %")
    if "value" in goal:
        parts.append(f"≤{quantity(goal['value'], row['unit'])}")
    return ", ".join(parts)


def met(row: dict) -> bool | None:
    """Whether a row reaches its goal; None where it has none or cannot tell."""
    goal, best = row.get("goal", {}), row.get("best", {})
    if not goal or "tinyfin" not in best:
        return None
    if "ratio" in goal and "ratio" not in row:
        return None
    return (
        row.get("ratio", 0) <= goal.get("ratio", float("inf"))
        and row.get("roof_percent", {}).get("tinyfin", 0) >= goal.get("roof", 0)
        and best["tinyfin"] <= goal.get("value", float("inf"))
    )


def header() -> str:
    return (
        f"{'workload':<12} {'case':<31} {'thr':>3} {'tinyfin':>8} {'best peer':>16} {'ratio':>6}"
        f" {'roof':>6}  {'goal':<13}    others"
    )


def line(workload: str, row: dict) -> str:
    best, unit = row.get("best", {}), row["unit"]
    peer = row.get("peer")
    ours = "not yet" if "tinyfin" in row.get("missing", {}) else quantity(best.get("tinyfin"), unit)
    theirs = f"{SHORT[peer]} {quantity(best[peer], unit)}" if peer else "-"
    ratio = f"{row['ratio']:.2f}" if "ratio" in row else "-"
    percent = row.get("roof_percent", {}).get("tinyfin")
    percent = f"{percent:.0f} %" if percent is not None else "-"
    mark = {True: "ok", False: "no", None: ""}[met(row)]
    rest = {s: v for s, v in best.items() if s not in ("tinyfin", peer)}
    others = [f"{SHORT[s]} {quantity(v, unit)}" for s, v in rest.items()]
    variant = row.get("variants", {}).get(peer)
    others = ([f"[{variant}]"] if variant else []) + others
    text = (
        f"{workload:<12} {row['case']:<31} {row['threads']:>3} {ours:>8} {theirs:>16} {ratio:>6}"
        f" {percent:>6}  {goal_text(row):<13} {mark:<2} {', '.join(others)}"
    )
    for side, error in row.get("errors", {}).items():
        text += f"\n    {side}: {error}"
    return text.rstrip()
