# SPDX-License-Identifier: MIT
"""Bytes of the shared libraries of each package; tinyfin's stripped."""

import importlib.util
import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks.case import Case

USES_THREADS = False
NEEDS_LIBRARY = False

CASES = [Case("shared libraries", unit="bytes")]


def build(side, lib):
    folder = Path(importlib.util.find_spec(side).origin).parent
    files = {p.resolve() for p in folder.glob("lib/*.so*") if p.stat().st_size > 4096}

    def stripped(path):
        with tempfile.NamedTemporaryFile() as copy:
            subprocess.run(["strip", "-o", copy.name, path], check=True)
            return os.stat(copy.name).st_size

    size = sum(stripped(p) if side == "tinyfin" else p.stat().st_size for p in files)
    return lambda: size
