# SPDX-License-Identifier: MIT
"""Gradients: backward, grad, hooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable

from . import _convert
from ._convert import NULL
from ._native import ffi, lib, made
from .ctx import get_retain_graph_default
from .errors import check, keep_pending, raise_status

if TYPE_CHECKING:
    from .tensor import Tensor


_backward = lib.tf_backward
_retain_default = lib.tf_retain_graph_default


def grad_of(x: Tensor) -> Tensor | None:
    handle = lib.tfpy_grad(x._h)
    return made(handle) if handle else None


def backward(x: Tensor, grad: Any, retain_graph: bool | None, create_graph: bool) -> None:
    if retain_graph is None:
        retain_graph = create_graph or _retain_default()
    handle = NULL
    if grad is not None:
        grad = _convert.tensor(grad, "grad", "backward")
        handle = grad._h
    status = _backward(x._h, handle, 1 if retain_graph else 0, 1 if create_graph else 0)
    if status:
        raise_status(status)


def _list(values: Any, name: str) -> list:
    if not isinstance(values, (list, tuple)):
        values = [values]
    return _convert.tensor_list(values, name, "grad", True)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    create_graph: bool = False,
    retain_graph: bool | None = None,
    allow_unused: bool = False,
) -> Any:
    """Gradients of outputs with respect to inputs; `.grad` of leaves is not touched.

    A list for a list of inputs, a Tensor for one. An input that takes no part is an error, or
    None where allow_unused. create_graph: the gradients can be differentiated again.
    """
    outs, ins = _list(outputs, "outputs"), _list(inputs, "inputs")
    grads = NULL
    if grad_outputs is not None:
        given = _list(grad_outputs, "grad_outputs")
        if len(given) != len(outs):
            raise ValueError(
                f"[grad] received {len(given)} grad_outputs for {len(outs)} outputs; "
                "expected one for each"
            )
        grads = [NULL if g is None else g._h for g in given]
    if retain_graph is None:
        retain_graph = create_graph or get_retain_graph_default()
    results = ffi.new("tf_tensor *[]", max(len(ins), 1))
    check(
        lib.tf_grad(
            [t._h for t in outs],
            grads,
            len(outs),
            [t._h for t in ins],
            len(ins),
            bool(retain_graph),
            bool(create_graph),
            bool(allow_unused),
            results,
        )
    )
    found = [made(results[i]) if results[i] else None for i in range(len(ins))]
    return found if isinstance(inputs, (list, tuple)) else found[0]


# Keeps what the engine holds a pointer to alive; tfpy_drop_user lets it go.
_kept: dict[Any, Any] = {}


@ffi.def_extern()
def tfpy_call_hook(gradient: Any, out_replacement: Any, user: Any) -> int:
    try:
        seen = made(lib.tf_tensor_retain(ffi.cast("tf_tensor *", gradient)))
        result = ffi.from_handle(user)(seen)
        if result is not None:
            result = _convert.tensor(result, "grad", "hook")
            out_replacement[0] = lib.tf_tensor_retain(result._h)
        return lib.TINYFIN_OK
    except BaseException as error:  # handed to the caller of backward
        keep_pending(error)
        return lib.TINYFIN_ERROR_CALLBACK


@ffi.def_extern()
def tfpy_drop_user(user: Any) -> None:
    _kept.pop(user, None)


class HookHandle:
    """Takes a hook away again."""

    __slots__ = ("_id", "_tensor")

    def __init__(self, tensor: Tensor, hook_id: int):
        self._tensor, self._id = tensor, hook_id

    def remove(self) -> None:
        check(lib.tf_tensor_remove_hook(self._tensor._h, self._id))


def add_hook(x: Tensor, hook: Callable[[Tensor], Any]) -> HookHandle:
    if not callable(hook):
        raise TypeError(f"[register_hook] received {type(hook).__name__}; expected a function")
    user = ffi.new_handle(hook)
    _kept[user] = user
    out = ffi.new("int64_t *")
    check(lib.tf_tensor_add_hook(x._h, lib.tfpy_call_hook, user, lib.tfpy_drop_user, out))
    return HookHandle(x, out[0])
