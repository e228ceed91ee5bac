# SPDX-License-Identifier: MIT
"""docs/ops.md: one table per family of ops."""

from __future__ import annotations

from emit_c import NOTICE, c_params, out_params, sections
from emit_python import py_name, signature
from schema import Op


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _python(op: Op) -> str:
    if "private" in op.flags:
        return "–"
    params, _ = signature(op, hints=False)
    params = params.replace("=REQUIRED", "").replace(", *, axis=UNSET, keepdims=UNSET", "")
    params = params.replace(", *, axis=UNSET", "").replace(", axis=UNSET", "")
    where = [w for w in ("function", "method") if w in op.flags]
    operators = [n for k, n in op.names if k in ("operator", "inplace")]
    text = f"`{py_name(op)}({params})`"
    if where == ["method"]:
        text += " (method)"
    if operators:
        text += " " + " ".join(f"`{n}`" for n in operators)
    if op.named("alias"):
        text += ", also " + ", ".join(f"`{n}`" for n in op.named("alias"))
    return text


def ops_page(ops: list[Op]) -> str:
    out = [
        "# Ops",
        "",
        f"<!-- {NOTICE} -->",
        "",
        "Every op in C and in Python. C functions return a status and give results through their",
        "last parameters. In Python a function is `tinyfin.name(x, …)` and, with few exceptions,",
        "also a method `x.name(…)`; `axis` and `keepdims` are understood wherever `dim` and",
        '`keepdim` are. "Gradient" says whether an op is differentiable.',
    ]
    for title, group in sections(ops):
        out += ["", f"## {title}", "", "| C | Python | what it does | gradient |"]
        out.append("|---|---|---|---|")
        for op in group:
            c = f"`tf_{op.name}({', '.join(c_params(op) + out_params(op))})`"
            grad = "yes" if op.grad else f"no: {op.grad_reason}"
            out.append(
                f"| {_cell(c)} | {_cell(_python(op))} | {_cell(op.summary)} | {_cell(grad)} |"
            )
    return "\n".join(out) + "\n"
