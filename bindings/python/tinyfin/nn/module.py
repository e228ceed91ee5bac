# SPDX-License-Identifier: MIT
"""Module and Parameter: networks as objects, with parameters found by their attributes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Callable

from .. import _convert, interchange
from .._native import lib, modules_changed
from ..errors import CheckpointError, check
from ..tensor import Tensor


class Parameter(Tensor):
    """A Tensor that a Module trains. Its `tensor` is itself."""

    __slots__ = ()

    def __new__(cls, data: Any, requires_grad: bool = True) -> Parameter:
        self = object.__new__(cls)
        keep = data.dtype if isinstance(data, Tensor) else None
        self._h = interchange.handle_from(data, keep, None, lib.TINYFIN_FLOAT32)
        if requires_grad:
            check(lib.tf_tensor_set_requires_grad(self._h, 1))
        return self

    def __init__(self, data: Any, requires_grad: bool = True):
        pass

    @property
    def tensor(self) -> Parameter:
        return self


class RemovableHandle:
    """Takes a hook away again."""

    def __init__(self, hooks: dict, key: int):
        self._hooks, self._key = hooks, key

    def remove(self) -> None:
        self._hooks.pop(self._key, None)
        modules_changed()


class Module:
    """The base class of layers and networks.

    Parameters, Modules and buffers that are assigned to attributes are registered under the
    attribute's name. A subclass defines forward().
    """

    training: bool

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        # Here and not in __init__: a subclass need not call super().__init__().
        self = object.__new__(cls)
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _modules={},
            _forward_hooks={},
            _forward_pre_hooks={},
        )
        return self

    # --- running --------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"[{type(self).__name__}] has no forward(); expected a subclass")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not (self._forward_hooks or self._forward_pre_hooks):
            return self.forward(*args, **kwargs)
        for hook in list(self._forward_pre_hooks.values()):
            changed = hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        output = self.forward(*args, **kwargs)
        for hook in list(self._forward_hooks.values()):
            changed = hook(self, args, output)
            if changed is not None:
                output = changed
        return output

    def register_forward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls hook(module, inputs, output) after forward; what it returns replaces output."""
        return _add_hook(self._forward_hooks, hook)

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls hook(module, inputs) before forward; what it returns replaces the inputs."""
        return _add_hook(self._forward_pre_hooks, hook)

    # --- registration ---------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        d = self.__dict__
        if isinstance(value, Parameter):
            d["_modules"].pop(name, None)
            d["_buffers"].pop(name, None)
            d["_parameters"][name] = value
        elif isinstance(value, Module):
            d["_parameters"].pop(name, None)
            d["_buffers"].pop(name, None)
            d["_modules"][name] = value
        elif name in d["_buffers"]:
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"[{type(self).__name__}] received {type(value).__name__} for the buffer "
                    f"`{name}`; expected a Tensor or None"
                )
            d["_buffers"][name] = value
        elif name in d["_parameters"]:
            if value is not None:
                raise TypeError(
                    f"[{type(self).__name__}] received {type(value).__name__} for the parameter "
                    f"`{name}`; expected a Parameter or None"
                )
            d["_parameters"][name] = None
        elif name in d["_modules"]:
            d["_modules"].pop(name)
        if name == "forward":
            modules_changed()
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if name == "forward":
            modules_changed()
        for kind in ("_parameters", "_buffers", "_modules"):
            self.__dict__[kind].pop(name, None)
        object.__delattr__(self, name)

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        self._check_name(name)
        self._parameters[name] = parameter
        setattr(self, name, parameter)

    def register_buffer(self, name: str, tensor: Tensor | None) -> None:
        """A tensor that belongs to the state but is not trained."""
        self._check_name(name)
        self._buffers[name] = tensor
        setattr(self, name, tensor)

    def add_module(self, name: str, module: Module) -> None:
        self._check_name(name)
        if not isinstance(module, Module):
            raise TypeError(f"[add_module] received {type(module).__name__}; expected a Module")
        setattr(self, name, module)

    def _check_name(self, name: str) -> None:
        if not name or "." in name:
            raise ValueError(f"[Module] received the name {name!r}; expected one without dots")

    # --- walking --------------------------------------------------------------------------

    def named_modules(self, prefix: str = "") -> list[tuple[str, Module]]:
        """This module ("") and all below it, each once."""
        return list(self._walk(prefix, set()))

    def _walk(self, prefix: str, seen: set) -> Iterator[tuple[str, Module]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, child in self._modules.items():
            yield from child._walk(f"{prefix}.{name}" if prefix else name, seen)

    def modules(self) -> list[Module]:
        return [m for _, m in self.named_modules()]

    def named_children(self) -> list[tuple[str, Module]]:
        return list(self._modules.items())

    def children(self) -> list[Module]:
        return list(self._modules.values())

    def _named(self, kind: str) -> list[tuple[str, Tensor]]:
        """Tensors of one kind by path; one that has several names has its first."""
        found, seen = [], set()
        for prefix, module in self.named_modules():
            for name, tensor in module.__dict__[kind].items():
                if tensor is not None and tensor._h not in seen:
                    seen.add(tensor._h)
                    found.append((f"{prefix}.{name}" if prefix else name, tensor))
        return found

    def named_parameters(self) -> list[tuple[str, Parameter]]:
        return self._named("_parameters")

    def parameters(self) -> list[Parameter]:
        return [p for _, p in self._named("_parameters")]

    def named_buffers(self) -> list[tuple[str, Tensor]]:
        return self._named("_buffers")

    def buffers(self) -> list[Tensor]:
        return [b for _, b in self._named("_buffers")]

    def get_parameter(self, path: str) -> Parameter:
        for name, parameter in self.named_parameters():
            if name == path:
                return parameter
        known = ", ".join(n for n, _ in self.named_parameters())
        raise AttributeError(f"[get_parameter] received {path!r}; expected one of {known}")

    def num_parameters(self, trainable_only: bool = False) -> int:
        return sum(p.size for p in self.parameters() if p.requires_grad or not trainable_only)

    def apply(self, function: Callable[[Module], Any]) -> Module:
        """Calls function on every module, children first."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # --- modes and places -----------------------------------------------------------------

    def train(self, mode: bool = True) -> Module:
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> Module:
        return self.train(False)

    def requires_grad_(self, on: bool = True) -> Module:
        for p in self.parameters():
            p.requires_grad_(on)
        return self

    def zero_grad(self) -> None:
        for p in self.parameters():
            p.zero_grad()

    def to(self, target: Any = None, *, device: Any = None, dtype: Any = None) -> Module:
        """Moves and casts parameters and buffers in place: optimisers keep theirs."""
        if target is not None:
            if interchange.names_dtype(target):
                dtype = target
            else:
                device = target
        for module in self.modules():
            module._place(device, dtype)
        return self

    def _place(self, device: Any, dtype: Any) -> None:
        for kind in ("_parameters", "_buffers"):
            for tensor in self.__dict__[kind].values():
                if tensor is None:
                    continue
                if device is not None:
                    tensor.set_device(device)
                if dtype is not None and tensor.dtype.is_floating_point:
                    tensor.set_dtype(dtype)

    def cpu(self) -> Module:
        return self.to("cpu")

    def cuda(self) -> Module:
        return self.to("cuda")

    def float(self) -> Module:
        return self.to(dtype="float32")

    def double(self) -> Module:
        return self.to(dtype="float64")

    def bfloat16(self) -> Module:
        return self.to(dtype="bfloat16")

    # --- state ----------------------------------------------------------------------------

    def state_dict(self) -> OrderedDict:
        """Parameters and buffers by path, as arrays of their own."""
        named = self.named_parameters() + self.named_buffers()
        return OrderedDict((name, tensor.detach().to_numpy()) for name, tensor in named)

    def load_state_dict(self, state: Any, strict: bool = True) -> Module:
        """Copies arrays or Tensors into parameters and buffers; all is checked before."""
        own = dict(self.named_parameters() + self.named_buffers())
        names = list(state.keys()) if hasattr(state, "keys") else list(dict(state))
        missing = [n for n in own if n not in names]
        unknown = [n for n in names if n not in own]
        if strict and (missing or unknown):
            raise CheckpointError(
                f"[load_state_dict] missing: {', '.join(missing) or 'nothing'}; not in the "
                f"module: {', '.join(unknown) or 'nothing'}; use strict=False to ignore that"
            )
        loaded = []
        for name, tensor in own.items():
            if name in names:
                value = _convert.tensor(state[name], name, "load_state_dict", True)
                if value.shape != tensor.shape:
                    raise CheckpointError(
                        f"[load_state_dict] received shape {value.shape} for `{name}`; expected "
                        f"{tensor.shape}"
                    )
                loaded.append((tensor, value))
        for tensor, value in loaded:
            interchange.overwrite(tensor, value)
        return self

    # --- text -----------------------------------------------------------------------------

    def extra_repr(self) -> str:
        return ""

    def __repr__(self) -> str:
        lines = []
        for name, child in self._modules.items():
            lines.append(f"({name}): " + repr(child).replace("\n", "\n  "))
        extra = self.extra_repr()
        if not lines:
            return f"{type(self).__name__}({extra})"
        return f"{type(self).__name__}({extra}\n  " + "\n  ".join(lines) + "\n)"

    def summary(self) -> str:
        """A table of the modules and their parameters."""
        rows = [("module", "kind", "parameters")]
        for name, module in self.named_modules():
            own = sum(p.size for p in module._parameters.values() if p is not None)
            rows.append((name or "(all)", type(module).__name__, f"{own:,}" if own else ""))
        rows.append(("", "total", f"{self.num_parameters():,}"))
        widths = [max(len(r[i]) for r in rows) for i in range(3)]
        lines = [f"{a.ljust(widths[0])}  {b.ljust(widths[1])}  {c.rjust(widths[2])}"
                 for a, b, c in rows]  # fmt: skip
        return "\n".join(line.rstrip() for line in lines)


def _add_hook(hooks: dict, hook: Callable[..., Any]) -> RemovableHandle:
    if not callable(hook):
        raise TypeError(f"[register_hook] received {type(hook).__name__}; expected a function")
    key = max(hooks, default=-1) + 1
    hooks[key] = hook
    modules_changed()
    return RemovableHandle(hooks, key)
