# SPDX-License-Identifier: MIT
"""Every public C function with NULL for every pointer and 0 for every number: a status with a
one-line text, never a crash."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tinyfin._native import ffi, lib

FUNCTIONS = [n for n in dir(lib) if n.startswith("tf_")
             and ffi.typeof(getattr(lib, n)).kind == "function"]  # fmt: skip

CALL = """
import sys
from tinyfin._native import ffi, lib

function = getattr(lib, sys.argv[1])
kind = ffi.typeof(function)
arguments = [ffi.NULL if a.kind in ("pointer", "array", "function") else 0 for a in kind.args]
result = function(*arguments)
text = ffi.string(lib.tf_last_error()).decode() if sys.argv[1] != "tf_last_error" else ""
assert "\\n" not in text, text
if kind.result.cname == "int" and isinstance(result, int) and text:
    assert text.startswith("["), text
"""


@pytest.mark.parametrize("batch", range(8))
def test_null_everywhere(batch):
    program = "import sys\nSOURCE = " + repr(CALL) + "\n"
    program += (
        "for name in sys.argv[1:]:\n"
        "    print(name, flush=True)\n"
        "    sys.argv = ['', name]\n"
        "    exec(compile(SOURCE, name, 'exec'), {})\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *FUNCTIONS[batch::8]], text=True,
                          capture_output=True)  # fmt: skip
    last = done.stdout.split()[-1] if done.stdout else "nothing"
    assert done.returncode == 0, f"{last} ended with {done.returncode}: {done.stderr[-500:]}"
