# SPDX-License-Identifier: MIT
"""Bytes of the shared libraries of each package; tinyfin's stripped."""

import importlib.util
import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks.case import Case

FAMILY = "size"
USES_THREADS = False
NEEDS_LIBRARY = False

SIDES = ("tinyfin", "torch")
CASES = [Case("shared libraries", unit="bytes", sides=SIDES, turns=1)]


def build(lib):
    folder = Path(importlib.util.find_spec(lib.name).origin).parent
    files = {p.resolve() for p in folder.glob("lib/*.so*") if p.stat().st_size > 4096}

    def stripped(path):
        with tempfile.NamedTemporaryFile() as copy:
            subprocess.run(["strip", "-o", copy.name, path], check=True)
            return os.stat(copy.name).st_size

    size = sum(stripped(p) if lib.name == "tinyfin" else p.stat().st_size for p in files)
    return lambda: size
