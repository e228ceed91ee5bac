# SPDX-License-Identifier: MIT
"""Attention in several heads, and the transformer layer around it."""

from __future__ import annotations

from typing import Any

from .. import _convert, _ops
from .._native import lib
from ..errors import ShapeError
from ..tensor import Tensor
from .layers import Dropout, LayerNorm, Linear
from .module import Module
from .native import NativeModule, handle_of, make


class MultiheadAttention(NativeModule):
    """Attention in num_heads parts; in attn_mask True is blocked (not so in the function).

    forward(q, k, v, attn_mask=None): q (B, Tq, E), k and v (B, Tk, E), by default the tensor
    before; the mask bool (Tq, Tk) or (B, Tq, Tk), or floats that are added to the scores; result
    (B, Tq, E). causal: place i of q sees places 0 to i of k. Weights q_weight, k_weight, v_weight,
    o_weight (E, E). Vaswani et al. 2017.
    """

    def __init__(self, embed_dim: int, num_heads: int, causal: bool = False):
        self.embed_dim = _convert.integer(embed_dim, "embed_dim", "MultiheadAttention")
        self.num_heads = _convert.integer(num_heads, "num_heads", "MultiheadAttention")
        self.causal = bool(causal)
        self._adopt()

    def _build(self) -> Any:
        return make(
            lib.tf_module_multihead_attention, self.embed_dim, self.num_heads, self.causal
        )

    def _heads(self, x: Any, weight: Tensor, name: str) -> Tensor:
        x = _convert.tensor(x, name, "MultiheadAttention", True)
        if x.ndim != 3 or x.shape[2] != self.embed_dim:
            raise ShapeError(
                f"[MultiheadAttention] received {name} of shape {x.shape}; expected (batch, time, "
                f"{self.embed_dim})"
            )
        y = _ops.linear(x, weight)
        return y.reshape(*x.shape[:2], self.num_heads, -1).swapaxes(1, 2)

    def _mixed(self, q: Any, k: Any, v: Any, attn_mask: Any) -> Tensor:
        """All heads side by side, before the last projection."""
        k = q if k is None else k
        v = k if v is None else v
        if attn_mask is not None:
            attn_mask = _convert.tensor(attn_mask, "attn_mask", "MultiheadAttention", True)
            if attn_mask.dtype == "bool":
                attn_mask = _ops.logical_not(attn_mask)
            if attn_mask.ndim == 3:
                attn_mask = attn_mask.unsqueeze(1)
        y = _ops.scaled_dot_product_attention(
            self._heads(q, self.q_weight, "q"), self._heads(k, self.k_weight, "k"),
            self._heads(v, self.v_weight, "v"), attn_mask, is_causal=self.causal,
        )  # fmt: skip
        return y.swapaxes(1, 2).flatten(2)

    def forward(self, q: Any, k: Any = None, v: Any = None, attn_mask: Any = None) -> Tensor:
        return _ops.linear(self._mixed(q, k, v, attn_mask), self.o_weight)

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, {self.num_heads}, causal={self.causal}"


# With one argument it is what the engine's layer does, but for its errors.
MultiheadAttention._runs = MultiheadAttention.forward
MultiheadAttention._called_by_engine = False


def _added_inside(layer: Any, kind: type, dropout: Any) -> bool:
    """Whether a residual can go into the layer: nobody asks what comes out of it without."""
    idle = type(dropout) is Dropout and (dropout.p == 0 or not dropout.training)
    plain = type(layer) is kind and getattr(layer, "activation", None) is None
    return idle and plain and None not in (handle_of(layer), handle_of(dropout))


class TransformerEncoderLayer(Module):
    """Self-attention, then two linear layers, each added to its input and normalised.

    forward(x, src_mask=None): x (T, B, d_model), (B, T, d_model) where batch_first; src_mask as
    MultiheadAttention's. norm_first normalises what goes in instead of what comes out.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Any = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        causal: bool = False,
    ):
        self.self_attn = MultiheadAttention(d_model, nhead, causal)
        self.linear1 = Linear(d_model, dim_feedforward, activation=activation)
        self.linear2 = Linear(dim_feedforward, d_model)
        self.norm1, self.norm2 = (LayerNorm(d_model, layer_norm_eps) for _ in range(2))
        self.dropout, self.dropout1, self.dropout2 = (Dropout(dropout) for _ in range(3))
        self.batch_first, self.norm_first = bool(batch_first), bool(norm_first)

    # A branch of x, and `residual`.
    def _attend(self, x: Tensor, mask: Any, residual: Tensor) -> Tensor:
        layer = self.self_attn
        if _added_inside(layer, MultiheadAttention, self.dropout1):
            mixed = layer._mixed(x, x, x, mask)
            return _ops.linear(mixed, layer.o_weight, residual=residual)
        return residual + self.dropout1(layer(x, x, x, mask))

    def _feed(self, x: Tensor, residual: Tensor) -> Tensor:
        x, layer = self.dropout(self.linear1(x)), self.linear2
        if _added_inside(layer, Linear, self.dropout2):
            return _ops.linear(x, layer.weight, layer.bias, residual=residual)
        return residual + self.dropout2(layer(x))

    def forward(self, x: Any, src_mask: Any = None) -> Tensor:
        x = _convert.tensor(x, "x", "TransformerEncoderLayer", True)
        if not self.batch_first:
            x = x.swapaxes(0, 1)
        if self.norm_first:
            x = self._attend(self.norm1(x), src_mask, x)
            x = self._feed(self.norm2(x), x)
        else:
            x = self.norm1(self._attend(x, src_mask, x))
            x = self.norm2(self._feed(x, x))
        return x if self.batch_first else x.swapaxes(0, 1)


__all__ = ["MultiheadAttention", "TransformerEncoderLayer"]
