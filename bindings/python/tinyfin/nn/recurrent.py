# SPDX-License-Identifier: MIT
"""Recurrent layers and cells, with PyTorch's arguments, results and names of weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import _convert, _ops
from .._native import lib
from ..creation import empty
from ..errors import ShapeError
from ..tensor import Tensor
from . import init
from .module import Module, Parameter
from .native import NativeModule, make


def _weight(size: int, *shape: int) -> Parameter:
    bound = 1 / math.sqrt(size)
    return init.uniform(Parameter(empty(*shape)), -bound, bound)


class _Recurrent(NativeModule):
    """Several layers in one or both directions; each has weight_ih_l0, weight_hh_l0, bias_ih_l0,
    bias_hh_l0, with _reverse behind it for the way back."""

    _make: Any = None
    _states = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ):
        name = type(self).__name__
        self.input_size = _convert.integer(input_size, "input_size", name)
        self.hidden_size = _convert.integer(hidden_size, "hidden_size", name)
        self.num_layers = _convert.integer(num_layers, "num_layers", name)
        self.has_bias, self.batch_first = bool(bias), bool(batch_first)
        self.dropout, self.bidirectional = float(dropout), bool(bidirectional)
        self._adopt()

    def _numbers(self) -> tuple:
        return self.input_size, self.hidden_size, self.num_layers

    def _options(self) -> tuple:
        return self.has_bias, self.batch_first, self.dropout, self.bidirectional

    def _build(self) -> Any:
        return make(self._make, *self._numbers(), *self._options())

    def _call(self, x: Tensor, states: tuple, **options: Any) -> tuple:
        """The op: output and last states."""
        raise NotImplementedError

    def forward(self, x: Any, hx: Any = None) -> tuple:
        """x (T, B, input_size), (B, T, …) where batch_first, (T, …) without a batch, or a list of
        (B, input_size) steps. hx: the first state (layers * directions, B, H), zeros where None;
        LSTM: a pair. Results: output (…, directions * H), and the last state like hx."""
        name = type(self).__name__
        if isinstance(x, Sequence) and len(x) > 0 and isinstance(x[0], Tensor):
            x = _ops.stack(x, 1 if self.batch_first else 0)
        x = _convert.tensor(x, "x", name, True)
        alone = x.ndim == 2
        states = (None,) * self._states if hx is None else hx if self._states > 1 else (hx,)
        if not isinstance(states, (tuple, list)) or len(states) != self._states:
            raise TypeError(f"[{name}] received hx {type(hx).__name__}; expected (h, c) or None")
        if alone:
            x = x.unsqueeze(0 if self.batch_first else 1)
            states = tuple(s if s is None else s.unsqueeze(1) for s in states)
        out, *last = self._call(
            x, states, num_layers=self.num_layers, bias=self.has_bias,
            bidirectional=self.bidirectional, batch_first=self.batch_first,
            dropout=self.dropout, training=self.training,
        )  # fmt: skip
        if alone:
            out = out.squeeze(0 if self.batch_first else 1)
            last = [s.squeeze(1) for s in last]
        return out, (last[0] if self._states == 1 else tuple(last))

    def _weights(self) -> list:
        return list(self._parameters.values())

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        parts += [f"num_layers={self.num_layers}"] if self.num_layers > 1 else []
        parts += [n for n in ("bidirectional", "batch_first") if getattr(self, n)]
        return ", ".join(parts)


class LSTM(_Recurrent):
    """Long short-term memory; gates in the order i f g o. Hochreiter and Schmidhuber 1997."""

    _make = lib.tf_module_lstm
    _states = 2

    def _call(self, x: Tensor, states: tuple, **options: Any) -> tuple:
        return _ops._lstm(x, *states, self._weights(), **options)


class GRU(_Recurrent):
    """Gated recurrent units; gates in the order r z n. Cho et al. 2014."""

    _make = lib.tf_module_gru

    def _call(self, x: Tensor, states: tuple, **options: Any) -> tuple:
        return _ops._gru(x, *states, self._weights(), **options)


class RNN(_Recurrent):
    """h = tanh(x w_ih + b_ih + h w_hh + b_hh), or relu of it. Elman 1990."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ):
        self.nonlinearity = _checked_nonlinearity(nonlinearity, "RNN")
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )

    def _build(self) -> Any:
        activation = _convert.activation_number(self.nonlinearity, "RNN")
        return make(lib.tf_module_rnn, *self._numbers(), activation, *self._options())

    def _call(self, x: Tensor, states: tuple, **options: Any) -> tuple:
        return _ops._rnn(x, *states, self._weights(), self.nonlinearity == "relu", **options)


def _checked_nonlinearity(name: str, layer: str) -> str:
    if name not in ("tanh", "relu"):
        raise ValueError(f'[{layer}] received nonlinearity {name!r}; expected "tanh" or "relu"')
    return name


class _CellModule(Module):
    """One step: weight_ih, weight_hh, bias_ih, bias_hh."""

    _gates = 1

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        name = type(self).__name__
        self.input_size = _convert.integer(input_size, "input_size", name)
        self.hidden_size = _convert.integer(hidden_size, "hidden_size", name)
        self.bias = bool(bias)
        size, rows = self.hidden_size, self._gates * self.hidden_size
        self.weight_ih = _weight(size, rows, self.input_size)
        self.weight_hh = _weight(size, rows, size)
        self.bias_ih = _weight(size, rows) if bias else None
        self.bias_hh = _weight(size, rows) if bias else None

    def _weights(self) -> list:
        weights = [self.weight_ih, self.weight_hh]
        return [*weights, self.bias_ih, self.bias_hh] if self.bias else weights

    def _step(self, x: Any, states: Sequence, op: Any, *more: Any) -> tuple:
        """x (B, I) or (I,) and states as a sequence of one step."""
        x = _convert.tensor(x, "x", type(self).__name__, True)
        if x.ndim not in (1, 2):
            raise ShapeError(
                f"[{type(self).__name__}] received x of shape {x.shape}; expected (batch, "
                f"{self.input_size}) or ({self.input_size},)"
            )
        front = tuple(range(3 - x.ndim))
        for _ in front:
            x = x.unsqueeze(0)
        states = [s if s is None else s.reshape(1, -1, s.shape[-1]) for s in states]
        _, *last = op(x, *states, self._weights(), *more, bias=self.bias)
        return tuple(s.squeeze(front) for s in last)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


class LSTMCell(_CellModule):
    """One step of LSTM: forward(x, (h, c)=None) gives (h, c)."""

    _gates = 4

    def forward(self, x: Any, hx: Any = None) -> tuple:
        return self._step(x, (None, None) if hx is None else hx, _ops._lstm)


class GRUCell(_CellModule):
    """One step of GRU: forward(x, h=None) gives h."""

    _gates = 3

    def forward(self, x: Any, hx: Any = None) -> Tensor:
        return self._step(x, (hx,), _ops._gru)[0]


class RNNCell(_CellModule):
    """One step of RNN: forward(x, h=None) gives h."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh"
    ):
        self.nonlinearity = _checked_nonlinearity(nonlinearity, "RNNCell")
        super().__init__(input_size, hidden_size, bias)

    def forward(self, x: Any, hx: Any = None) -> Tensor:
        return self._step(x, (hx,), _ops._rnn, self.nonlinearity == "relu")[0]


__all__ = ["GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNCell"]
