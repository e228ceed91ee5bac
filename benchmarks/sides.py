# SPDX-License-Identifier: MIT
"""The sides of a comparison: which library, run by which interpreter, with which settings."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import ROOT

# The first three can halve the speed of whoever uses OpenBLAS, or hold it to one thread; the last
# makes every start compile the Python sources again, which an installed package never does.
UNSET = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "OPENBLAS_NUM_THREADS",
    "PYTHONDONTWRITEBYTECODE",
)
# glibc gives large blocks back to the kernel on every free, and the pages cost more than the work.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
    "MALLOC_TOP_PAD_": str(1 << 28),
}


@dataclass(frozen=True)
class Side:
    name: str
    library: str
    tuned: bool = False  # MKL told to use all instructions, malloc to keep memory
    compiled: bool = False  # torch.compile
    asked: bool = False  # only where it is asked for


SIDES = {
    s.name: s
    for s in (
        Side("tinyfin", "tinyfin"),
        Side("torch", "torch"),
        Side("torch-tuned", "torch", tuned=True),
        Side("torch-compile", "torch", tuned=True, compiled=True, asked=True),
        Side("jax", "jax"),
        Side("onnxruntime", "onnxruntime"),
        Side("numpy", "numpy"),
    )
}


@dataclass(frozen=True)
class Peers:
    """Where the peers are: an interpreter, and the library that tunes PyTorch (or None)."""

    python: str
    shim: Path | None

    def libraries(self) -> set[str]:
        names = {s.library for s in SIDES.values()} - {"tinyfin"}
        if self.python == sys.executable:
            return {n for n in names if importlib.util.find_spec(n)}
        program = (
            "import importlib.util, sys\n"
            "print(*(n for n in sys.argv[1:] if importlib.util.find_spec(n)))"
        )
        run = subprocess.run(
            [self.python, "-c", program, *sorted(names)], capture_output=True, text=True, check=True
        )
        return set(run.stdout.split())

    def sides(self) -> list[str]:
        """Of all there is, those that a run takes when none are named."""
        found = self.libraries() | {"tinyfin"}
        return [
            s.name
            for s in SIDES.values()
            if s.library in found and not s.asked and (self.shim or not s.tuned)
        ]


def processors(threads: int) -> list[int]:
    """The last ones: the first serves the interrupts."""
    return sorted(os.sched_getaffinity(0))[-threads:]


def settings(side: Side, threads: int, shim: Path | None) -> dict[str, str]:
    """What a side's environment has beyond the one it is started from."""
    env = {"OMP_NUM_THREADS": str(threads)}
    if side.library == "tinyfin":
        env["TINYFIN_THREADS"] = str(threads)
    if side.library == "torch":
        env["OMP_PLACES"] = ",".join(f"{{{p}}}" for p in processors(threads))
        env["OMP_PROC_BIND"] = "close"
    if side.library == "jax":
        env["JAX_PLATFORMS"] = "cpu"
    if side.library not in ("tinyfin", "torch") or side.tuned:
        env |= KEEP_MEMORY
    if side.tuned:
        env["LD_PRELOAD"] = str(shim)
    if side.compiled:
        env["TORCHINDUCTOR_CACHE_DIR"] = str(ROOT / "build" / "peers" / "inductor")
    return env


def recorded(env: dict[str, str]) -> dict[str, str]:
    """Settings as results keep them: of a file its name, wherever it lies here."""
    return {k: Path(v).name if v.startswith("/") else v for k, v in env.items()}


class Worker:
    """A process that prepares and takes samples of one side when told to."""

    def __init__(self, workload: str, side: str, threads: int, peers: Peers):
        spec = SIDES[side]
        env = {k: v for k, v in os.environ.items() if k not in UNSET}
        env |= settings(spec, threads, peers.shim)
        if spec.library != "tinyfin":
            env.pop("PYTHONPATH", None)
        mask = processors(threads)
        self.process = subprocess.Popen(
            [
                sys.executable if spec.library == "tinyfin" else peers.python,
                "-m", "benchmarks.worker", workload, side, str(threads),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            cwd=ROOT,
            preexec_fn=lambda: os.sched_setaffinity(0, mask),
        )  # fmt: skip

    def ask(self, **command) -> dict:
        try:
            self.process.stdin.write(json.dumps(command) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": "the worker ended"}

    def close(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()
