# SPDX-License-Identifier: MIT
"""Layers. Those of the engine run as one call, alone or within a Sequential."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .. import _convert, _ops
from .._native import lib, modules_changed
from ..tensor import Tensor
from .module import Module
from .native import NativeModule, handle_of, make


def _pair(value: Any, name: str, layer: str) -> tuple:
    return _convert.pair(value, name, layer)


def _whole(value: Any, name: str, layer: str) -> int:
    return _convert.integer(value, name, layer)


class _Activated(NativeModule):
    """A layer that can apply an activation to its output: its own, or any callable."""

    _optional = ("bias",)

    def _set_activation(self, activation: Any) -> None:
        number, self._after = _activation(activation, type(self).__name__)
        self._activation = number
        if isinstance(self._after, Module):
            self.activation = self._after
        else:
            self.activation = activation

    def _running(self) -> Any:
        return self._m if self._after is None else None

    def forward(self, x: Any) -> Tensor:
        y = NativeModule.forward(self, x)
        return y if self._after is None else self._after(y)


_Activated._runs = _Activated.forward


class Linear(_Activated):
    """y = activation(x weight^T + bias); weight (out, in), drawn as PyTorch draws it.

    activation: None, a name such as "relu", a class, a Module or any callable.
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, activation: Any = None
    ):
        self.in_features = _whole(in_features, "in_features", "Linear")
        self.out_features = _whole(out_features, "out_features", "Linear")
        self._has_bias = bool(bias)
        self._set_activation(activation)
        self._adopt()

    def _build(self) -> Any:
        return make(
            lib.tf_module_linear, self.in_features, self.out_features, self._has_bias,
            self._activation,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, bias={self._has_bias}"


class Conv2d(_Activated):
    """Cross-correlation of (N, C, H, W) with weight (out, in / groups, kh, kw).

    Sizes are an int or (height, width); padding may be "same" (stride 1) or "valid". A bool in
    fourth position is `bias`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        bias: bool = True,
        dilation: Any = 1,
        groups: int = 1,
        activation: Any = None,
    ):
        if isinstance(stride, bool):
            stride, bias = 1, stride
        self.in_channels = _whole(in_channels, "in_channels", "Conv2d")
        self.out_channels = _whole(out_channels, "out_channels", "Conv2d")
        self.kernel_size = _pair(kernel_size, "kernel_size", "Conv2d")
        self.stride = _pair(stride, "stride", "Conv2d")
        self.dilation = _pair(dilation, "dilation", "Conv2d")
        self.groups = _whole(groups, "groups", "Conv2d")
        self._has_bias = bool(bias)
        # What "same" needs beyond an even share on both sides is put in front of the call.
        self.padding, self._uneven = same_padding(
            padding, self.kernel_size, self.stride, self.dilation, "Conv2d"
        )
        self._set_activation(activation)
        self._adopt()

    def _build(self) -> Any:
        return make(
            lib.tf_module_conv2d, self.in_channels, self.out_channels, self.kernel_size,
            self.stride, self.padding, self.dilation, self.groups, self._has_bias,
            self._activation,
        )  # fmt: skip

    def _running(self) -> Any:
        return None if self._uneven else super()._running()

    def forward(self, x: Any) -> Tensor:
        return _Activated.forward(
            self, _convert.tensor(x, "x", "Conv2d").pad(self._uneven) if self._uneven else x
        )

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}"
        )


Conv2d._runs = Conv2d.forward
Conv2D = Conv2d


def same_padding(padding: Any, kernel: tuple, stride: tuple, dilation: tuple, op: str) -> tuple:
    """(height, width) of padding, and what "same" adds at the ends: (left, right, top, bottom)."""
    if not isinstance(padding, str):
        return _pair(padding, "padding", op), ()
    if padding == "valid":
        return (0, 0), ()
    if padding != "same":
        raise ValueError(f'[{op}] received padding {padding!r}; expected "same", "valid" or ints')
    if stride != (1, 1):
        raise ValueError(f'[{op}] received stride {stride} with padding "same"; expected 1')
    total = [(k - 1) * d for k, d in zip(kernel, dilation)]
    even = (total[0] // 2, total[1] // 2)
    rest = (0, total[1] % 2, 0, total[0] % 2)
    return even, rest if any(rest) else ()


class _Pool(NativeModule):
    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0):
        name = type(self).__name__
        self.kernel_size = _pair(kernel_size, "kernel_size", name)
        self.stride = self.kernel_size if stride is None else _pair(stride, "stride", name)
        self.padding = _pair(padding, "padding", name)
        self._adopt()

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool2d(_Pool):
    """The greatest element of each window."""

    def _build(self) -> Any:
        return make(lib.tf_module_max_pool2d, self.kernel_size, self.stride, self.padding)


class AvgPool2d(_Pool):
    """The mean of each window, zeros of the padding included."""

    def _build(self) -> Any:
        return make(lib.tf_module_avg_pool2d, self.kernel_size, self.stride, self.padding)


class MaxPool2D(MaxPool2d):
    """MaxPool2d(pool_size, stride)."""

    def __init__(self, pool_size: Any = 2, stride: Any = None):
        super().__init__(pool_size, stride)


class BatchNorm(NativeModule):
    """Normalises each channel of (N, C) or (N, C, H, W) over all other dimensions.

    In training by the batch's statistics, which running_mean and running_var follow with weight
    `momentum`; in evaluation by those (by the batch's without track_running_stats).
    """

    _optional = ("weight", "bias", "running_mean", "running_var")

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ):
        self.num_features = _whole(num_features, "num_features", "BatchNorm")
        self.eps, self.momentum = eps, momentum
        self.affine, self.track_running_stats = bool(affine), bool(track_running_stats)
        self._adopt()

    def _build(self) -> Any:
        return make(
            lib.tf_module_batch_norm, self.num_features, self.eps, self.momentum, self.affine,
            self.track_running_stats,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class BatchNorm1d(BatchNorm):
    """BatchNorm for (N, C)."""


class BatchNorm2d(BatchNorm):
    """BatchNorm for (N, C, H, W)."""


class LayerNorm(NativeModule):
    """Normalises over the last dimensions, which are `normalized_shape`."""

    _optional = ("weight", "bias")

    def __init__(self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True):
        self.normalized_shape = _convert.ints(normalized_shape, "normalized_shape", "LayerNorm")
        self.eps, self.elementwise_affine = eps, bool(elementwise_affine)
        self._adopt()

    def _build(self) -> Any:
        return make(
            lib.tf_module_layer_norm, self.normalized_shape, len(self.normalized_shape), self.eps,
            self.elementwise_affine,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


class Embedding(NativeModule):
    """Rows of weight (num_embeddings, embedding_dim) chosen by integers."""

    def __init__(self, num_embeddings: int, embedding_dim: int):
        self.num_embeddings = _whole(num_embeddings, "num_embeddings", "Embedding")
        self.embedding_dim = _whole(embedding_dim, "embedding_dim", "Embedding")
        self._adopt()

    def _build(self) -> Any:
        return make(lib.tf_module_embedding, self.num_embeddings, self.embedding_dim)

    def extra_repr(self) -> str:
        return f"{self.num_embeddings}, {self.embedding_dim}"


class Dropout(NativeModule):
    """In training, zeroes elements with probability p and scales the others by 1 / (1 - p)."""

    def __init__(self, p: float = 0.5):
        self.p = float(p)
        self._adopt()

    def _build(self) -> Any:
        return make(lib.tf_module_dropout, self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Flatten(NativeModule):
    """Dimensions from start_dim on become one."""

    def __init__(self, start_dim: int = 1):
        self.start_dim = _whole(start_dim, "start_dim", "Flatten")
        self._adopt()

    def _build(self) -> Any:
        return make(lib.tf_module_flatten, self.start_dim)


class Identity(NativeModule):
    """Gives back what it receives."""

    def __init__(self, *args: Any, **kwargs: Any):
        self._adopt()

    def _build(self) -> Any:
        return make(lib.tf_module_identity)


class _ActivationLayer(NativeModule):
    _kind = 0

    def __init__(self) -> None:
        self._adopt()

    def _build(self) -> Any:
        return make(lib.tf_module_activation, self._number())

    def _number(self) -> int:
        return self._kind


class ReLU(_ActivationLayer):
    """max(x, 0)."""

    _kind = lib.TINYFIN_ACTIVATION_RELU


class Sigmoid(_ActivationLayer):
    """1 / (1 + exp(-x))."""

    _kind = lib.TINYFIN_ACTIVATION_SIGMOID


class Tanh(_ActivationLayer):
    """The hyperbolic tangent."""

    _kind = lib.TINYFIN_ACTIVATION_TANH


class SiLU(_ActivationLayer):
    """x sigmoid(x)."""

    _kind = lib.TINYFIN_ACTIVATION_SILU


class GELU(_ActivationLayer):
    """x Phi(x), or its tanh approximation."""

    def __init__(self, approximate: str = "none"):
        if approximate not in ("none", "tanh"):
            raise ValueError(f'[GELU] received {approximate!r}; expected "none" or "tanh"')
        self.approximate = approximate
        self._adopt()

    def _number(self) -> int:
        exact = self.approximate == "none"
        return lib.TINYFIN_ACTIVATION_GELU if exact else lib.TINYFIN_ACTIVATION_GELU_TANH


class Softmax(NativeModule):
    """exp(x) over its sum along dim."""

    def __init__(self, dim: int = -1):
        self.dim = _whole(dim, "dim", "Softmax")
        self._adopt()

    def _build(self) -> Any:
        return make(lib.tf_module_softmax, self.dim)


# Those whose gradient follows from the output alone: a layer applies them as it writes.
_FUSED = (
    lib.TINYFIN_ACTIVATION_NONE,
    lib.TINYFIN_ACTIVATION_RELU,
    lib.TINYFIN_ACTIVATION_SIGMOID,
    lib.TINYFIN_ACTIVATION_TANH,
)
_UNFUSED = {"silu": SiLU, "gelu": GELU, "gelu_tanh": lambda: GELU("tanh")}


def _activation(given: Any, layer: str) -> tuple[int, Any]:
    """What activation= means: a number of the engine, or a callable to run afterwards."""
    if given is None or isinstance(given, str):
        number = _convert.activation_number(given, layer)
        if number in _FUSED:
            return number, None
        given = _UNFUSED[given]()
    if isinstance(given, type):
        given = given()
    if type(given) in (ReLU, Sigmoid, Tanh):
        return given._number(), None
    if type(given) is Identity:
        return lib.TINYFIN_ACTIVATION_NONE, None
    if not callable(given):
        raise TypeError(
            f"[{layer}] received {type(given).__name__} as activation; expected None, a name, a "
            "class, a callable or a Module"
        )
    name = getattr(given, "__name__", "")
    if name in ("relu", "sigmoid", "tanh") and given is getattr(_ops, name, None):
        return _convert.activation_number(name, layer), None
    return lib.TINYFIN_ACTIVATION_NONE, given


class Sequential(NativeModule):
    """Runs modules one after the other: as one call where all are layers of the engine."""

    def __init__(self, *modules: Any):
        if len(modules) == 1 and not isinstance(modules[0], Module):
            if not isinstance(modules[0], Iterable):
                raise TypeError(
                    f"[Sequential] received {type(modules[0]).__name__}; expected Modules"
                )
            modules = tuple(modules[0])
        for i, module in enumerate(modules):
            self.add_module(str(i), module)
        self._adopt()

    def _build(self) -> Any:
        self.__dict__["_made_of"] = handles = self._handles()
        return None if None in handles else make(lib.tf_module_sequential, handles, len(handles))

    def _handles(self) -> list:
        return [handle_of(m) for m in self._modules.values()]

    def _adopt(self) -> None:
        self.__dict__["_m"] = self._build()

    def _running(self) -> Any:
        # Hooks may have come since, or modules into one that is inside.
        if self._handles() != self._made_of:
            self._rebuild()
        return self._m

    def _settle(self) -> None:
        self._running()  # for forward(), also where hooks of its own keep a call in Python
        NativeModule._settle(self)

    def forward(self, x: Any) -> Any:
        if self._stale():
            self._settle()
        if self._m is not None:
            return NativeModule.forward(self, x)
        for module in self._modules.values():
            x = module(x)
        return x

    def append(self, module: Module) -> Sequential:
        self.add_module(str(len(self)), module)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "training" and self.__dict__.get("_m") is None:
            Module.__setattr__(self, name, value)
            return
        NativeModule.__setattr__(self, name, value)
        if isinstance(value, Module) and "_m" in self.__dict__:
            self._rebuild()

    def __delattr__(self, name: str) -> None:
        NativeModule.__delattr__(self, name)
        self._rebuild()

    def _rebuild(self) -> None:
        before = self._m
        self._adopt()
        if before is not None:
            lib.tf_module_release(before)
        modules_changed()

    def _place(self, device: Any, dtype: Any) -> None:
        pass  # the children's, which a walk over all modules reaches

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: Any) -> Any:
        modules = list(self._modules.values())
        return Sequential(*modules[index]) if isinstance(index, slice) else modules[index]


Sequential._runs = Sequential.forward
Network = Sequential


class MLP(Sequential):
    """Linear layers with an activation between them."""

    def __init__(
        self, in_features: int, hidden_sizes: Sequence[int], out_features: int,
        activation: Any = ReLU,
    ):  # fmt: skip
        layers, size = [], in_features
        for hidden in _convert.ints(hidden_sizes, "hidden_sizes", "MLP"):
            layers.append(Linear(size, hidden, activation=activation))
            size = hidden
        super().__init__(*layers, Linear(size, out_features))


__all__ = (
    "AvgPool2d BatchNorm BatchNorm1d BatchNorm2d Conv2D Conv2d Dropout Embedding Flatten GELU "
    "Identity LayerNorm Linear MLP MaxPool2D MaxPool2d Network ReLU Sequential SiLU Sigmoid "
    "Softmax Tanh"
).split()
