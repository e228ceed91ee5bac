# SPDX-License-Identifier: MIT
"""Reads the public headers: exported functions with their versions, types, integer constants."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from schema import SchemaError

# Another project's header, with types that only a hand-written binding needs.
NOT_BOUND = ("dlpack.h",)


@dataclass
class Function:
    name: str
    declaration: str  # one line, without TINYFIN_API and ";"
    since: str


@dataclass
class Header:
    name: str
    functions: list[Function]
    items: list[str]  # what a C parser without preprocessor needs, in order
    includes: list[str]


def _mask_comments(text: str) -> str:
    """Comments become blanks of the same shape, so that offsets and lines stay."""
    return re.sub(
        r"/\*.*?\*/|//[^\n]*", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.DOTALL
    )


def _line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def parse_header(name: str, text: str, where: str) -> Header:
    code = _mask_comments(text)
    includes = re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, flags=re.MULTILINE)
    constants = []
    for m in re.finditer(
        r"^#define[ \t]+(TINYFIN_\w+)[ \t]+\(?(-?\w+)\)?[ \t]*$", code, flags=re.MULTILINE
    ):
        if re.match(r"^-?(0x[0-9a-fA-F]+|\d+)$", m[2]):
            constants.append((m.start(), f"#define {m[1]} {m[2]}"))
    # Without preprocessor lines (and their continuations) only declarations are left.
    body = re.sub(
        r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",
        lambda m: re.sub(r"[^\n]", " ", m[0]),
        code,
        flags=re.MULTILINE,
    )
    body = re.sub(r'extern\s+"C"\s*\{', lambda m: " " * len(m[0]), body)
    functions, items = [], list(constants)
    start, depth = 0, 0
    for i, c in enumerate(body):
        depth += (c == "{") - (c == "}")
        if depth < 0:  # the brace that closes extern "C"
            depth, start = 0, i + 1
        if c != ";" or depth > 0:
            continue
        raw, begin = body[start:i], start
        start = i + 1
        begin += len(raw) - len(raw.lstrip())
        declaration = re.sub(r"\s+", " ", raw).strip()
        if declaration.startswith("TINYFIN_API "):
            declaration = declaration[len("TINYFIN_API ") :]
            match = re.match(r"^.*?\b(tfx?_\w+)\s*\(", declaration)
            line = _line_of(text, begin)
            if not match:
                raise SchemaError(
                    where, line, f"received `{declaration}`; expected a function tf_…"
                )
            comment = re.findall(r"/\*.*?\*/", text[:begin], flags=re.DOTALL)
            since = re.findall(r"@since\s+(\d+\.\d+)", comment[-1]) if comment else []
            between = text[text.rfind("*/", 0, begin) + 2 : begin] if comment else "x"
            if between.strip() or not since:
                raise SchemaError(
                    where, line, f"`{match[1]}` has no comment with `@since x.y` in front of it"
                )
            functions.append(Function(match[1], declaration, since[-1]))
        if declaration:
            items.append((begin, declaration + ";"))
    return Header(name, functions, [t for _, t in sorted(items)], includes)


def in_order(headers: dict[str, Header]) -> list[Header]:
    """Headers such that each comes after those it includes."""
    done: list[Header] = []
    names = set()

    def visit(name: str) -> None:
        base = name.split("/")[-1]
        if base in names or base not in headers:
            return
        names.add(base)
        for include in headers[base].includes:
            visit(include)
        done.append(headers[base])

    for name in sorted(headers):
        visit(name)
    return done


def read_headers(include: Path, replaced: dict[str, str], root: Path) -> list[Header]:
    """The public headers; `replaced` holds generated ones that are newer than the files."""
    texts = {p.name: p.read_text(encoding="utf-8") for p in sorted(include.glob("*.h"))}
    texts.update(replaced)
    headers = {}
    for name, text in texts.items():
        if name in NOT_BOUND:
            continue
        where = (include / name).relative_to(root).as_posix()
        headers[name] = parse_header(name, text, where)
    return in_order(headers)


def by_version(headers: list[Header]) -> list[tuple[str, list[str]]]:
    """Exported names by the version that first had them, oldest first."""
    versions: dict[str, list[str]] = {}
    for header in headers:
        for function in header.functions:
            versions.setdefault(function.since, []).append(function.name)
    return sorted(
        ((v, sorted(n)) for v, n in versions.items()),
        key=lambda item: [int(x) for x in item[0].split(".")],
    )
