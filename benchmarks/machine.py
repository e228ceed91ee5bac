# SPDX-License-Identifier: MIT
"""Where and with what a measurement was made, and the machine's roof at that moment."""

from __future__ import annotations

import importlib.util
import platform
import subprocess
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ROOT / "build" / "release" / "bin"


def processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def commit() -> str:
    run = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    )
    return run.stdout.strip() or "unknown"


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("tinyfin", "torch", "numpy"):
        if importlib.util.find_spec(name):
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                found[name] = "in tree"
    return found


class Roof:
    """The program bench_roof, asked again and again; the best answer counts."""

    SECONDS = 0.02

    def __init__(self):
        program = PROGRAMS / "bench_roof"
        if not program.exists():
            raise SystemExit(f"{program} is missing; run `make build` first")
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def measure(self, what: str, threads: int) -> float:
        self.process.stdin.write(f"{what} {threads} {self.SECONDS}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()
