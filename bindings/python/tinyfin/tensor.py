# SPDX-License-Identifier: MIT
"""Tensor: a handle of the engine's tensor. Values, gradients and ops all live there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable

from . import _convert, _ops, autograd, interchange
from ._convert import NULL, DeviceLike, DTypeLike, TensorLike, device_handle
from ._native import Handle, bind, ffi, lib, made
from ._ops import TensorOps
from .errors import GraphError, check, raise_last
from .indexing import getitem, setitem
from .types import DTYPE, Device, device_of, dtype_number, dtype_of

_shape = lib.tf_tensor_shape
_ndim = lib.tf_tensor_ndim
_dtype = lib.tf_tensor_dtype
_unpack = ffi.unpack
_item_f64 = lib.tfpy_item_f64
_F32, _F64, _BOOL = lib.TINYFIN_FLOAT32, lib.TINYFIN_FLOAT64, lib.TINYFIN_BOOL
_BF16 = lib.TINYFIN_BFLOAT16
_new = object.__new__


class Tensor(TensorOps):
    """An n-dimensional array that remembers how it was computed.

    data: a number, nested lists, a NumPy array, anything with `__array__` or `__dlpack__`, or a
    Tensor (copied). Becomes float32 unless `dtype` is given; a Tensor keeps its own dtype. A bool
    in second place is `requires_grad`.
    """

    __slots__ = ()
    # NumPy leaves `array + tensor` to Tensor.__radd__.
    __array_priority__ = 1000

    def __new__(
        cls,
        data: TensorLike,
        dtype: DTypeLike | None = None,
        device: DeviceLike | None = None,
        requires_grad: bool = False,
    ) -> Tensor:
        if isinstance(dtype, bool):
            dtype, requires_grad = None, dtype
        h = interchange.handle_from(data, dtype, device, lib.TINYFIN_FLOAT32)
        self = _new(cls)
        self._h = h
        if requires_grad:
            check(lib.tf_tensor_set_requires_grad(h, 1))
        return self

    @classmethod
    def _of_kind(cls, data: Any) -> Tensor:
        """Like the constructor, but integers and bools stay what they are."""
        return made(interchange.handle_from(data, None, None, 0))

    # --- making ---------------------------------------------------------------------------

    @staticmethod
    def new(shape: Any, requires_grad: bool = False) -> Tensor:
        """Zeros, float32."""
        made = _ops._zeros(shape)
        return made.requires_grad_() if requires_grad else made

    @classmethod
    def from_numpy(
        cls,
        array: Any,
        requires_grad: bool = False,
        dtype: DTypeLike | None = None,
        device: DeviceLike | None = None,
    ) -> Tensor:
        """A copy of an array, in its own dtype if that is one of DTYPE."""
        if not hasattr(array, "__array__"):
            raise TypeError(f"[from_numpy] received {type(array).__name__}; expected a NumPy array")
        t = made(interchange.handle_from(array, dtype, device, 0))
        return t.requires_grad_() if requires_grad else t

    # --- asking ---------------------------------------------------------------------------

    @property
    def shape(self) -> tuple:
        h = self._h
        return (*_unpack(_shape(h), _ndim(h)),)

    @property
    def ndim(self) -> int:
        return _ndim(self._h)

    @property
    def size(self) -> int:
        """Number of elements."""
        return lib.tf_tensor_numel(self._h)

    @property
    def strides(self) -> tuple:
        """Distance of neighbours along each dimension, in elements."""
        return tuple(_unpack(lib.tf_tensor_strides(self._h), _ndim(self._h)))

    @property
    def dtype(self) -> DTYPE:
        return dtype_of(_dtype(self._h))

    @property
    def device(self) -> Device:
        return device_of(lib.tf_tensor_device(self._h))

    @property
    def requires_grad(self) -> bool:
        return lib.tf_tensor_requires_grad(self._h) == 1

    @requires_grad.setter
    def requires_grad(self, on: bool) -> None:
        self.requires_grad_(on)

    @property
    def is_leaf(self) -> bool:
        return lib.tf_tensor_is_leaf(self._h) == 1

    @property
    def grad(self) -> Tensor | None:
        return autograd.grad_of(self)

    @grad.setter
    def grad(self, value: TensorLike | None) -> None:
        if value is not None:
            value = _convert.tensor(value, "grad", "grad")
        check(lib.tf_tensor_set_grad(self._h, NULL if value is None else value._h))

    def is_contiguous(self) -> bool:
        return lib.tf_tensor_is_contiguous(self._h) == 1

    def is_scalar(self) -> bool:
        """Whether this stands for a Python number and adapts to the other operand."""
        return lib.tf_tensor_is_scalar(self._h) == 1

    def get_device(self) -> Device:
        return self.device

    def get_dtype(self) -> DTYPE:
        return self.dtype

    def __len__(self) -> int:
        if not _ndim(self._h):
            raise TypeError("[len] received a tensor without dimensions; expected at least one")
        return _shape(self._h)[0]

    # --- to Python ------------------------------------------------------------------------

    def item(self) -> Any:
        """The only element as a Python number."""
        h = self._h
        number = _dtype(h)
        if number == _F32 or number == _F64 or number == _BF16:
            value = _item_f64(h)
            if value == -1.0 and lib.tfpy_status():
                raise_last()
            return value
        value = lib.tfpy_item_i64(h)
        if value == -1 and lib.tfpy_status():
            raise_last()
        return value == 1 if number == _BOOL else value

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return interchange.to_list(self)

    def numpy(self) -> Any:
        """A NumPy array over the same memory (a copy where that is not on the host)."""
        if self.requires_grad:
            raise GraphError(
                "[numpy] received a tensor that requires a gradient, which an array would lose; "
                "use .detach().numpy(), .to_numpy() or .data"
            )
        return interchange.numpy_view(self)

    def numpy_view(self) -> Any:
        """A writable NumPy array over the tensor's memory."""
        return interchange.numpy_view(self)

    def to_numpy(self) -> Any:
        """A NumPy array of its own with the values."""
        return interchange.numpy_view(self).copy()

    def grad_numpy(self) -> Any:
        """The gradient as a NumPy array, or None."""
        grad = self.grad
        return None if grad is None else interchange.numpy_view(grad)

    @property
    def data(self) -> Any:
        """A writable NumPy array over the tensor's memory. Assigning copies into it."""
        return interchange.numpy_view(self)

    @data.setter
    def data(self, value: TensorLike) -> None:
        interchange.overwrite(self, _convert.tensor(value, "data", "data"))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        array = interchange.numpy_view(self)
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, **options: Any) -> Any:
        return interchange.to_dlpack(self, **options)

    def __dlpack_device__(self) -> tuple:
        return interchange.dlpack_device(self)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.is_floating_point:
            raise TypeError(f"[index] received {self.dtype}; expected an integer tensor")
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self.size == 1 else format(repr(self), spec)

    def __repr__(self) -> str:
        return interchange.text_of(self)

    __hash__ = object.__hash__

    def __reduce__(self) -> tuple:
        return interchange.pickled(self)

    def __copy__(self) -> Tensor:
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict) -> Tensor:
        if not self.is_leaf:
            raise GraphError(
                "[deepcopy] received a tensor that an op made; expected a leaf; "
                "use .detach() or .clone()"
            )
        copy = _new(type(self))
        copy._h = interchange.cloned(self._h)
        if self.requires_grad:
            copy.requires_grad_()
            copy.grad = None if self.grad is None else self.grad.clone()
        memo[id(self)] = copy
        return copy

    # --- indexing and views ----------------------------------------------------------------

    # x[…] and T are Handle's, as these are: in TensorOps they are functions of Python.
    reshape, permute, transpose = Handle.reshape, Handle.permute, Handle.transpose
    view = reshape_view = Handle.reshape_view
    __setitem__ = setitem

    # --- dtypes and devices ---------------------------------------------------------------

    def _cast(self, number: int, inplace: bool) -> Tensor:
        if not inplace:
            return self if _dtype(self._h) == number else _ops.cast(self, dtype_of(number))
        return self.set_dtype(dtype_of(number))

    def float(self, inplace: bool = False) -> Tensor:
        return self._cast(lib.TINYFIN_FLOAT32, inplace)

    def double(self, inplace: bool = False) -> Tensor:
        return self._cast(lib.TINYFIN_FLOAT64, inplace)

    def bfloat16(self, inplace: bool = False) -> Tensor:
        return self._cast(_BF16, inplace)

    def int(self, inplace: bool = False) -> Tensor:
        return self._cast(lib.TINYFIN_INT32, inplace)

    def long(self, inplace: bool = False) -> Tensor:
        return self._cast(lib.TINYFIN_INT64, inplace)

    def bool(self, inplace: bool = False) -> Tensor:
        return self._cast(lib.TINYFIN_BOOL, inplace)

    def astype(self, dtype: DTypeLike) -> Tensor:
        return self._cast(dtype_number(dtype), False)

    def set_dtype(self, dtype: DTypeLike) -> Tensor:
        """Changes the dtype of this very Tensor object; it becomes a leaf."""
        number = dtype_number(dtype)
        if _dtype(self._h) != number:
            self._replace(_ops.cast(self.detach(), dtype_of(number)))
        return self

    def to(self, target: Any = None, inplace: bool = True, **named: Any) -> Tensor:
        """Moves to a device (in place unless told otherwise), or casts to a dtype (a new Tensor).

        `to("cuda")`, `to(device="cuda")`, `to(DTYPE.FLOAT64)`, `to(dtype="float64")`.
        """
        device, dtype = named.pop("device", None), named.pop("dtype", None)
        if named:
            raise TypeError(f"[to] received {sorted(named)}; expected device, dtype or inplace")
        if target is not None:
            if interchange.names_dtype(target):
                dtype = target
            else:
                device = target
        result = self
        if device is not None:
            result = self.set_device(device) if inplace else self.to_device(device)
        return result if dtype is None else result._cast(dtype_number(dtype), False)

    def cpu(self, inplace: bool = True) -> Tensor:
        return self.to("cpu", inplace)

    def cuda(self, inplace: bool = True) -> Tensor:
        return self.to("cuda", inplace)

    def to_device(self, device: DeviceLike) -> Tensor:
        """A tensor on the device: itself where it is there already."""
        return _ops._to_device(self, device)

    def set_device(self, device: DeviceLike) -> Tensor:
        """Moves the memory of this very Tensor object."""
        if lib.tf_tensor_device(self._h) != device_handle(device):
            self._replace(_ops._to_device(self.detach(), device))
        return self

    def _replace(self, other: Tensor) -> None:
        if not self.is_leaf:
            raise GraphError(
                "[to] received a tensor that an op made; expected a leaf to change in place; "
                "use inplace=False"
            )
        wanted = self.requires_grad and other.dtype.is_floating_point
        self._h, other._h = other._h, self._h
        if wanted:
            self.requires_grad_()

    # --- graph ----------------------------------------------------------------------------

    def backward(
        self,
        grad: TensorLike | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        *,
        upstream: TensorLike | None = None,
    ) -> None:
        """Adds d(self)/d(leaf) to the gradient of every leaf.

        grad (or upstream): the gradient at this tensor; needed unless it has one element.
        """
        if upstream is not None:
            grad = _convert.respelled("backward", "grad", grad, None, "upstream", upstream)
        autograd.backward(self, grad, retain_graph, create_graph)

    def detach(self) -> Tensor:
        """The same values without history; shares memory."""
        return made(lib.tfpy_detach(self._h))

    def concat(self, other: Any, dim: int = 0) -> Tensor:
        """This tensor followed by another, or by a list of them, along a dimension."""
        others = list(other) if isinstance(other, (list, tuple)) else [other]
        return _ops.concat([self, *others], dim)

    cat = concat

    def pad(self, pad: Any, mode: str = "constant", value: float = 0.0) -> Tensor:
        """Adds `value` around: pad holds (before, after) of the last dimension, then of others."""
        if mode != "constant":
            raise ValueError(f'[pad] received mode {mode!r}; expected "constant"')
        return _ops._pad(self, pad, value)

    def has_nan_or_inf(self) -> bool:
        return not self.isfinite().all().item()

    def copy(self) -> Tensor:
        """A copy with memory of its own (differentiable)."""
        return _ops.clone(self)

    def zero_grad(self) -> None:
        """Removes the gradient."""
        check(lib.tf_tensor_set_grad(self._h, NULL))

    def requires_grad_(self, on: bool = True) -> Tensor:
        check(lib.tf_tensor_set_requires_grad(self._h, 1 if on else 0))
        return self

    def retain_grad(self) -> None:
        """Keeps the gradient although this is no leaf."""
        check(lib.tf_tensor_retain_grad(self._h))

    def register_hook(self, hook: Callable[[Tensor], Any]) -> autograd.HookHandle:
        """Calls hook(grad) during backward; a Tensor that it returns replaces the gradient."""
        return autograd.add_hook(self, hook)


_convert.bind(Tensor)
bind(
    Tensor, ffi.typeof("tf_tensor *"), NULL, _convert.operand, raise_last, getitem, _ops.reshape,
    TensorOps.reshape_view, _ops.permute, _ops.transpose,
)  # fmt: skip
