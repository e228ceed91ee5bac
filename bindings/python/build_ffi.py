# SPDX-License-Identifier: MIT
"""Writes the C source of tinyfin/_native.abi3.so:  python3 build_ffi.py OUTPUT.c

CMake compiles it. Declarations come from the public headers (src/_cdef.h, generated), the C
beside them from src/_shims.h (generated), src/native.h and src/handle.h (by hand; the latter
includes src/views.h and src/modules.h).
"""

import io
import re
import sys
from pathlib import Path

from cffi import FFI
from cffi.recompiler import Recompiler

SOURCE = Path(__file__).resolve().parent / "src"

PREAMBLE = """\
#include "src/_shims.h"
#include "src/native.h"

/* Nobody reads errno through this module: a call need not carry it over. */
#undef _cffi_restore_errno
#undef _cffi_save_errno
#define _cffi_restore_errno() ((void)0)
#define _cffi_save_errno() ((void)0)

/* Calls that take longer let other Python threads run meanwhile; handing the interpreter over
 * costs more than an op on so few elements. */
#define TFPY_BEGIN_WORK(elements) \\
  { PyThreadState *tfpy_state = (elements) > 4096 ? PyEval_SaveThread() : NULL;
#define TFPY_END_WORK if (tfpy_state) PyEval_RestoreThread(tfpy_state); }
static inline int64_t tfpy_elements(const tf_tensor *x) { return x ? tf_tensor_numel(x) : 0; }
#include "src/handle.h"
"""

# Calls that only look something up, or give a reference back.
QUICK = re.compile(
    r"tf_tensor_(release|retain|shape|strides|ndim|numel|dtype|device|data|requires_grad|is_\w+|"
    r"set_requires_grad|set_grad)|tfpy_(status|grad|detach|scalar_\w+)|"
    r"tf_(retain_graph_default|grad_enabled|set_grad_enabled|num_threads)"
)


def declarations_of(header: str) -> str:
    """What a header of static functions defines, as declarations for cffi."""
    text = (SOURCE / header).read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    heads = re.findall(r"^static (?:inline )?([^;{}=]+?)\s*\{", text, flags=re.M)
    callbacks = re.findall(r"^static ([^;{}=]+?);", text, flags=re.M)
    lines = [h + ";" for h in heads if re.search(r"\btfpy_\w+\(", h)]
    lines += [f'extern "Python" {c};' for c in callbacks if re.search(r"\btfpy_\w+\(", c)]
    return "\n".join(lines)


def keep_interpreter(source: str) -> str:
    """The wrappers without handing the interpreter over, where the call is quick or the work
    small. An op is small where its tensors are."""

    def rewritten(match: re.Match) -> str:
        body, name = match[0], match[1]
        if QUICK.fullmatch(name):
            begin, end = "{", "}"
        elif name.startswith("tfpy_") and (
            tensors := re.findall(r"^  tf_tensor (?:const )?\* (x\d+);", body, flags=re.M)
        ):
            elements = " + ".join(f"tfpy_elements({x})" for x in tensors)
            begin, end = f"TFPY_BEGIN_WORK({elements})", "TFPY_END_WORK"
        else:
            return body
        return body.replace("Py_BEGIN_ALLOW_THREADS", begin).replace("Py_END_ALLOW_THREADS", end)

    return re.sub(r"^_cffi_f_(\w+)\(PyObject.*?^}", rewritten, source, flags=re.M | re.S)


def with_handle(source: str) -> str:
    """The module with what handle.h adds to cffi's."""
    source, n = re.subn(
        r"return (_cffi_init\(.*?\));", r"return tfpy_completed(\1);", source, flags=re.S
    )
    assert n == 1, "cffi makes its module in another way"
    return source


def build(output: Path) -> None:
    ffi = FFI()
    ffi.cdef((SOURCE / "_cdef.h").read_text(encoding="utf-8"))
    ffi.cdef(declarations_of("native.h"))
    ffi.set_source("tinyfin._native", PREAMBLE, py_limited_api=True)
    recompiler = Recompiler(ffi, "tinyfin._native")
    recompiler.collect_type_table()
    recompiler.collect_step_tables()
    output.parent.mkdir(parents=True, exist_ok=True)
    source = io.StringIO()
    recompiler.write_source_to_f(source, PREAMBLE)
    output.write_text(with_handle(keep_interpreter(source.getvalue())), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    build(Path(sys.argv[1]))
