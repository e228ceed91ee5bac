# SPDX-License-Identifier: MIT
"""Attention, by its definition."""

import numpy as np
from opcheck import Sample


def attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None):
    scale = 1 / np.sqrt(max(q.shape[-1], 1)) if scale is None else scale
    scores = q @ np.swapaxes(k, -1, -2) * scale
    part = np.ones(scores.shape, bool)
    if is_causal:
        part &= np.tri(*scores.shape[-2:], dtype=bool)
    if attn_mask is not None and attn_mask.dtype == bool:
        part &= attn_mask
    elif attn_mask is not None:
        part &= attn_mask != -np.inf
        scores = scores + attn_mask
    scores = np.where(part, scores, -np.inf)
    if scores.shape[-1] == 0:
        return scores @ v
    top = scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isfinite(top), top, 0))
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total) @ v


def samples(rng):
    found = []

    def add(name, q, k, v, *more, grad=(0, 1, 2), **kwargs):
        q, k, v = (rng.normal(size=s) for s in (q, k, v))
        found.append(Sample("scaled_dot_product_attention", (q, k, v, *more), kwargs,
                            reference=attention, name=name, grad=grad))  # fmt: skip

    add("plain", (2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 7))
    add("one_pair", (4, 8), (5, 8), (5, 8))
    add("causal", (2, 7, 4), (2, 7, 4), (2, 7, 4), is_causal=True)
    add("causal_more_keys", (3, 4), (9, 4), (9, 4), is_causal=True)
    add("causal_more_queries", (9, 4), (3, 4), (3, 4), is_causal=True)
    add("blocks", (2, 70, 16), (2, 41, 16), (2, 41, 16))
    add("blocks_causal", (1, 2, 67, 8), (1, 2, 67, 8), (1, 2, 67, 8), is_causal=True)
    add("parts", (40, 3), (300, 3), (300, 4))
    add("parts_causal", (290, 3), (290, 3), (290, 2), is_causal=True)
    add("key_blocks", (35, 2), (1100, 2), (1100, 3))
    add("scale", (3, 4), (5, 4), (5, 2), scale=-0.7)
    add("broadcast_batch", (2, 1, 4, 3), (3, 5, 3), (1, 1, 5, 2))
    add("one_query", (2, 1, 40), (2, 50, 40), (2, 50, 40))

    some = rng.uniform(size=(2, 1, 6, 9)) < 0.6
    some[..., 0] = True
    add("mask", (2, 3, 6, 4), (2, 3, 9, 4), (2, 3, 9, 4), some)
    add("mask_shared", (2, 6, 4), (2, 9, 4), (2, 9, 4), some[0, 0], is_causal=True)
    add("mask_keys", (2, 6, 4), (2, 9, 4), (2, 9, 4), some[0, 0, :1])
    nowhere = some[0, 0].copy()
    nowhere[2] = False
    add("mask_nowhere", (2, 6, 4), (2, 9, 4), (2, 9, 4), nowhere)
    added = rng.normal(size=(6, 9))
    add("added", (2, 6, 4), (2, 9, 4), (2, 9, 4), added)
    add("added_grad", (2, 6, 4), (2, 9, 4), (2, 9, 4), added, grad=(0, 1, 2, 3))
    blocked = np.where(nowhere, added, -np.inf)
    add("added_nowhere", (2, 6, 4), (2, 9, 4), (2, 9, 4), blocked, is_causal=True)
    long = rng.uniform(size=(40, 530)) < 0.5
    add("mask_key_blocks", (40, 3), (530, 3), (530, 3), long)

    add("no_queries", (2, 0, 4), (2, 5, 4), (2, 5, 4))
    add("no_keys", (2, 3, 4), (2, 0, 4), (2, 0, 5))
    add("no_batch", (0, 3, 4), (0, 5, 4), (0, 5, 4))
    add("no_width", (3, 0), (5, 0), (5, 2))
    add("no_values", (3, 4), (5, 4), (5, 0))
    return found
