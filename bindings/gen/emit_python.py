# SPDX-License-Identifier: MIT
"""Python output: tinyfin/_ops.py.

A generated function calls a shim straight away with the handles of its arguments; only where
that fails (a number, a list, an array among them) does it convert and call again.
"""

from __future__ import annotations

import re
import textwrap

from emit_c import NOTICE, sections
from schema import Arg, Op, SchemaError

# Arguments that hold positions or truth values: lists and arrays keep their kind, where others
# become floats as the constructor of Tensor does it.
KEEP_KIND = ("index", "indices", "target", "condition", "mask", "tensors")
SPELLINGS = {"dim": "axis", "keepdim": "keepdims"}

_HINTS = {
    "Tensor": "TensorLike",
    "Tensor?": "TensorLike | None",
    "Tensor!": "Tensor",
    "Tensor[]": "Sequence[TensorLike]",
    "Tensor?[]": "Sequence[TensorLike | None]",
    "int": "int",
    "int?": "int | None",
    "int[]": "Ints",
    "int[]?": "Ints | None",
    "shape": "Ints",
    "int[2]": "Ints",
    "padding": "Ints | str",
    "float": "float",
    "float?": "float | None",
    "bool": "bool",
    "dtype": "DTypeLike | None",
    "device": "DeviceLike | None",
    "reduction": "str",
    "activation": "str | None",
}


def py_default(a: Arg) -> str:
    d = a.default
    if d == "none" and a.type not in ("reduction", "activation"):
        return "None"
    if a.type in ("reduction", "activation"):
        return "None" if (a.type, d) == ("activation", "none") else f'"{d}"'
    if a.type == "bool":
        return d.capitalize()
    if a.type == "float":
        return f'float("{d}")' if "inf" in d else repr(float(d))
    if a.type == "int[]":
        return "(" + d.strip("()").rstrip(",") + ",)" if d.strip("() ") else "()"
    return d


def _is_star(op: Op, i: int) -> bool:
    """Whether argument i is written `*shape`: nothing without a default follows."""
    return op.args[i].type == "shape" and all(a.default is not None for a in op.args[i + 1 :])


def signature(op: Op, hints: bool = True) -> tuple[str, list[str]]:
    """The parameter list, and statements that settle other spellings of its names."""
    params, settle, extra = [], [], []
    required_after = False  # a spelled argument without default makes later ones optional too
    star = False
    for i, a in enumerate(op.args):
        hint = ": " + _HINTS[a.type] if hints else ""
        spelled = SPELLINGS.get(a.name)
        if _is_star(op, i):
            params.append(f"*{a.name}{': Any' if hints else ''}")
            star = True
            continue
        if a.default is not None:
            default = py_default(a)
        elif (spelled and i > 0) or required_after:
            default = "REQUIRED"
            required_after = True
        else:
            default = ""
        equals = " = " if hints else "="
        params.append(f"{a.name}{hint}{equals + default if default else ''}")
        if spelled:
            extra.append(f"{spelled}{': Any = UNSET' if hints else '=UNSET'}")
            settle += [
                f"if {spelled} is not UNSET:",
                f'    {a.name} = respelled("{op.name}", "{a.name}", {a.name}, {default or None}, '
                f'"{spelled}", {spelled})',
            ]
        if default == "REQUIRED":
            settle += [f"if {a.name} is REQUIRED:", f'    missing("{op.name}", "{a.name}")']
    if extra:
        params += ([] if star else ["*"]) + extra
    return ", ".join(params), settle


def _prepare(op: Op) -> list[str]:
    """Statements that turn arguments other than tensors into what cffi takes."""
    out = []
    for i, a in enumerate(op.args):
        n = a.name
        if a.type in ("int[]", "int[2]", "padding"):
            none = " if X is not None else NULL".replace("X", n) if a.default == "none" else ""
            function = {"int[2]": "pair", "padding": "padding_pair"}.get(a.type, "ints")
            out.append(f'{n} = {function}({n}, "{n}", "{op.name}"){none}')
        elif a.type == "int[]?":
            out += [
                f"if {n} is None:",
                f"    n_{n}, {n} = 0, NULL",
                "else:",
                f'    {n} = ints({n}, "{n}", "{op.name}")',
                f"    n_{n} = len({n})",
                f"    {n} = {n} or EMPTY",
            ]
        elif a.type == "shape":
            if _is_star(op, i):
                out.append(f'{n} = sizes({n}, "{n}", "{op.name}")')
            else:
                out.append(f'{n} = ints({n}, "{n}", "{op.name}")')
        elif a.type == "int?":
            out.append(f'{n} = NULL if {n} is None else (integer({n}, "{n}", "{op.name}"),)')
        elif a.type == "float?":
            out.append(f'{n} = NULL if {n} is None else (real({n}, "{n}", "{op.name}"),)')
        elif a.type == "dtype":
            out.append(f"{n} = 0 if {n} is None else dtype_number({n})")
        elif a.type == "device":
            out.append(f"{n} = NULL if {n} is None else device_handle({n})")
        elif a.type == "reduction":
            out.append(f'{n} = reduction_number({n}, "{op.name}")')
        elif a.type == "activation":
            out.append(f'{n} = activation_number({n}, "{op.name}")')
    return out


def _call_args(op: Op) -> list[str]:
    out = []
    for a in op.args:
        n = a.name
        if a.type in ("Tensor", "Tensor!"):
            out.append(f"{n}._h")
        elif a.type == "Tensor?":
            out.append(f"NULL if {n} is None else {n}._h")
        elif a.type == "Tensor[]":
            out += [f"[t._h for t in {n}]", f"len({n})"]
        elif a.type == "Tensor?[]":
            out += [f"[NULL if t is None else t._h for t in {n}]", f"len({n})"]
        elif a.type == "int[]?":
            out += [n, f"n_{n}"]
        elif a.type in ("int[]", "shape"):
            out += [n, f"len({n})"]
        else:
            out.append(n)
    return out


def _convert(op: Op) -> list[str]:
    """The slow path: arguments that are no tensors yet, numbers of other types."""
    out = []
    for a in op.args:
        n = a.name
        keep = ", True" if n in KEEP_KIND else ""
        if a.type == "Tensor":
            out.append(f'{n} = tensor({n}, "{n}", "{op.name}"{keep})')
        elif a.type == "Tensor?":
            out.append(f'{n} = None if {n} is None else tensor({n}, "{n}", "{op.name}"{keep})')
        elif a.type == "Tensor!":
            out.append(f'target_tensor({n}, "{n}", "{op.name}")')
        elif a.type in ("Tensor[]", "Tensor?[]"):
            optional = ", True" if a.type == "Tensor?[]" else ", False"
            out.append(f'{n} = tensor_list({n}, "{n}", "{op.name}"{optional}{keep})')
        elif a.type == "int":
            out.append(f'{n} = integer({n}, "{n}", "{op.name}")')
        elif a.type == "float":
            out.append(f'{n} = real({n}, "{n}", "{op.name}")')
        elif a.type == "bool":
            out.append(f'{n} = truth({n}, "{n}", "{op.name}")')
        elif a.type in ("int[]", "int[]?", "shape"):
            out.append(f'{n} = in_range({n}, "{n}", "{op.name}")')
    return out


def _result(op: Op, indent: str = "") -> list[str]:
    kind = op.result.kind
    if kind == "tensor":
        lines = ["return made(h)"]
    elif kind == "tuple":
        n = len(op.result.names)
        items = ", ".join(f"made(outs[{i}])" for i in range(n))
        lines = ["if ok:", f"    return {items}", "raise_last()"]
    elif kind == "list":
        lines = [
            "if count >= 0:",
            "    return [made(outs[i]) for i in range(count)]",
            "raise_last()",
        ]
    elif kind == "bool":
        lines = ["if h >= 0:", "    return h == 1", "raise_last()"]
    elif kind == "none":
        first = op.args[0].name
        lines = ["if ok:", f"    return {first}", "raise_last()"]
    else:
        lines = ["if ok:", "    return out[0]", "raise_last()"]
    return [indent + line for line in lines]


def _call(op: Op) -> tuple[list[str], str]:
    """Statements that make room for results, and the call as an assignment."""
    args, kind = _call_args(op), op.result.kind
    name = f"lib_{op.name}"
    if kind == "tensor" or kind == "bool":
        return [], f"h = {name}({', '.join(args)})"
    if kind == "tuple":
        return [f'outs = ffi_new("tf_tensor *[{len(op.result.names)}]")'], (
            f"ok = {name}({', '.join(args + ['outs'])})"
        )
    if kind == "list":
        return [], f"count = {name}({', '.join(args + ['outs', 'capacity'])})"
    if kind == "none":
        return [], f"ok = {name}({', '.join(args)})"
    c_type = "int64_t" if kind == "int" else "double"
    return [f'out = ffi_new("{c_type} *")'], f"ok = {name}({', '.join(args + ['out'])})"


def _returns(op: Op) -> str:
    kind = op.result.kind
    if kind == "tuple":
        return "tuple[" + ", ".join(["Tensor"] * len(op.result.names)) + "]"
    return {"list": "list[Tensor]", "bool": "bool", "int": "int", "float": "float"}.get(
        kind, "Tensor"
    )


def _docstring(op: Op) -> list[str]:
    lines = textwrap.wrap(op.summary, 90)
    if op.details:
        lines += [""] + [w for d in op.details for w in textwrap.wrap(d, 92)]
    lines = [line.replace("\\", "\\\\").replace('"""', "'''") for line in lines]
    if len(lines) == 1:
        return [f'"""{lines[0]}"""']
    return ['"""' + lines[0]] + lines[1:] + ['"""']


def py_name(op: Op) -> str:
    return "_" + op.name if "private" in op.flags else op.name


def _function(op: Op) -> list[str]:
    params, settle = signature(op)
    head = f"def {py_name(op)}({params}) -> {_returns(op)}:"
    if len(head) > 100:
        parts = ["    " + p + "," for p in _split_params(params)]
        lines = [f"def {py_name(op)}("] + parts + [f") -> {_returns(op)}:"]
    else:
        lines = [head]
    body = _docstring(op) + settle + _prepare(op)
    room, call = _call(op)
    body += room
    convert = _convert(op)
    if op.result.kind == "list":
        # The count may only be known once the integers have been read.
        body += [c for c in convert if " = integer(" in c]
        body += [f"capacity = max_count({op.result.count})"]
        body += ['outs = ffi_new("tf_tensor *[]", capacity)']
        convert = [c for c in convert if " = integer(" not in c]
    if convert:
        body += ["try:", "    " + call, "except NOT_READY:"]
        body += ["    " + c for c in convert] + ["    " + call]
    else:
        body.append(call)
    body += _result(op)
    body = [w for b in body for w in _folded(b)]
    return lines + ["    " + b if b else "" for b in body]


def _folded(line: str) -> list[str]:
    """A call that is too long for a line, with its arguments on lines of their own."""
    if len(line) <= 92 or "(" not in line or not line.rstrip().endswith(")"):
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    at = line.index("(") + 1
    return (
        [line[:at]]
        + [w for w in textwrap.wrap(
            line[at:-1], 92, initial_indent=indent + "    ", subsequent_indent=indent + "    ",
            break_long_words=False, break_on_hyphens=False)]
        + [indent + ")"]
    )  # fmt: skip


def _split_params(params: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for i, c in enumerate(params):
        depth += (c in "([") - (c in ")]")
        if c == "," and depth == 0:
            parts.append(params[start:i].strip())
            start = i + 1
    return parts + [params[start:].strip()]


# What _convert.py offers; a generated module imports those it uses.
_CONVERTERS = [
    "EMPTY",
    "NOT_READY",
    "NULL",
    "REQUIRED",
    "UNSET",
    "DeviceLike",
    "DTypeLike",
    "Ints",
    "TensorLike",
    "activation_number",
    "device_handle",
    "dtype_number",
    "in_range",
    "integer",
    "ints",
    "max_count",
    "missing",
    "operand",
    "padding_pair",
    "pair",
    "real",
    "reduction_number",
    "respelled",
    "sizes",
    "target_tensor",
    "tensor",
    "tensor_list",
    "truth",
]

_HEAD = '''\
# SPDX-License-Identifier: MIT
"""Every op as a function, and the methods and operators of Tensor.

{notice}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any{sequence}

from ._convert import (
{converters}
)
from ._native import Handle, ffi, lib, made
from .errors import raise_last

if TYPE_CHECKING:
    from .tensor import Tensor

ffi_new = ffi.new
'''


def _check_names(ops: list[Op]) -> None:
    """An argument must not hide what the function around it calls."""
    taken = {*_CONVERTERS, "Tensor", "ffi_new", "made", "raise_last"}
    for op in ops:
        for a in op.args:
            if a.name in taken:
                raise SchemaError(f"{op.name}: the argument name `{a.name}` is taken; try another")


def ops_module(ops: list[Op]) -> str:
    _check_names(ops)
    out = [f"lib_{op.name} = lib.tfpy_{op.name}" for op in ops]
    for title, group in sections(ops):
        out += ["", "", f"# {title}"]
        for op in group:
            out += ["", ""] + _function(op)
    out += ["", "", "class TensorOps(Handle):"]
    out += ['    """The methods and operators of Tensor that are ops."""', "", "    __slots__ = ()"]
    methods, exported = [], []
    for op in ops:
        names = [py_name(op)] + op.named("alias")
        if "function" in op.flags:
            exported += names
        if "method" in op.flags:
            methods += [f"    {n} = {py_name(op)}" for n in names]
        for kind in ("operator", "reflected", "inplace"):
            for name in op.named(kind):
                if sum(a.is_tensor for a in op.args) < 2:  # else Handle has it
                    methods.append(f"    {name} = {py_name(op)}")
    out += [""] + methods
    aliases = [
        f"{alias} = {py_name(op)}"
        for op in ops
        if "function" in op.flags
        for alias in op.named("alias")
    ]
    if aliases:
        out += ["", ""] + aliases
    out += ["", "", "__all__ = ["] + [f'    "{n}",' for n in sorted(exported)] + ["]"]
    text = "\n".join(out) + "\n"
    words = set(re.findall(r"\w+", text))
    head = _HEAD.format(
        notice=NOTICE,
        sequence=", Sequence" if "Sequence" in words else "",
        converters="\n".join(f"    {n}," for n in _CONVERTERS if n in words),
    )
    text = re.sub(r"\n{4,}", "\n\n\n", head + "\n" + text)
    return re.sub(r"\n\n\n(    \S)", r"\n\n\1", text)
