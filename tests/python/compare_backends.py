# SPDX-License-Identifier: MIT
"""Compares a backend with another one on every sample: op by op, dtype by dtype, layout by layout.

    python tests/python/compare_backends.py test --backend cuda     # values, against ref
    python tests/python/compare_backends.py grad --backend cuda     # gradients
    python tests/python/compare_backends.py perf --backend cuda     # microseconds per call
    python tests/python/compare_backends.py support                 # the table of docs/backends.md

ref is the definition of every primitive, so it is what others are compared with.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time

import opcheck
from tinyfin._native import ffi, lib
from tinyfin.types import dtype_number

# The functions of tinyfin/backend.h, which the Python package does not bind.
engine = ctypes.CDLL(f"libtinyfin.so.{lib.tf_abi_version()}")
engine.tf_primitive_at.argtypes = [ctypes.c_int64]
engine.tf_primitive_at.restype = ctypes.c_char_p


def devices(backend: str) -> int:
    """How many devices the backend has; 0 where it does not load."""
    out = ffi.new("int64_t *")
    return out[0] if lib.tf_device_count(backend.encode(), out) == 0 else 0


def compare_values(sample: opcheck.Sample, device: str, against: str) -> int:
    done = 0
    for dtype in sample.dtype_names:
        for layout in ("plain", *(opcheck.LAYOUTS if sample.layouts else ())):
            s = opcheck.with_equal_rows(sample) if layout == "broadcast" else sample
            s = opcheck.cast(s, dtype)
            with opcheck.default_device(against):
                want = opcheck.forward(s, layout)
            with opcheck.default_device(device):
                got = opcheck.forward(s, layout)
            for k, (g, w) in enumerate(zip(got, want)):
                opcheck.assert_close(g, w, s, "float64" if dtype == "float64" else "float32",
                                     f"{sample.id} {dtype} {layout}, result {k}")  # fmt: skip
            done += 1
    return done


def compare_gradients(sample: opcheck.Sample, device: str, against: str) -> int:
    keys = opcheck.keys_to_check(sample)
    done = 0
    for dtype in ("float32", "float64") if keys else ():
        s = opcheck.cast(sample, dtype)

        def found(name: str, s: opcheck.Sample = s) -> list:
            with opcheck.default_device(name):
                graph = opcheck.record(s, keys)
                graph.weights = [opcheck.function("cast")(w, r.dtype)
                                 for w, r in zip(graph.weights, graph.results)]  # fmt: skip
                return opcheck.arrays_of(opcheck.gradients(graph), graph.inputs)

        for k, (g, w) in enumerate(zip(found(device), found(against))):
            opcheck.assert_close(g, w, s, dtype, f"{sample.id} {dtype}, gradient {k}")
        done += 1
    return done


def microseconds(sample: opcheck.Sample, device: str) -> float:
    with opcheck.default_device(device):
        s = opcheck.cast(sample, sample.dtype_names[0])
        args, kwargs = opcheck.map_arrays(lambda key, a: opcheck.tensor(a), s)
        times = []
        for _ in range(20):
            start = time.perf_counter()
            opcheck.call(s, args, kwargs)
            lib.tf_device_synchronize(ffi.NULL)
            times.append(time.perf_counter() - start)
    return min(times) * 1e6


def primitives() -> list[str]:
    names: list[str] = []
    while name := engine.tf_primitive_at(len(names)):
        names.append(name.decode())
    return sorted(names)


DTYPES = ("float32", "float64", "int32", "int64", "bool", "bfloat16")


def supported(backend: str, primitive: str) -> list[str]:
    out = ctypes.c_int32()
    found = []
    for dtype in DTYPES:
        status = engine.tf_backend_supports(
            backend.encode(), primitive.encode(), dtype_number(dtype), ctypes.byref(out)
        )
        if status == 0 and out.value:
            found.append(dtype)
    return found


def summary(dtypes: list[str]) -> str:
    if not dtypes:
        return "–"
    if "bfloat16" in dtypes and len(dtypes) > 1:
        if dtypes == list(DTYPES):
            return "all"
        return summary([d for d in dtypes if d != "bfloat16"]) + ", bfloat16"
    for names, text in (
        (DTYPES[:5], "all but bfloat16"),
        (DTYPES[:4], "numbers"),
        (DTYPES[:2], "floats"),
        (DTYPES[2:4], "integers"),
        (DTYPES[2:5], "integers, bool"),
    ):
        if tuple(dtypes) == names:
            return text
    return ", ".join(dtypes)


def print_support(backends: list[str]) -> None:
    print("| primitive | " + " | ".join(backends) + " |")
    print("|---|" + "---|" * len(backends))
    for name in primitives():
        cells = [supported(b, name) for b in backends]
        if any(cells):
            print(f"| `{name}` | " + " | ".join(summary(c) for c in cells) + " |")


def run(mode: str, backend: str, against: str, only: str) -> int:
    """Number of samples that differ."""
    samples, broken = opcheck.all_samples()
    for name, error in broken.items():
        print(f"samples/{name} does not load: {error}")
    failures, checks = len(broken), 0
    for s in samples:
        if only not in s.id:
            continue
        if mode == "perf":
            print(f"{s.id:40} {microseconds(s, backend):10.1f} {microseconds(s, against):10.1f}")
            continue
        try:
            compare = compare_values if mode == "test" else compare_gradients
            checks += compare(s, backend, against)
        except Exception as error:
            failures += 1
            text = " ".join(str(error).split())[:300]
            print(f"FAILED {s.id}: {type(error).__name__}: {text}")
    if mode != "perf":
        print(f"{backend} against {against}: {checks} comparisons, {failures} samples differ")
    return failures


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=("test", "grad", "perf", "support"))
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--against", default="ref")
    parser.add_argument("--only", default="", help="part of a sample's name")
    options = parser.parse_args(arguments)
    if options.mode == "support":
        names = ["cpu", "ref"] + [n for n in ("cuda",) if devices(n)]
        print_support(names)
        return 0
    for name in (options.backend, options.against):
        if not devices(name):
            print(f"skipped: no {name} device")
            return 0
    return 1 if run(options.mode, options.backend, options.against, options.only) else 0


if __name__ == "__main__":
    sys.exit(main())
