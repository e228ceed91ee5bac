# SPDX-License-Identifier: MIT
"""Element types and devices, and every spelling of them."""

from __future__ import annotations

import sys
from enum import Enum
from typing import Any

from ._native import ffi, lib
from .errors import BackendError, DeviceError, DTypeError, last_message


class DTYPE(str, Enum):
    """Element types. Each equals its name and the NumPy dtype of that name."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"
    INT32 = "int32"
    INT64 = "int64"
    BOOL = "bool"
    BFLOAT16 = "bfloat16"

    # number: the constant of the C ABI; itemsize: bytes per element.
    number: int
    itemsize: int
    is_floating_point: bool

    def __eq__(self, other: Any) -> bool:
        if self is other:
            return True
        if isinstance(other, str):
            return str.__eq__(self, other)
        try:
            return other is not None and dtype_number(other) == self.number
        except TypeError:
            return False

    def __ne__(self, other: Any) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return str.__hash__(self)

    def __str__(self) -> str:
        return self.value

    def __repr__(self) -> str:
        return f"DTYPE.{self.name}"

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)


_BY_NUMBER: dict[int, DTYPE] = {}
for _member in DTYPE:
    _member.number = getattr(lib, f"TINYFIN_{_member.name}")
    _member.itemsize = lib.tf_dtype_size(_member.number)
    _member.is_floating_point = "float" in _member.value
    _BY_NUMBER[_member.number] = _member

_SPELLINGS: dict[Any, int] = {m.value: m.number for m in DTYPE}
_SPELLINGS.update(
    {
        "float": DTYPE.FLOAT32.number,
        "double": DTYPE.FLOAT64.number,
        "int": DTYPE.INT64.number,
        "long": DTYPE.INT64.number,
        "bool_": DTYPE.BOOL.number,
        float: DTYPE.FLOAT32.number,
        int: DTYPE.INT64.number,
        bool: DTYPE.BOOL.number,
    }
)


def dtype_number(value: Any) -> int:
    """The C ABI's number of an element type: a DTYPE, a name, a Python, NumPy or torch type."""
    if type(value) is DTYPE:
        return value.number
    if value is None:
        return 0
    try:
        number = _SPELLINGS.get(value)
    except TypeError:  # not hashable
        number = None
    if number is None and not isinstance(value, str):
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, (numpy.dtype, type)):
            try:
                number = _SPELLINGS.get(numpy.dtype(value).name)
            except TypeError:
                number = None
        elif type(value).__module__ == "torch":
            number = _SPELLINGS.get(str(value).split(".")[-1])
    if number is None:
        raise DTypeError(
            f"[dtype] received {value!r}; expected one of {', '.join(m.value for m in DTYPE)}"
        )
    return number


def dtype_of(number: int) -> DTYPE:
    return _BY_NUMBER[number]


class DEVICE(str, Enum):
    """Kinds of devices. Each equals its name."""

    CPU = "cpu"
    CUDA = "cuda"

    __hash__ = str.__hash__

    def __str__(self) -> str:
        return self.value

    def __repr__(self) -> str:
        return f"DEVICE.{self.name}"


def _full(name: str) -> str:
    return name if ":" in name else name + ":0"


class Device(str):
    """The name of a device; "cpu" and "cpu:0" are the same one."""

    __slots__ = ()

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, str):
            return NotImplemented
        return _full(str(self)) == _full(str(other))

    def __ne__(self, other: Any) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __hash__(self) -> int:
        return hash(_full(str(self)))

    @property
    def type(self) -> str:
        return str(self).split(":")[0]

    @property
    def index(self) -> int:
        return int(_full(str(self)).split(":")[1])


_HANDLES: dict[str, Any] = {}
_BY_INDEX = ("cpu", "cuda")


def device_handle(value: Any) -> Any:
    """The handle of a device: a Device, DEVICE, name, torch device, or 0 (cpu) and 1 (cuda)."""
    if value is None:
        return ffi.NULL
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(_BY_INDEX):
        value = _BY_INDEX[value]
    elif not isinstance(value, str) and type(value).__module__ == "torch":
        value = str(value)
    if not isinstance(value, str):
        raise DeviceError(f'[device] received {value!r}; expected a name such as "cpu" or "cuda:1"')
    name = str(value)
    handle = _HANDLES.get(name)
    if handle is None:
        handle = lib.tf_device_get(name.encode())
        if not handle:
            raise BackendError(last_message())
        _HANDLES[name] = handle
    return handle


_NAMES: dict[Any, Device] = {}


def device_of(handle: Any) -> Device:
    name = _NAMES.get(handle)
    if name is None:
        name = _NAMES[handle] = Device(ffi.string(lib.tf_device_name(handle)).decode())
    return name
