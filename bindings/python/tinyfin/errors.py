# SPDX-License-Identifier: MIT
"""Exceptions: the engine's statuses, each as the builtin class its meaning has in Python.

`except ValueError` and `except tinyfin.Error` both catch a ShapeError.
"""

from __future__ import annotations

import threading
from typing import NoReturn

from ._native import ffi, lib


class Error(Exception):
    """Every failure that tinyfin reports."""


class ArgumentError(Error, ValueError):
    """A value outside its domain."""


class ShapeError(Error, ValueError):
    """Sizes that do not fit together."""


class DTypeError(Error, TypeError):
    """An element type the call does not take."""


class OutOfRangeError(Error, IndexError):
    """An index outside its range."""


class AxisError(Error, ValueError, IndexError):
    """A dimension number outside its range."""


class UnknownNameError(Error, ValueError):
    """An unknown option, op or parameter."""


class StateError(Error, RuntimeError):
    """The right call at the wrong moment."""


class GraphError(StateError):
    """Autograd: a freed graph, a value that was modified."""


class ForkError(StateError):
    """Used in a child process after fork()."""


class OutOfMemoryError(Error, MemoryError):
    """Out of memory, or past the byte cap."""


class BackendError(Error, RuntimeError):
    """A backend is missing or broken."""


class DeviceError(Error, ValueError):
    """Tensors on different or unknown devices."""


class FileError(Error, OSError):
    """The operating system refused a file."""


class MissingFileError(FileError, FileNotFoundError):
    """There is no such file."""


class FormatError(Error, ValueError):
    """A file is not what it should be."""


class CheckpointError(FormatError):
    """A checkpoint is damaged, or does not fit what is loaded from it."""


class UnsupportedError(Error, NotImplementedError):
    """No kernel for this op, element type and device."""


class CallbackError(Error, RuntimeError):
    """A callback failed."""


class InternalError(Error, RuntimeError):
    """A defect of tinyfin."""


_CLASSES = {
    lib.TINYFIN_ERROR_ARGUMENT: ArgumentError,
    lib.TINYFIN_ERROR_SHAPE: ShapeError,
    lib.TINYFIN_ERROR_DTYPE: DTypeError,
    lib.TINYFIN_ERROR_INDEX: OutOfRangeError,
    lib.TINYFIN_ERROR_AXIS: AxisError,
    lib.TINYFIN_ERROR_NAME: UnknownNameError,
    lib.TINYFIN_ERROR_STATE: StateError,
    lib.TINYFIN_ERROR_GRAPH: GraphError,
    lib.TINYFIN_ERROR_FORK: ForkError,
    lib.TINYFIN_ERROR_MEMORY: OutOfMemoryError,
    lib.TINYFIN_ERROR_BACKEND: BackendError,
    lib.TINYFIN_ERROR_DEVICE: DeviceError,
    lib.TINYFIN_ERROR_IO: FileError,
    lib.TINYFIN_ERROR_FORMAT: FormatError,
    lib.TINYFIN_ERROR_UNSUPPORTED: UnsupportedError,
    lib.TINYFIN_ERROR_CALLBACK: CallbackError,
    lib.TINYFIN_ERROR_INTERNAL: InternalError,
}

# The exception that a Python callback raised, kept until the engine hands back its status.
_pending = threading.local()


def keep_pending(error: BaseException) -> None:
    _pending.error = error


def last_message() -> str:
    return ffi.string(lib.tf_last_error()).decode("utf-8", "replace")


def raise_status(status: int) -> NoReturn:
    """Raises what the status of a call that just failed on this thread stands for."""
    if status == lib.TINYFIN_ERROR_CALLBACK:
        error, _pending.error = getattr(_pending, "error", None), None
        if error is not None:
            raise error
    raise _CLASSES.get(status, InternalError)(last_message())


def raise_last() -> NoReturn:
    """Raises for the last shim that failed on this thread."""
    raise_status(lib.tfpy_status())


def check(status: int) -> None:
    """For calls that return a status."""
    if status:
        raise_status(status)


__all__ = [n for n, v in list(globals().items()) if isinstance(v, type) and issubclass(v, Error)]
