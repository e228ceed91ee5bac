# SPDX-License-Identifier: MIT
"""Values in and out: Python lists, NumPy arrays, DLPack, pickle, text. NumPy loads when used."""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING, Any

from . import _convert, _ops
from ._native import ffi, lib, made
from .errors import DeviceError, OutOfMemoryError, ShapeError, check, raise_last
from .types import DTYPE, device_handle, dtype_number, dtype_of

if TYPE_CHECKING:
    from .tensor import Tensor

# Type codes of the standard library's array and memoryview.
_CODES = {
    lib.TINYFIN_FLOAT32: "f",
    lib.TINYFIN_FLOAT64: "d",
    lib.TINYFIN_INT32: "i",
    lib.TINYFIN_INT64: "q",
    lib.TINYFIN_BOOL: "?",
    lib.TINYFIN_BFLOAT16: "H",  # its bits: neither has the type
}
_MAX_DIMS = 64
_F64 = lib.TINYFIN_FLOAT64


# --- in -------------------------------------------------------------------------------------


def _from_buffer(buffer: Any, shape: Any, number: int, device: Any) -> Any:
    handle = lib.tfpy_from_data(
        ffi.from_buffer(buffer), memoryview(buffer).nbytes, shape, len(shape), number, device
    )
    return handle or raise_last()


def handle_from(data: Any, dtype: Any, device: Any, otherwise: int) -> Any:
    """A new handle with a copy of data. otherwise: the dtype where none is asked for; 0 keeps
    the kind that data has."""
    number = dtype_number(dtype)
    target = device_handle(device)
    tensor_class = _convert._Tensor
    if isinstance(data, tensor_class):
        copy = _ops.cast(data, dtype_of(number)) if number else _ops.clone(data)
        copy = copy if device is None else _ops._to_device(copy, device)
        return lib.tfpy_detach(copy._h) or raise_last()
    if isinstance(data, (bool, int, float)):
        shape: tuple = ()
        values: list = [data]
    elif isinstance(data, (list, tuple, range)):
        if _holds_arrays(data):
            import numpy

            return _from_array(numpy.asarray(data), number, target, otherwise)
        values = []
        shape = _flatten(data, values, 0)
    elif hasattr(data, "__array__"):
        import numpy

        return _from_array(numpy.asarray(data), number, target, otherwise)
    elif hasattr(data, "__dlpack__"):
        lent = made(from_dlpack(data))
        return handle_from(lent, dtype_of(number or otherwise or lent.dtype.number), device, 0)
    else:
        raise TypeError(
            f"[Tensor] received {type(data).__name__}; expected a number, nested lists, an array "
            "or a Tensor"
        )
    number = number or otherwise or _kind_of(values)
    if number == lib.TINYFIN_BFLOAT16:
        return _cast(_from_buffer(_packed(values, _F64), shape, _F64, target), number)
    return _from_buffer(_packed(values, number), shape, number, target)


def _cast(handle: Any, number: int) -> Any:
    copy = _ops.cast(made(handle), dtype_of(number))
    return lib.tfpy_detach(copy._h) or raise_last()


def _holds_arrays(data: Any) -> bool:
    while isinstance(data, (list, tuple)) and data:
        data = data[0]
    return hasattr(data, "__array__") and not isinstance(data, (bool, int, float))


def _kind_of(values: list) -> int:
    if values and all(type(v) is bool for v in values):
        return lib.TINYFIN_BOOL
    if values and all(isinstance(v, int) for v in values):
        return lib.TINYFIN_INT64
    return lib.TINYFIN_FLOAT32


def _packed(values: list, number: int) -> Any:
    try:
        if number == lib.TINYFIN_BOOL:
            return bytes([1 if v else 0 for v in values])
        if number in (lib.TINYFIN_INT32, lib.TINYFIN_INT64):
            values = [int(v) for v in values]
        return array(_CODES[number], values)
    except (TypeError, ValueError):
        wrong = next((v for v in values if not isinstance(v, (bool, int, float))), None)
        raise TypeError(
            f"[Tensor] received {type(wrong).__name__} in a list; expected numbers"
        ) from None
    except OverflowError as error:
        raise ValueError(f"[Tensor] received a number too large for {dtype_of(number)}") from error


def _flatten(data: Any, out: list, depth: int) -> tuple:
    """Appends the numbers of nested lists to out and returns their shape."""
    if not isinstance(data, (list, tuple, range)):
        out.append(data)
        return ()
    if depth > _MAX_DIMS:
        raise ShapeError(f"[Tensor] received lists nested more than {_MAX_DIMS} deep")
    first = None
    for item in data:
        shape = _flatten(item, out, depth + 1)
        if first is None:
            first = shape
        elif shape != first:
            raise ShapeError(
                f"[Tensor] received nested lists of shapes {first} and {shape} side by side; "
                "expected equal ones"
            )
    return (len(data), *(first or ()))


def _from_array(source: Any, number: int, device: Any, otherwise: int) -> Any:
    import numpy

    if source.dtype.name == "bfloat16":
        handle = _from_buffer(
            numpy.ascontiguousarray(source).reshape(-1).view(numpy.uint8),
            source.shape,
            lib.TINYFIN_BFLOAT16,
            device,
        )
        number = number or otherwise
        return _cast(handle, number) if number else handle
    if source.dtype == object or source.dtype.kind not in "fiub":
        raise TypeError(
            f"[Tensor] received an array of {source.dtype}; expected numbers or booleans"
        )
    if not number:
        number = otherwise
    if not number:
        kind = source.dtype.kind
        name = source.dtype.name
        known = {m.value for m in DTYPE}
        number = dtype_number(
            name if name in known else {"f": "float32", "b": "bool"}.get(kind, "int64")
        )
    if number == lib.TINYFIN_BFLOAT16:
        return _cast(_from_array(source.astype(numpy.float64), _F64, device, 0), number)
    source = numpy.ascontiguousarray(source, dtype_of(number).value).reshape(source.shape)
    return _from_buffer(source.reshape(-1).view(numpy.uint8), source.shape, number, device)


def names_dtype(value: Any) -> bool:
    """Whether a value is a spelling of an element type (and not of a device)."""
    try:
        dtype_number(value)
    except TypeError:
        return False
    return not isinstance(value, int) or isinstance(value, type)


# --- out ------------------------------------------------------------------------------------


class _Memory:
    """Tells NumPy where a tensor's elements are; the array keeps this, and this the tensor."""

    __slots__ = ("__array_interface__", "tensor")

    def __init__(self, tensor: Tensor, data: Any):
        dtype = tensor.dtype
        code = {"f": "f", "d": "f", "i": "i", "q": "i", "?": "b", "H": "u"}[_CODES[dtype.number]]
        self.tensor = tensor
        self.__array_interface__ = {
            "version": 3,
            "shape": tensor.shape,
            "strides": tuple([s * dtype.itemsize for s in tensor.strides]),
            "typestr": f"|{code}1" if code == "b" else f"{_ORDER}{code}{dtype.itemsize}",
            "data": (int(ffi.cast("uintptr_t", data)), False),
        }


_ORDER = "<" if sys.byteorder == "little" else ">"


def numpy_view(x: Tensor) -> Any:
    """An array over the tensor's memory; a copy where the host cannot reach that."""
    import numpy

    dtype = _numpy_dtype(x.dtype)
    data = lib.tf_tensor_data(x._h)
    if not x.size:
        return numpy.empty(x.shape, dtype)
    if not data:
        out = numpy.empty(x.shape, dtype)
        raw = ffi.from_buffer(out.reshape(-1).view(numpy.uint8))
        check(lib.tf_tensor_read(x._h, raw, out.nbytes))
        return out
    array = numpy.asarray(_Memory(x, data))
    return array if array.dtype == dtype else array.view(dtype)


def _numpy_dtype(dtype: DTYPE) -> Any:
    if dtype is not DTYPE.BFLOAT16:
        return dtype.value
    try:
        from ml_dtypes import bfloat16
    except ImportError:
        raise TypeError(
            "[numpy] received a bfloat16 tensor, and NumPy has no such type; cast it to float32, "
            "or install ml_dtypes"
        ) from None
    return bfloat16


def row_major_bytes(x: Tensor) -> bytearray:
    data = bytearray(x.size * x.dtype.itemsize)
    check(lib.tf_tensor_read(x._h, ffi.from_buffer(data), len(data)))
    return data


def to_list(x: Tensor) -> Any:
    shape = x.shape
    if not x.size:
        return _empty_lists(shape)
    if x.dtype is DTYPE.BFLOAT16:
        x = _ops.cast(x.detach(), DTYPE.FLOAT32)
    view = memoryview(row_major_bytes(x))
    code = _CODES[x.dtype.number]
    return view.cast("B").cast(code, shape).tolist() if shape else view.cast(code)[0]


def _empty_lists(shape: tuple) -> list:
    return [_empty_lists(shape[1:]) for _ in range(shape[0])] if shape else []


def overwrite(x: Tensor, source: Tensor) -> None:
    """Copies source into x's memory, whatever autograd thinks of x."""
    _ops.copy_(x.detach(), source)


def cloned(handle: Any) -> Any:
    copy = _ops.clone(made(lib.tf_tensor_retain(handle)))
    return lib.tfpy_detach(copy._h) or raise_last()


def text_of(x: Tensor) -> str:
    """Tensor([[1., 2.]], requires_grad=True), long ones with an ellipsis."""
    notes = []
    if x.dtype is not DTYPE.FLOAT32:
        notes.append(f"dtype={x.dtype}")
    if not x.size and x.shape != (0,):
        notes.append(f"shape={x.shape}")
    if x.device != "cpu":
        notes.append(f'device="{x.device}"')
    if x.requires_grad:
        name = ffi.string(lib.tf_tensor_op_name(x._h)).decode()
        notes.append(f"op={name}" if name else "requires_grad=True")
    body = _text(x.detach())
    return f"{type(x).__name__}({', '.join([body, *notes])})"


_EDGE, _LIMIT = 3, 1000


def _text(x: Tensor) -> str:
    shape = x.shape
    shortened = x.size > _LIMIT

    def rows(values: Any, depth: int) -> Any:
        """Lists of texts; None stands for what is left out."""
        if depth == len(shape):
            return _number(values)
        out = [rows(v, depth + 1) for v in values]
        if shortened and shape[depth] > 2 * _EDGE:
            out.insert(_EDGE, None)
        return out

    part = x
    if shortened:
        for dim, size in enumerate(shape):
            if size > 2 * _EDGE:
                first = [slice(None)] * dim
                ends = [part[(*first, slice(0, _EDGE))], part[(*first, slice(-_EDGE, None))]]
                part = _ops.concat(ends, dim)
    table = rows(to_list(part), 0)
    if isinstance(table, str):
        return table
    width = max((len(t) for t in _leaves(table)), default=0)
    return _layout(table, width, len("Tensor(") + 1)


def _number(value: Any) -> str:
    if isinstance(value, float):
        text = f"{value:.4g}"
        return text if any(c in text for c in ".en") else text + "."
    return str(value)


def _leaves(table: Any) -> Any:
    for item in table:
        if isinstance(item, list):
            yield from _leaves(item)
        elif item is not None:
            yield item


def _layout(table: list, width: int, indent: int) -> str:
    if not any(isinstance(item, list) for item in table):
        texts = ["..." if t is None else t.rjust(width) for t in table]
        lines, line = [], ""
        for i, t in enumerate(texts):
            piece = t + (", " if i + 1 < len(texts) else "")
            if line and indent + len(line) + len(piece) > 78:
                lines.append(line.rstrip())
                line = ""
            line += piece
        return "[" + ("\n" + " " * indent).join([*lines, line]) + "]"
    parts = ["..." if t is None else _layout(t, width, indent + 1) for t in table]
    return "[" + (",\n" + " " * indent).join(parts) + "]"


# --- pickle ---------------------------------------------------------------------------------


def pickled(x: Tensor) -> tuple:
    state = (bytes(row_major_bytes(x)), x.shape, x.dtype.value, x.requires_grad and x.is_leaf)
    return _unpickled, (type(x), *state)


def _unpickled(kind: type, data: bytes, shape: tuple, dtype: str, requires_grad: bool) -> Tensor:
    x = object.__new__(kind)
    x._h = _from_buffer(data, shape, dtype_number(dtype), ffi.NULL)
    return x.requires_grad_() if requires_grad else x


# --- DLPack ---------------------------------------------------------------------------------

_CPU = 1
# PyCapsule keeps the pointers: these live as long as the module.
_NAMES = (b"dltensor", b"dltensor_versioned")
_USED = (b"used_dltensor", b"used_dltensor_versioned")
_capsules: dict[str, Any] = {}


def _capsule_functions() -> dict[str, Any]:
    """PyCapsule_* of the interpreter, through ctypes (loaded with the first exchange)."""
    if not _capsules:
        import ctypes

        api = ctypes.pythonapi
        prototype = ctypes.PYFUNCTYPE
        valid = prototype(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(
            ("PyCapsule_IsValid", api)
        )
        pointer = prototype(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
            ("PyCapsule_GetPointer", api)
        )

        def destroy(versioned: int) -> Any:
            name = _NAMES[versioned]

            @ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
            def destructor(capsule: int) -> None:
                # A consumer has renamed the capsule; then the memory is its to release.
                if valid(capsule, name):
                    lib.tfpy_drop_dlpack(ffi.cast("void *", pointer(capsule, name)), versioned)

            return destructor

        _capsules.update(
            new=prototype(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
                ("PyCapsule_New", api)
            ),
            valid=prototype(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(
                ("PyCapsule_IsValid", api)
            ),
            pointer=prototype(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
                ("PyCapsule_GetPointer", api)
            ),
            rename=prototype(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(
                ("PyCapsule_SetName", api)
            ),
            destructors=(destroy(0), destroy(1)),
            address=lambda f: ctypes.cast(f, ctypes.c_void_p),
        )
    return _capsules


def dlpack_device(x: Tensor) -> tuple:
    if not lib.tf_tensor_data(x._h) and x.size:
        raise DeviceError(f"[dlpack] received a tensor on {x.device}; expected one on the cpu")
    return (_CPU, 0)


def to_dlpack(
    x: Tensor,
    stream: Any = None,
    max_version: tuple | None = None,
    dl_device: tuple | None = None,
    copy: bool | None = None,
) -> Any:
    if x.requires_grad:
        raise BufferError(
            "[dlpack] received a tensor that requires a gradient, which the other library would "
            "lose; use .detach()"
        )
    if stream is not None or (dl_device is not None and tuple(dl_device) != dlpack_device(x)):
        raise BufferError("[dlpack] received another device or a stream; expected the cpu")
    if copy:
        x = _ops.clone(x)
    dlpack_device(x)
    versioned = int(max_version is not None and tuple(max_version) >= (1, 0))
    make = lib.tfpy_to_dlpack_versioned if versioned else lib.tfpy_to_dlpack
    managed = make(x._h)
    if not managed:
        raise OutOfMemoryError("[dlpack] out of memory")
    functions = _capsule_functions()
    return functions["new"](
        int(ffi.cast("uintptr_t", managed)),
        _NAMES[versioned],
        functions["address"](functions["destructors"][versioned]),
    )


def from_dlpack(source: Any) -> Any:
    """A new handle over memory that another library lends."""
    functions = _capsule_functions()
    if hasattr(source, "__dlpack__"):
        try:
            capsule = source.__dlpack__(max_version=(1, 0))
        except TypeError:  # from before the versioned protocol
            capsule = source.__dlpack__()
    else:
        capsule = source
    versioned = functions["valid"](capsule, _NAMES[1])
    name = _NAMES[versioned]
    if not functions["valid"](capsule, name):
        raise TypeError(
            f"[from_dlpack] received {type(source).__name__}; expected an object with __dlpack__"
        )
    managed = ffi.cast("void *", functions["pointer"](capsule, name))
    why = ffi.new("const char **")
    # From here on the memory is released by the engine, also when the call fails.
    handle = lib.tfpy_from_dlpack(managed, versioned, why)
    if why[0]:
        raise BufferError(
            f"[from_dlpack] received {ffi.string(why[0]).decode()}; expected numbers on the cpu"
        )
    functions["rename"](capsule, _USED[versioned])
    return handle or raise_last()
