# SPDX-License-Identifier: MIT
"""Attention: what samples do not say (PyTorch's results, layouts, accuracy, errors, modules)."""

import math

import numpy as np
import pytest
import tinyfin as tf
from opcheck import threads
from tinyfin import Tensor, nn
from tinyfin.nn import functional as F

attend = F.scaled_dot_product_attention


def heads(rng, batch, heads, time, width, dtype=np.float32):
    """(batch, heads, time, width) as a view of (batch, time, heads, width), as layers make it."""
    x = rng.standard_normal((batch, time, heads, width)).astype(dtype)
    return x, Tensor.from_numpy(x).permute(0, 2, 1, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("time", [1, 5, 64, 100, 600])
@pytest.mark.parametrize("kind", ["plain", "causal", "bool", "added"])
def test_is_pytorchs(dtype, time, kind):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(time)
    arrays, mine = zip(*(heads(rng, 2, 3, time, 20, dtype) for _ in range(3)))
    mine = [t.detach().requires_grad_() for t in mine]
    its = [torch.from_numpy(a).permute(0, 2, 1, 3).requires_grad_() for a in arrays]
    mask = None
    if kind == "bool":
        mask = rng.uniform(size=(2, 1, time, time)) < 0.7
        mask[..., 0] = True
    if kind == "added":
        mask = rng.standard_normal((time, time)).astype(dtype)
    y = attend(*mine, None if mask is None else Tensor.from_numpy(mask), is_causal=kind == "causal")
    z = torch.nn.functional.scaled_dot_product_attention(
        *its, None if mask is None else torch.from_numpy(mask), is_causal=kind == "causal"
    )
    close = {"rtol": 2e-4, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), **close)
    g = rng.standard_normal(y.shape).astype(dtype)
    for a, b in zip(tf.grad([y], mine, [Tensor.from_numpy(g)]),
                    torch.autograd.grad([z], its, [torch.from_numpy(g)])):  # fmt: skip
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), **close)


def test_accuracy_against_the_definition_in_float64():
    rng = np.random.default_rng(3)
    q, k, v = (rng.standard_normal((1, 700, 64)).astype(np.float32) for _ in range(3))
    q *= 3  # weights far apart, as in trained networks
    scores = q.astype(float) @ k.astype(float).swapaxes(1, 2) / 8
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    want = weights / weights.sum(-1, keepdims=True) @ v.astype(float)
    got = attend(Tensor(q), Tensor(k), Tensor(v)).detach().numpy()
    assert np.abs(got - want).max() < 2e-6 * np.abs(want).max()


def test_result_is_merged_without_a_copy():
    x = tf.randn(2, 5, 3, 4).permute(0, 2, 1, 3)
    y = attend(x, x, x).permute(0, 2, 1, 3)
    assert y.is_contiguous()


def test_queries_that_may_look_nowhere():
    rng = np.random.default_rng(0)
    q, k, v = (Tensor(rng.standard_normal((4, 8))).requires_grad_() for _ in range(3))
    mask = np.ones((4, 4), bool)
    mask[1] = False
    for given in (mask, np.where(mask, 0, -np.inf).astype(np.float32)):
        y = attend(q, k, v, Tensor.from_numpy(given))
        grads = tf.grad([y.sum()], [q, k, v])
        assert (y.detach().numpy()[1] == 0).all() and (grads[0].detach().numpy()[1] == 0).all()
        assert all(np.isfinite(g.detach().numpy()).all() for g in (y, *grads))


def test_nan_and_infinity_reach_their_rows_only():
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((6, 8)).astype(np.float32) for _ in range(3))
    q[2, 3] = np.nan
    q[4, 1] = np.inf
    y = attend(Tensor(q), Tensor(k), Tensor(v)).detach().numpy()
    assert np.isnan(y[[2, 4]]).all() and np.isfinite(y[[0, 1, 3, 5]]).all()


def test_scores_far_apart():
    q, k, v = (Tensor(np.full((2, 3, 4), c, np.float32)) for c in (200.0, 300.0, 7.0))
    np.testing.assert_allclose(attend(q, k, v).detach().numpy(), 7.0, rtol=1e-6)
    np.testing.assert_allclose(attend(q, -k, v).detach().numpy(), 7.0, rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 700, 32), (24, 2, 70, 16)])
def test_same_bits_for_any_number_of_threads(shape):
    rng = np.random.default_rng(1)
    q, k, v = (Tensor(rng.standard_normal(shape)).requires_grad_() for _ in range(3))

    def bits():
        y = attend(q, k, v, is_causal=True)
        return [t.detach().numpy().tobytes() for t in (y, *tf.grad([(y * y).sum()], [q, k, v]))]

    with threads(1):
        alone = bits()
    for n in (2, 3, 4):
        with threads(n):
            assert bits() == alone, f"{n} threads"


def test_dropout_keeps_the_mean():
    tf.manual_seed(0)
    x = tf.randn(2, 40, 8)
    v = tf.ones(2, 40, 8)
    y = attend(x, x, v, dropout_p=0.25)
    assert abs(y.mean().item() - 1) < 0.05 and (y.detach().numpy() != 1).any()


def test_errors():
    q = tf.zeros(2, 3, 4)
    with pytest.raises(ValueError, match=r"\[scaled_dot_product_attention\].*expected \(…, T, d\)"):
        attend(q, tf.zeros(2, 3, 5), q)
    with pytest.raises(ValueError, match="expected"):
        attend(q, q, tf.zeros(2, 4, 4))
    with pytest.raises(ValueError, match="broadcast"):
        attend(q, tf.zeros(3, 3, 4), q)
    with pytest.raises(ValueError, match="attn_mask"):
        attend(q, q, q, tf.ones(3, 4, dtype="bool"))
    with pytest.raises(TypeError, match="attn_mask"):
        attend(q, q, q, tf.ones(3, 3, dtype="int64"))
    with pytest.raises(TypeError, match="query"):
        attend(tf.zeros(2, 3, 4, dtype="int64"), q, q)
    with pytest.raises(ValueError, match="dropout_p"):
        attend(q, q, q, dropout_p=1.5)
    with pytest.raises(ValueError, match="expected"):
        attend(tf.zeros(4), q, q)


# --- modules --------------------------------------------------------------------------------


@pytest.mark.parametrize("per_batch", [False, True])
def test_multihead_attention_is_pytorchs(per_batch):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    layer = nn.MultiheadAttention(12, 3)
    names = ["q_weight", "k_weight", "v_weight", "o_weight"]
    assert [n for n, _ in layer.named_parameters()] == names
    other = torch.nn.MultiheadAttention(12, 3, bias=False, batch_first=True)
    state = layer.state_dict()
    packed = np.concatenate([state[n] for n in names[:3]])
    other.load_state_dict({"in_proj_weight": torch.from_numpy(packed),
                           "out_proj.weight": torch.from_numpy(state["o_weight"])})  # fmt: skip
    q = rng.standard_normal((2, 5, 12)).astype(np.float32)
    k, v = (rng.standard_normal((2, 7, 12)).astype(np.float32) for _ in range(2))
    mask = rng.uniform(size=(2, 5, 7) if per_batch else (5, 7)) < 0.4
    mask[..., 0] = False
    y = layer(q, k, v, attn_mask=mask)
    its_mask = torch.from_numpy(np.repeat(mask, 3, 0) if per_batch else mask)
    z, _ = other(*map(torch.from_numpy, (q, k, v)), attn_mask=its_mask)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_multihead_attention_in_a_sequential():
    layer = nn.MultiheadAttention(8, 2, causal=True)
    x = tf.randn(3, 5, 8)
    np.testing.assert_array_equal(
        nn.Sequential(layer)(x).detach().numpy(), layer(x, x, x).detach().numpy()
    )
    blocked = np.triu(np.ones((5, 5), bool), 1)
    plain = nn.MultiheadAttention(8, 2)
    plain.load_state_dict(layer.state_dict())
    masked = plain(x, attn_mask=blocked).detach().numpy()
    np.testing.assert_allclose(masked, layer(x).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_multihead_attention_errors():
    with pytest.raises(ValueError, match="divisible"):
        nn.MultiheadAttention(10, 3)
    layer = nn.MultiheadAttention(8, 2)
    with pytest.raises(ValueError, match=r"received q of shape \(5, 8\)"):
        layer(tf.zeros(5, 8))
    with pytest.raises(ValueError, match="received x of shape"):
        nn.Sequential(layer)(tf.zeros(2, 5, 7))


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_transformer_encoder_layer_is_pytorchs(norm_first, batch_first):
    torch = pytest.importorskip("torch")
    options = {"batch_first": batch_first, "norm_first": norm_first}
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", **options)
    other = torch.nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", **options)
    state = {n: torch.from_numpy(v) for n, v in layer.state_dict().items()}
    q, k, v, o = (state.pop(f"self_attn.{n}_weight") for n in "qkvo")
    state["self_attn.in_proj_weight"] = torch.cat([q, k, v])
    state["self_attn.out_proj.weight"] = o
    missing, unknown = other.load_state_dict(state, strict=False)
    assert not unknown and all("bias" in n for n in missing)
    x = np.random.default_rng(0).standard_normal((3, 5, 8)).astype(np.float32)
    y, z = layer(x), other(torch.from_numpy(x))
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm_first", [False, True])
def test_transformer_encoder_layer_adds_residuals_inside_and_outside(norm_first):
    # Whoever listens to a part of the layer hears it without the residual, and gets the same bits.
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.5, batch_first=True, norm_first=norm_first)
    x = np.random.default_rng(0).standard_normal((3, 5, 8)).astype(np.float32)
    layer.eval()
    inside = layer(x).detach().numpy()
    heard = []
    for part in (layer.self_attn, layer.linear2):
        part.register_forward_hook(lambda module, args, output: heard.append(output))
    np.testing.assert_array_equal(layer(x).detach().numpy(), inside)
    feed = layer.linear2(layer.linear1(layer.norm2(x) if norm_first else x))
    assert len(heard) == 3 and heard[0].shape == (3, 5, 8)
    np.testing.assert_array_equal(feed.detach().numpy(), heard[2].detach().numpy())
    layer.linear2 = nn.Linear(16, 8, activation="relu")
    outside = layer(x).detach().numpy()
    layer.linear2.register_forward_hook(lambda *_: None)
    np.testing.assert_array_equal(layer(x).detach().numpy(), outside)
    layer.train()
    assert (layer(x).detach().numpy() != layer(x).detach().numpy()).any()


def test_weights_start_within_their_bound():
    layer = nn.MultiheadAttention(64, 4)
    bound = math.sqrt(6 / 128)
    for p in layer.parameters():
        assert 0.9 * bound < np.abs(p.detach().numpy()).max() <= bound
