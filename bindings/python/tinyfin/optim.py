# SPDX-License-Identifier: MIT
"""Optimisers. State and updates are the engine's; a step is one call."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from . import _checkpoint, _convert
from ._native import ffi, lib
from .errors import check
from .nn.module import Module
from .tensor import Tensor

_ALL = lib.TINYFIN_OPT_ALL
_OPTIONS = {
    ffi.string(lib.tf_opt_option_name(number)).decode(): number
    for number in (
        lib.TINYFIN_OPT_LR,
        lib.TINYFIN_OPT_MOMENTUM,
        lib.TINYFIN_OPT_WEIGHT_DECAY,
        lib.TINYFIN_OPT_NESTEROV,
        lib.TINYFIN_OPT_BETA1,
        lib.TINYFIN_OPT_BETA2,
        lib.TINYFIN_OPT_EPS,
        lib.TINYFIN_OPT_ALPHA,
    )
}


class Optimizer:
    """Parameters and their state. Subclasses choose the constructor of the engine.

    params: Parameters or Tensors, or groups: dicts with "params" and options of their own.
    """

    _constructor: Any = None

    def __init__(self, params: Any, lr: float, **options: Any):
        name = type(self).__name__
        out = ffi.new("tf_opt **")
        check(type(self)._constructor(ffi.NULL, _convert.real(lr, "lr", name), out))
        self._o = out[0]
        self._params: list[Tensor] = []
        for option, value in options.items():
            self._set(_ALL, option, value)
        if isinstance(params, Module):
            params = params.parameters()
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise TypeError(
                f"[{name}] received {type(params).__name__} as params; expected a list of "
                "Parameters, Tensors or dicts"
            )
        params = list(params)
        if not params:
            raise ValueError(f"[{name}] received no parameters; expected at least one")
        if not any(isinstance(p, dict) for p in params):
            params = [{"params": params}]
        for group in params:
            if not isinstance(group, dict) or "params" not in group:
                raise TypeError(f'[{name}] received a group without "params"; expected dicts')
            self.add_param_group(group)

    def __del__(self) -> None:
        handle = self.__dict__.get("_o")
        if handle is not None:
            lib.tf_opt_release(handle)

    def add_param_group(self, group: dict) -> None:
        """{"params": [...], "lr": …}: a further group, with options of its own."""
        options = dict(group)
        tensors = options.pop("params")
        tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
        for t in tensors:
            if not isinstance(t, Tensor):
                raise TypeError(
                    f"[{type(self).__name__}] received {type(t).__name__} as a parameter; "
                    "expected a Parameter or a Tensor"
                )
        number = ffi.new("int64_t *")
        check(lib.tf_opt_add_group(self._o, [t._h for t in tensors], len(tensors), number))
        self._params += tensors
        for option, value in options.items():
            self._set(number[0], option, value)

    def _set(self, group: int, option: str, value: Any) -> None:
        if option == "betas":
            first, second = value
            self._set(group, "beta1", first)
            self._set(group, "beta2", second)
            return
        if option not in _OPTIONS:
            raise ValueError(
                f"[{type(self).__name__}] received the option {option!r}; expected one of "
                f"{', '.join(_OPTIONS)}"
            )
        value = _convert.real(value, option, type(self).__name__)
        check(lib.tf_opt_set_f64(self._o, group, _OPTIONS[option], value))

    def _get(self, group: int, option: str) -> float:
        out = ffi.new("double *")
        check(lib.tf_opt_get_f64(self._o, group, _OPTIONS[option], out))
        return out[0]

    def step(self, clip_norm: float = 0.0) -> None:
        """One update of every parameter that has a gradient.

        clip_norm above 0: as if the gradients were scaled to at most that norm, all together.
        """
        check(lib.tf_opt_step(self._o, clip_norm))

    def zero_grad(self, set_to_none: bool = True) -> None:
        check(lib.tf_opt_zero_grad(self._o, bool(set_to_none)))

    @property
    def lr(self) -> float:
        """Learning rate of the first group; assigning sets that of all."""
        return self._get(0, "lr")

    @lr.setter
    def lr(self, value: float) -> None:
        self._set(_ALL, "lr", value)

    def set_lr(self, value: float) -> None:
        self.lr = value

    def get_lr(self) -> float:
        return self.lr

    @property
    def param_groups(self) -> list[dict]:
        """The groups with their options, to read; set_option() changes one."""
        groups, start = [], 0
        for i in range(lib.tf_opt_group_count(self._o)):
            count = lib.tf_opt_param_count(self._o, i)
            group: dict = {"params": self._params[start : start + count]}
            start += count
            low, high = ffi.new("double *"), ffi.new("double *")
            for name, number in _OPTIONS.items():
                if lib.tf_opt_bounds(self._o, number, low, high) == lib.TINYFIN_OK:
                    group[name] = self._get(i, name)
            groups.append(group)
        return groups

    def set_option(self, name: str, value: float, group: int | None = None) -> None:
        """Changes "lr", "momentum", …: of one group, or of all."""
        self._set(_ALL if group is None else group, name, value)

    # --- state ----------------------------------------------------------------------------

    def state_dict(self) -> OrderedDict:
        """Options and state by name: arrays, and one text."""
        return _checkpoint.Checkpoint().add_opt("", self).to_dict()

    def load_state_dict(self, state: Any) -> None:
        """Restores options and state; all is checked before."""
        _checkpoint.Checkpoint.from_dict(state).load_opt("", self)

    def save_state(self, path: Any) -> str:
        """Writes the state to a file, complete or not at all."""
        _checkpoint.Checkpoint().add_opt("optimizer.", self).write(path)
        return os.fspath(path)

    def load_state(self, path: Any) -> None:
        """Reads it back; every size is compared with the parameters before."""
        _checkpoint.Checkpoint.read(path).load_opt("optimizer.", self)

    def __repr__(self) -> str:
        options = {k: v for k, v in self.param_groups[0].items() if k != "params"}
        text = ", ".join(f"{k}={v:g}" for k, v in options.items())
        return f"{type(self).__name__}({len(self._params)} parameters, {text})"


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum and Nesterov's variant."""

    _constructor = lib.tf_opt_sgd

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ):
        super().__init__(
            params, lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov
        )


class Adam(Optimizer):
    """Adam (Kingma, Ba 2015)."""

    _constructor = lib.tf_opt_adam

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, lr, betas=betas, eps=eps, weight_decay=weight_decay)


class AdamW(Optimizer):
    """Adam with weight decay apart from the gradient (Loshchilov, Hutter 2019)."""

    _constructor = lib.tf_opt_adamw

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ):
        super().__init__(params, lr, betas=betas, eps=eps, weight_decay=weight_decay)


class RMSprop(Optimizer):
    """RMSprop (Tieleman, Hinton 2012)."""

    _constructor = lib.tf_opt_rmsprop

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ):
        super().__init__(
            params, lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum
        )


class SGDOpt(SGD):
    """SGD; lr_params and weight_decay_params give each parameter its own value."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        lr_params: Any = None,
        weight_decay_params: Any = None,
    ):
        if lr_params is not None or weight_decay_params is not None:
            params = list(params)
            own = []
            for name, values in (("lr", lr_params), ("weight_decay", weight_decay_params)):
                if values is not None and len(values) != len(params):
                    raise ValueError(
                        f"[SGDOpt] received {len(values)} values of {name} for {len(params)} "
                        "parameters; expected one for each"
                    )
            for i, p in enumerate(params):
                group: dict = {"params": [p]}
                if lr_params is not None:
                    group["lr"] = lr_params[i]
                if weight_decay_params is not None:
                    group["weight_decay"] = weight_decay_params[i]
                own.append(group)
            params = own
        super().__init__(params, lr, momentum, weight_decay)


class AdamOpt(Adam):
    """Adam with the betas as two arguments."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, lr, (beta1, beta2), eps, weight_decay)


class RMSPropOpt(RMSprop):
    """RMSprop with a default lr of 1e-3."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, lr, alpha, eps, weight_decay)


_SCHEDULERS = ("StepLR", "ExponentialLR", "LinearWarmupLR", "CosineAnnealingLR", "OneCycleLR")


def __getattr__(name: str) -> Any:
    """The schedulers, which scheduler.py defines upon this module."""
    if name in _SCHEDULERS:
        from . import scheduler

        return getattr(scheduler, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "SGD",
    "Adam",
    "AdamOpt",
    "AdamW",
    "Optimizer",
    "RMSPropOpt",
    "RMSprop",
    "SGDOpt",
]
