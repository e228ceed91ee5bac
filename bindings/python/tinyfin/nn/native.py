# SPDX-License-Identifier: MIT
"""Layers that live in the engine: a Python module around a tf_module handle."""

from __future__ import annotations

from typing import Any

from .. import _convert
from .._convert import NOT_READY, NULL, device_handle, dtype_number
from .._native import Runner, bind_modules, ffi, lib, made
from ..errors import check
from ..tensor import Tensor
from .module import Module, Parameter

_forward = lib.tfpy_module_forward


def make(function: Any, *args: Any) -> Any:
    """The handle that a constructor of the C ABI gives."""
    out = ffi.new("tf_module **")
    check(function(*args, out))
    return out[0]


def _wrapped(kind: type, handle: Any) -> Tensor:
    tensor = object.__new__(kind)
    tensor._h = lib.tf_tensor_retain(handle)
    return tensor


class NativeModule(Runner, Module):
    """A layer of the engine. Subclasses call _adopt() with the handle that _build() gives.

    A call goes from the interpreter to the engine where handle_of() has a handle, and to
    Module.__call__ where not. handle_of() is asked once, and again after modules_changed().
    """

    # The forward() for which a call of the engine is the same; a subclass with another one is
    # run by Python.
    _runs: Any = None

    # Whether a call with one Tensor is the engine's too, to the texts of its errors.
    _called_by_engine = True

    _optional: tuple[str, ...] = ()

    def _running(self) -> Any:
        """The handle, where it does all that forward() does."""
        return self._m

    def _settle(self) -> None:
        self._ready(handle_of(self) if self._called_by_engine else None)

    def _build(self) -> Any:
        """A new handle for the arguments this module was made with."""
        raise NotImplementedError

    def _adopt(self) -> None:
        d = self.__dict__
        d["_m"] = handle = self._build()
        # What a layer was told to do without is None.
        for name in self._optional:
            d.setdefault(name, None)
        # Children of a container have wrappers of their own.
        for i in range(lib.tf_module_parameter_count(handle)):
            self._take(lib.tf_module_parameter_name(handle, i), "_parameters", Parameter,
                       lib.tf_module_parameter_at(handle, i))  # fmt: skip
        for i in range(lib.tf_module_buffer_count(handle)):
            self._take(lib.tf_module_buffer_name(handle, i), "_buffers", Tensor,
                       lib.tf_module_buffer_at(handle, i))  # fmt: skip

    def _take(self, name: Any, registry: str, kind: type, handle: Any) -> None:
        name = ffi.string(name).decode()
        if "." not in name:
            d = self.__dict__
            d[name] = d[registry][name] = _wrapped(kind, handle)

    def __del__(self) -> None:
        handle = self.__dict__.get("_m")
        if handle is not None:
            lib.tf_module_release(handle)

    def forward(self, x: Any) -> Tensor:
        try:
            h = _forward(self._m, x._h)
        except NOT_READY:
            x = _convert.tensor(x, "x", type(self).__name__, True)
            h = _forward(self._m, x._h)
        return made(h)

    def __setattr__(self, name: str, value: Any) -> None:
        handle = self.__dict__.get("_m")
        if handle is not None:
            if name == "training":
                # Each wrapper sets its own: a walk over all modules reaches the children.
                check(lib.tf_module_set_training(handle, bool(value)))
            elif name in self._parameters or name in self._buffers:
                kind = Parameter if name in self._parameters else Tensor
                if not isinstance(value, kind):
                    raise TypeError(
                        f"[{type(self).__name__}] received {type(value).__name__} for `{name}`; "
                        f"expected a {kind.__name__}"
                    )
                check(lib.tf_module_set(handle, name.encode(), value._h))
        Module.__setattr__(self, name, value)

    def _place(self, device: Any, dtype: Any) -> None:
        check(
            lib.tf_module_to(
                self._m, dtype_number(dtype), NULL if device is None else device_handle(device)
            )
        )

    # Copies and pickles: the arguments, and the tensors as they are, so that two modules that
    # share one still do. __setstate__ builds anew and puts them in.
    def __getstate__(self) -> dict:
        state = {k: v for k, v in self.__dict__.items() if k not in ("_m", "_made_of")}
        for registry in ("_parameters", "_buffers"):
            for name in state[registry]:
                del state[name]
            state[registry] = dict(state[registry])
        return state

    def __setstate__(self, state: dict) -> None:
        tensors = {**state["_parameters"], **state["_buffers"]}
        self.__dict__.update(state, _parameters={}, _buffers={})
        self._adopt()
        if self._m is not None and not self.training:
            check(lib.tf_module_set_training(self._m, 0))
        for name, tensor in tensors.items():
            setattr(self, name, tensor)


def handle_of(module: Module) -> Any:
    """The handle that runs a module as it is, or None where Python has a say in it."""
    if not isinstance(module, NativeModule) or module._forward_hooks or module._forward_pre_hooks:
        return None
    kind = type(module)
    if kind.forward is not kind._runs or kind.__call__ is not NativeModule.__call__:
        return None
    return None if "forward" in module.__dict__ else module._running()


NativeModule._runs = NativeModule.forward
bind_modules(Module, ffi.typeof("tf_module *"))
