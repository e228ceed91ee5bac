#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes everything that follows from the op schemas and the public headers.

python3 bindings/gen/generate.py            write the files
python3 bindings/gen/generate.py --check    fail with a diff where a committed file differs
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import emit_c
import emit_cffi
import emit_docs
import emit_python
from headers import read_headers
from schema import SchemaError, parse_files


def generate(root: Path) -> dict[str, str]:
    """Path (from the root) → text of every generated file."""
    ops = parse_files((root / "src" / "ops").glob("*.cpp"), root)
    ops_h = emit_c.ops_header(ops)
    headers = read_headers(root / "include" / "tinyfin", {"ops.h": ops_h}, root)
    return {
        "include/tinyfin/ops.h": ops_h,
        "src/ops/ops.h": emit_c.cpp_header(ops),
        "src/capi/ops.cpp": emit_c.capi_entries(ops),
        "src/capi/exports.map": emit_c.exports_map(headers),
        "tests/c/golden_symbols.txt": emit_c.golden_symbols(headers),
        "bindings/python/src/_cdef.h": emit_cffi.cdef(headers, ops),
        "bindings/python/src/_shims.h": emit_cffi.shims(headers, ops),
        "bindings/python/tinyfin/_ops.py": emit_python.ops_module(ops),
        "docs/ops.md": emit_docs.ops_page(ops),
    }


def check(root: Path, files: dict[str, str]) -> int:
    different = 0
    for name, text in files.items():
        path = root / name
        committed = path.read_text(encoding="utf-8") if path.exists() else ""
        if committed == text:
            continue
        different += 1
        sys.stdout.writelines(
            difflib.unified_diff(
                committed.splitlines(True),
                text.splitlines(True),
                f"committed/{name}",
                f"new/{name}",
            )
        )
    if different:
        print(f"{different} generated files differ; run: python3 bindings/gen/generate.py")
    return 1 if different else 0


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue  # an unchanged file keeps its time: nothing is rebuilt for it
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {name}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2])
    options = parser.parse_args()
    try:
        files = generate(options.root.resolve())
    except SchemaError as error:
        print(error, file=sys.stderr)
        return 2
    if options.check:
        return check(options.root, files)
    write(options.root, files)
    return 0


if __name__ == "__main__":
    sys.exit(main())
