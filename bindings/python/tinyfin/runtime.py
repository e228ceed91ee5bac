# SPDX-License-Identifier: MIT
"""The process and its devices: threads, random numbers, memory, the default device."""

from __future__ import annotations

from typing import Any

from . import _convert
from ._convert import device_handle
from ._native import ffi, lib
from .errors import BackendError, check, last_message
from .types import Device, device_of


def manual_seed(seed: int) -> None:
    """Restarts the generator: the same seed gives the same numbers for any thread count."""
    seed = _convert.integer(seed, "seed", "manual_seed")
    check(lib.tf_manual_seed(seed & (1 << 64) - 1))


def get_rng_state() -> tuple[int, int]:
    seed, offset = ffi.new("uint64_t *"), ffi.new("uint64_t *")
    check(lib.tf_rng_get(seed, offset))
    return seed[0], offset[0]


def set_rng_state(state: tuple[int, int]) -> None:
    check(lib.tf_rng_set(*state))


def num_threads() -> int:
    return lib.tf_num_threads()


def set_num_threads(n: int) -> None:
    """Threads that ops may use together. Results do not depend on it."""
    check(lib.tf_set_num_threads(_convert.integer(n, "n", "set_num_threads")))


def backend_name() -> str:
    """The backend that new tensors of this thread go to."""
    device = lib.tf_default_device()
    if not device:
        raise BackendError(last_message())
    return device_of(device).type


def backend_set(name: str) -> bool:
    """Sends new tensors of this thread to a backend; False where it does not load."""
    device = lib.tf_device_get(str(name).encode())
    if not device:
        return False
    check(lib.tf_set_default_device(device))
    return True


def default_device() -> Device:
    backend_name()
    return device_of(lib.tf_default_device())


def synchronize(device: Any = None) -> None:
    """Waits until the work queued on a device is done."""
    check(lib.tf_device_synchronize(device_handle(device)))


def memory_stats(device: Any = None) -> dict[str, int]:
    """Bytes in tensors: now, at most so far; and held from the system."""
    values = [ffi.new("int64_t *") for _ in range(3)]
    check(lib.tf_memory_stats(device_handle(device), *values))
    return dict(zip(("current", "peak", "reserved"), (v[0] for v in values)))


def reset_peak_memory(device: Any = None) -> None:
    check(lib.tf_memory_reset_peak(device_handle(device)))


def set_memory_cap(limit: int, device: Any = None) -> None:
    """At most so many bytes in tensors (0: no limit); past it OutOfMemoryError."""
    check(lib.tf_memory_set_cap(device_handle(device), limit))


def cpu_isa() -> str:
    """The cpu kernels' instruction set: "avx512_bf16", "avx512", "avx2", "generic" or "neon"."""
    return ffi.string(lib.tf_cpu_isa()).decode()


__all__ = [
    "backend_name",
    "backend_set",
    "cpu_isa",
    "default_device",
    "get_rng_state",
    "manual_seed",
    "memory_stats",
    "num_threads",
    "reset_peak_memory",
    "set_memory_cap",
    "set_num_threads",
    "set_rng_state",
    "synchronize",
]
