# SPDX-License-Identifier: MIT
"""Writes the C source of tinyfin/_native.abi3.so:  python3 build_ffi.py OUTPUT.c

CMake compiles it. Declarations come from the public headers (src/_cdef.h, generated), the C
beside them from src/_shims.h (generated) and src/native.h (by hand).
"""

import re
import sys
from pathlib import Path

from cffi import FFI
from cffi.recompiler import Recompiler

SOURCE = Path(__file__).resolve().parent / "src"

PREAMBLE = """\
#include "src/_shims.h"
#include "src/native.h"
"""


def declarations_of(header: str) -> str:
    """What a header of static functions defines, as declarations for cffi."""
    text = (SOURCE / header).read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    heads = re.findall(r"^static (?:inline )?([^;{}=]+?)\s*\{", text, flags=re.M)
    callbacks = re.findall(r"^static ([^;{}=]+?);", text, flags=re.M)
    lines = [h + ";" for h in heads if re.search(r"\btfpy_\w+\(", h)]
    lines += [f'extern "Python" {c};' for c in callbacks if re.search(r"\btfpy_\w+\(", c)]
    return "\n".join(lines)


def build(output: Path) -> None:
    ffi = FFI()
    ffi.cdef((SOURCE / "_cdef.h").read_text(encoding="utf-8"))
    ffi.cdef(declarations_of("native.h"))
    ffi.set_source("tinyfin._native", PREAMBLE, py_limited_api=True)
    recompiler = Recompiler(ffi, "tinyfin._native")
    recompiler.collect_type_table()
    recompiler.collect_step_tables()
    output.parent.mkdir(parents=True, exist_ok=True)
    with open(output, "w", encoding="utf-8") as file:
        recompiler.write_source_to_f(file, PREAMBLE)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    build(Path(sys.argv[1]))
