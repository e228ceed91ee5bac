# SPDX-License-Identifier: MIT
"""Where and with what a measurement was made, and the machine's roof."""

from __future__ import annotations

import json
import os
import platform
import subprocess
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


def instructions() -> list[str]:
    """Of those that kernels are written for, the ones this processor has."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split("flags", 2)[1].split("\n")[0].split())
    except (OSError, IndexError):
        return []
    return sorted(flags & {"avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile"})


def scheduling() -> str:
    """The policy that the workers inherit."""
    try:
        policy = os.sched_getscheduler(0)
    except (AttributeError, OSError):
        return "usual"
    return {os.SCHED_FIFO: "real-time", os.SCHED_RR: "real-time"}.get(policy, "usual")


def last_cache() -> int:
    """Bytes of the largest cache; 32 MiB where the system does not say."""
    sizes = []
    for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = path.read_text().strip()
        sizes.append(int(text[:-1]) << {"K": 10, "M": 20}[text[-1]])
    return max(sizes, default=32 << 20)


def commit() -> str:
    """Of this tree, "-dirty" where it differs in more than results and pages."""

    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)

    name = git("describe", "--always").stdout.strip() or "unknown"
    changed = git("diff", "--quiet", "HEAD", "--", ".", ":!benchmarks/results", ":!docs").returncode
    return name + "-dirty" * (changed == 1)


PROGRAM = """
import json, platform
from importlib import metadata
found = {"python": platform.python_version()}
for name in ("torch", "jax", "jaxlib", "optax", "onnxruntime", "numpy"):
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def versions(python: str) -> dict[str, str]:
    """Of an interpreter and of the peers it has."""
    run = subprocess.run([python, "-c", PROGRAM], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


class Roof:
    """The program bench_roof, asked again and again. The best answer of a run counts: one disturbed
    moment would make a case look as if it passed the roof."""

    SECONDS = 0.02

    def __init__(self):
        program = PROGRAMS / "bench_roof"
        if not program.exists():
            raise SystemExit(f"{program} is missing; run `make build` first")
        self.best: dict[tuple[str, int], float] = {}
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        # Results go through the last cache too, beside what else is there.
        self.in_cache = 0.75 * last_cache()
        # Without dot products of bfloat16 it is multiplied as float32.
        self.dots = "avx512_bf16" in instructions()

    def kind(self, case) -> str | None:
        """Which roof bounds a case."""
        if case.flops:
            return "bf16" if case.dtype == "bfloat16" and self.dots else "flops"
        if case.bytes:
            return "cache" if case.bytes <= self.in_cache else "memory"
        return None

    def measure(self, what: str, threads: int) -> float:
        self.process.stdin.write(f"{what} {threads} {self.SECONDS}\n")
        self.process.stdin.flush()
        answer = float(self.process.stdout.readline())
        self.best[what, threads] = max(answer, self.best.get((what, threads), 0.0))
        return self.best[what, threads]

    def all(self, threads: int) -> dict[str, float]:
        return {
            what: max(self.measure(what, threads) for _ in range(5))
            for what in ("flops", "bf16", "cache", "memory")
        }

    def close(self):
        self.process.stdin.close()
        self.process.wait()
