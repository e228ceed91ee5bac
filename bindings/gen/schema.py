# SPDX-License-Identifier: MIT
"""Reads the op schemas (``//@op`` blocks of src/ops/*.cpp; docs/adding-an-op.md has the grammar).

Everything that does not follow the grammar is a SchemaError with file and line.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

ARG_TYPES = (
    "Tensor", "Tensor?", "Tensor!", "Tensor[]", "Tensor?[]", "int", "int?", "int[]", "int[]?",
    "shape", "int[2]", "padding", "float", "float?", "bool", "dtype", "device", "reduction",
    "activation",
)  # fmt: skip
SCALAR_RESULTS = ("bool", "int", "float")
REDUCTIONS = ("none", "mean", "sum")
ACTIVATIONS = ("none", "relu", "gelu", "gelu_tanh", "sigmoid", "tanh", "silu")
KEYS = ("since", "grad", "python", "doc")
PYTHON_FLAGS = ("function", "method", "private")
PYTHON_NAMED = ("operator", "reflected", "inplace", "alias")
# Words that are no argument names in one of the languages the schema is written out to.
RESERVED = set(keyword.kwlist) | set(
    [
        "auto",
        "bool",
        "break",
        "case",
        "char",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "catch",
        "class",
        "delete",
        "explicit",
        "export",
        "friend",
        "mutable",
        "namespace",
        "new",
        "operator",
        "private",
        "protected",
        "public",
        "template",
        "this",
        "throw",
        "try",
        "typename",
        "using",
        "virtual",
        "out",
        "h",
    ]
)


class SchemaError(Exception):
    """A line that does not follow the grammar: ``file:line: what is wrong``."""

    def __init__(self, where: str, line: int, message: str):
        super().__init__(f"{where}:{line}: {message}")


@dataclass
class Arg:
    type: str
    name: str
    default: str | None  # as written; None where there is none

    @property
    def is_tensor(self) -> bool:
        return self.type.startswith("Tensor")


@dataclass
class Result:
    kind: str  # "tensor", "tuple", "list", "bool", "int", "float", "none"
    names: tuple[str, ...] = ()  # of a tuple
    count: str = ""  # of a list: an expression of integer arguments


@dataclass
class Op:
    name: str
    args: list[Arg]
    result: Result
    file: str
    line: int
    section: str
    since: str = ""
    grad: bool = False
    grad_reason: str = ""
    summary: str = ""  # first sentence of the documentation
    details: list[str] = field(default_factory=list)  # its other lines
    flags: list[str] = field(default_factory=list)
    names: list[tuple[str, str]] = field(default_factory=list)  # ("operator", "__add__"), …

    @property
    def inplace(self) -> bool:
        return any(a.type == "Tensor!" for a in self.args)

    def named(self, kind: str) -> list[str]:
        return [name for k, name in self.names if k == kind]


def split_args(text: str) -> list[str]:
    """Splits at commas that stand in no bracket."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        if c in "([":
            depth += 1
        elif c in ")]":
            depth -= 1
        elif c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    last = text[start:].strip()
    return parts + [last] if last or parts else []


class _Block:
    """The raw lines of one schema, and errors that point into it."""

    def __init__(self, file: str, section: str, line: int, head: str):
        self.file, self.section, self.line = file, section, line
        self.entries: list[list] = [[line, "op", [head]]]  # line, key, text lines

    def error(self, line: int, message: str) -> SchemaError:
        return SchemaError(self.file, line, message)


_ARG = re.compile(
    r"^(?P<type>[A-Za-z]+(?:[?!]|\[\w*\])*)\s+(?P<name>\w+)\s*(?:=\s*(?P<default>.+))?$"
)
_HEAD = re.compile(r"^(?P<name>[a-z]\w*)\s*\((?P<rest>.*)$", re.DOTALL)
_NUMBER = re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$")


def _parse_default(block: _Block, type_: str, name: str, text: str) -> str:
    def bad(expected: str) -> SchemaError:
        return block.error(
            block.line, f"default `{text}` of argument `{name}`: expected {expected}"
        )

    text = {"None": "none", "True": "true", "False": "false"}.get(text, text)
    base = type_.rstrip("?")
    if text == "none" and (type_.endswith("?") or type_ in ("dtype", "device")):
        return text
    if base in ("int", "int[2]", "padding") and not re.match(r"^[-+]?\d+$", text):
        raise bad("a whole number")
    if base == "float" and not (_NUMBER.match(text) or text in ("inf", "-inf")):
        raise bad("a number")
    if base == "bool" and text not in ("true", "false"):
        raise bad("true or false")
    if base == "int[]" and not re.match(r"^\((\s*[-+]?\d+\s*,?)*\)$", text):
        raise bad("a list such as (-2, -1)")
    if base == "reduction" and text not in REDUCTIONS:
        raise bad("one of " + ", ".join(REDUCTIONS))
    if base == "activation" and text not in ACTIVATIONS:
        raise bad("one of " + ", ".join(ACTIVATIONS))
    if base in ("Tensor!", "Tensor", "Tensor[]", "Tensor?[]", "shape", "dtype", "device"):
        raise bad("none, or no default" if base in ("dtype", "device") else "no default")
    return text


def _parse_arg(block: _Block, text: str) -> Arg:
    match = _ARG.match(text)
    if not match:
        raise block.error(block.line, f"received argument `{text}`; expected `type name[=default]`")
    type_, name, default = match["type"], match["name"], match["default"]
    if type_ not in ARG_TYPES:
        raise block.error(
            block.line,
            f"unknown type `{type_}` of argument `{name}`; expected one of {', '.join(ARG_TYPES)}",
        )
    if not re.match(r"^[a-z][a-z0-9_]*$", name) or name in RESERVED or name.startswith("out_"):
        raise block.error(block.line, f"`{name}` cannot name an argument in C, C++ and Python")
    if default is not None:
        default = _parse_default(block, type_, name, default.strip())
    return Arg(type_, name, default)


def _parse_result(block: _Block, text: str, args: list[Arg]) -> Result:
    inplace = any(a.type == "Tensor!" for a in args)
    if not text:
        if not inplace:
            raise block.error(block.line, "expected `-> result` (only `Tensor!` ops have none)")
        return Result("none")
    if inplace:
        raise block.error(block.line, "an op that takes `Tensor!` has no result")
    if text == "Tensor":
        return Result("tensor")
    if text in SCALAR_RESULTS:
        return Result(text)
    match = re.match(r"^Tensor\[(.+)\]$", text)
    if match:
        ints = {a.name for a in args if a.type == "int"}
        unknown = [w for w in re.findall(r"[a-z_]\w*", match[1]) if w not in ints]
        if unknown or not re.match(r"^[\w\s+*()-]+$", match[1]):
            raise block.error(
                block.line, f"count `{match[1]}` of the result: expected integer arguments, + - *"
            )
        return Result("list", count=match[1])
    if text.startswith("(") and text.endswith(")"):
        names = []
        for part in split_args(text[1:-1]):
            words = part.split()
            if len(words) != 2 or words[0] != "Tensor" or not words[1].isidentifier():
                raise block.error(block.line, f"received result `{part}`; expected `Tensor name`")
            names.append(words[1])
        if len(names) >= 2:
            return Result("tuple", names=tuple(names))
    raise block.error(
        block.line,
        f"unknown result `{text}`; expected Tensor, (Tensor a, Tensor b), Tensor[n], "
        "bool, int or float",
    )


def _parse_head(block: _Block, text: str) -> Op:
    match = _HEAD.match(text)
    if not match:
        raise block.error(block.line, f"received `{text}`; expected `name(arguments) -> result`")
    depth, end = 1, -1
    for i, c in enumerate(match["rest"]):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            end = i
            break
    if end < 0:
        raise block.error(block.line, "the argument list is not closed")
    args = [_parse_arg(block, a) for a in split_args(match["rest"][:end])]
    tail = match["rest"][end + 1 :].strip()
    if tail and not tail.startswith("->"):
        raise block.error(
            block.line, f"received `{tail}` after the arguments; expected `-> result`"
        )
    names = [a.name for a in args]
    for name in names:
        if names.count(name) > 1:
            raise block.error(block.line, f"two arguments are named `{name}`")
    seen_default = ""
    for a in args:
        if a.default is not None:
            seen_default = a.name
        elif seen_default and a.type not in ("shape",):
            raise block.error(
                block.line, f"`{a.name}` has no default but follows `{seen_default}`, which has one"
            )
    return Op(
        match["name"], args, _parse_result(block, tail[2:].strip(), args),
        block.file, block.line, block.section,
    )  # fmt: skip


def _parse_python(block: _Block, line: int, text: str, op: Op) -> None:
    for word in re.findall(r"[^\s(]+(?:\([^)]*\))?", text):
        match = re.match(r"^(\w+)(?:\((\w+)\))?$", word)
        if match and match[2] is None and match[1] in PYTHON_FLAGS:
            op.flags.append(match[1])
        elif match and match[2] and match[1] in PYTHON_NAMED:
            op.names.append((match[1], match[2]))
        else:
            raise block.error(
                line,
                f"received `{word}`; expected {', '.join(PYTHON_FLAGS)} or "
                + ", ".join(f"{n}(name)" for n in PYTHON_NAMED),
            )
    if "private" in op.flags and len(op.flags) > 1:
        raise block.error(line, "`private` excludes `function` and `method`")
    if not op.flags and not op.names:
        raise block.error(line, "the key `python` is empty")
    first = op.args[0] if op.args else None
    if ("method" in op.flags or op.names) and (
        first is None or first.type not in ("Tensor", "Tensor!", "Tensor[]")
    ):
        if "method" in op.flags or any(k != "alias" for k, _ in op.names):
            raise block.error(line, "a method needs a tensor as first argument")
    for kind, name in op.names:
        if kind in ("reflected", "inplace"):
            if len(op.args) < 2 or not op.args[1].is_tensor:
                raise block.error(line, f"`{kind}({name})` needs two tensor arguments")
        if kind == "inplace" and not op.inplace:
            raise block.error(line, f"`inplace({name})` needs an op that takes `Tensor!`")


def _parse_block(block: _Block) -> Op:
    op = _parse_head(block, " ".join(block.entries[0][2]))
    seen = {}
    for line, key, text in block.entries[1:]:
        if key not in KEYS:
            raise block.error(line, f"unknown key `{key}`; expected one of {', '.join(KEYS)}")
        if key in seen:
            raise block.error(line, f"`{key}` is given twice (first in line {seen[key]})")
        seen[key] = line
        if key == "since":
            op.since = text[0]
            if not re.match(r"^\d+\.\d+$", op.since):
                raise block.error(line, f"received version `{op.since}`; expected e.g. 0.1")
        elif key == "grad":
            match = re.match(r"^(yes|no)\b\W*(.*)$", " ".join(text), re.DOTALL)
            if not match:
                raise block.error(line, f"received `{text[0]}`; expected `yes` or `no (reason)`")
            op.grad, op.grad_reason = match[1] == "yes", match[2].rstrip(" )").strip()
            if not op.grad and not op.grad_reason:
                raise block.error(line, "`no` needs the reason behind it: `no (reason)`")
        elif key == "python":
            _parse_python(block, line, " ".join(text), op)
        elif key == "doc":
            lines = [t for t in text if t]
            if not lines:
                raise block.error(line, "the key `doc` is empty")
            match = re.match(r"^(.+?[.])(\s|$)(.*)$", " ".join(lines), re.DOTALL)
            if not match:
                raise block.error(line, "the first sentence of `doc` has no full stop")
            op.summary = match[1]
            # The rest keeps its lines: shapes, dtypes, errors.
            consumed, details = len(match[1]), []
            for t in lines:
                if consumed >= len(t):
                    consumed -= len(t) + 1
                    continue
                rest = t[max(consumed, 0) :].strip()
                consumed = -1
                if rest:
                    details.append(rest)
            op.details = details
    for key in ("since", "grad", "python", "doc"):
        if key not in seen:
            raise block.error(block.line, f"op `{op.name}` lacks the key `{key}`")
    return op


def _section_of(lines: list[str]) -> str:
    """The first comment sentence of a file names the section of its ops."""
    for line in lines:
        text = line.lstrip("/ ").strip()
        if line.startswith("//") and text and "SPDX" not in text and not line.startswith("//@"):
            return re.split(r"[:.;]( |$)", text)[0].strip()
    return ""


def parse_text(text: str, file: str) -> list[Op]:
    """The ops that the text of one source file describes."""
    lines = text.splitlines()
    section = _section_of(lines) or Path(file).stem
    ops: list[Op] = []
    block: _Block | None = None
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip()
        if line.startswith("//@op"):
            if block:
                ops.append(_parse_block(block))
            block = _Block(file, section, number, line[5:].strip())
        elif line.startswith("//@"):
            body = line[3:]
            if block is None:
                raise SchemaError(
                    file, number, "a schema line outside a block that opens with //@op"
                )
            if re.match(r"^(\s{2,}|\s*$)", body):
                block.entries[-1][2].append(body.strip())
                continue
            match = re.match(r"^ ([a-z]+):\s*(.*)$", body)
            if not match:
                raise SchemaError(file, number, f"received `{body.strip()}`; expected `key: value`")
            block.entries.append([number, match[1], [match[2].strip()]])
        elif block:
            ops.append(_parse_block(block))
            block = None
    if block:
        ops.append(_parse_block(block))
    return ops


def parse_files(files: Iterable[Path], root: Path) -> list[Op]:
    """All ops, by file and then by place; a name that occurs twice is an error."""
    ops: list[Op] = []
    by_name = {}
    for path in sorted(files):
        relative = path.relative_to(root).as_posix()
        for op in parse_text(path.read_text(encoding="utf-8"), relative):
            other = by_name.setdefault(op.name, op)
            if other is not op:
                raise SchemaError(
                    op.file, op.line,
                    f"op `{op.name}` is already described in {other.file}:{other.line}",
                )  # fmt: skip
            ops.append(op)
    return ops
