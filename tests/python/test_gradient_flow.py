# SPDX-License-Identifier: MIT
"""Gradients that are computed together with what becomes of them: products that wait for an
activation's derivative or for a sum, parts of one projection, residual connections. Each is
compared with the same network made of single ops."""

import numpy as np
import pytest
import tinyfin as tf
from tinyfin import Tensor, nn

F = nn.functional
rng = np.random.default_rng(4)


def leaf(*shape, dtype=np.float64):
    return Tensor.from_numpy(rng.normal(size=shape).astype(dtype)).requires_grad_(True)


ACTIVATIONS = {
    "none": lambda z: z,
    "relu": tf.relu,
    "gelu": tf.gelu,
    "gelu_tanh": lambda z: tf.gelu(z, "tanh"),
    "sigmoid": tf.sigmoid,
    "tanh": tf.tanh,
    "silu": tf.silu,
}


def single_ops(x, w, b, activation):
    z = (x * 1.0) @ (w * 1.0).T
    return ACTIVATIONS[activation](z + b)


def gradients(f, leaves, grad):
    for x in leaves:
        x.grad = None
    y = f(*leaves)
    y.backward(grad)
    return [y.detach().numpy()] + [x.grad.numpy() for x in leaves]


def compare(f, g, leaves):
    grad = Tensor.from_numpy(rng.normal(size=f(*leaves).shape))
    for ours, theirs in zip(gradients(f, leaves, grad), gradients(g, leaves, grad)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 7), (7,), (40, 7), (0, 7)])
def test_layer_after_layer(activation, shape):
    def network(layer):
        def run(x, w1, b1, w2, b2):
            return layer(layer(x, w1, b1, activation), w2, b2, "none")

        return run

    leaves = [leaf(*shape), leaf(18, 7), leaf(18), leaf(4, 18), leaf(4)]
    compare(network(F.linear), network(single_ops), leaves)


@pytest.mark.parametrize("activation", ["none", "relu", "gelu"])
def test_several_layers_share_an_input(activation):
    # Products wait at the same place, and one arrives where a sum is already.
    def network(layer):
        def run(x, w, b, u, v):
            h = layer(x, w, b, activation)
            first = layer(h, u, b[:6], "none")
            return first * layer(h, v, b[:6], "tanh") + h[:, :6] * 2

        return run

    leaves = [leaf(9, 5), leaf(8, 5), leaf(8), leaf(6, 8), leaf(6, 8)]
    compare(network(F.linear), network(single_ops), leaves)


def test_residual_connections():
    def network(layer, norm):
        def run(x, w, b, scale, shift):
            for _ in range(3):
                x = x + layer(norm(x, scale, shift), w, b, "gelu")
                x = layer(x, w, b, "none") + x
            return x

        return run

    def norm_by_ops(x, scale, shift):
        centred = x - x.mean(-1, keepdim=True)
        var = (centred * centred).mean(-1, keepdim=True)
        return centred / tf.sqrt(var + 1e-5) * scale + shift

    leaves = [leaf(2, 5, 8), leaf(8, 8), leaf(8), leaf(8), leaf(8)]
    fused = network(F.linear, lambda x, w, b: F.layer_norm(x, (8,), w, b))
    compare(fused, network(single_ops, norm_by_ops), leaves)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_residuals_inside_the_layer(activation):
    def fused(x, w, b, v, r):
        h = F.linear(x, w, b, activation, x)
        h = F.linear(F.linear(h, v), w[:, :5], b, None, h)
        return F.linear(h, w, b, activation, r)

    def apart(x, w, b, v, r):
        h = ACTIVATIONS[activation]((x @ w.T) + b + x)
        h = ((h @ v.T) @ w[:, :5].T + b) + h
        return ACTIVATIONS[activation](h @ w.T + b + r)

    compare(fused, apart, [leaf(2, 5, 8), leaf(8, 8), leaf(8), leaf(5, 8), leaf(5, 1)])


def test_a_residual_changes_no_bit():
    x, w, b, r = (leaf(*s, dtype=np.float32) for s in ((70, 96), (130, 96), (130,), (70, 130)))
    for i in (slice(None), slice(0, 20), slice(0, 1)):
        np.testing.assert_array_equal(
            F.linear(x[i], w, b, None, r[i]).detach().numpy(),
            (F.linear(x[i], w, b) + r[i]).detach().numpy(),
        )


@pytest.mark.parametrize("shape", [(2, 0, 7), (6, 7), (3, 5, 7), (7,)])
def test_gradients_of_weight_and_bias_from_odd_layouts(shape):
    w, b = leaf(4, 7), leaf(4)

    def network(layer):
        def run(x, w, b):
            y = layer(x, w, b, "none") if x.ndim < 3 else layer(x.swapaxes(0, 1), w, b, "none")
            return y.swapaxes(0, 1) if y.ndim > 1 else y

        return run

    compare(network(F.linear), network(single_ops), [leaf(*shape), w, b])
    # A gradient of one number everywhere; no inputs.
    for x, w in ((leaf(5, 7), w), (leaf(5, 0), leaf(4, 0))):
        b.grad = w.grad = None
        F.linear(x, w, b).sum().backward()
        np.testing.assert_allclose(b.grad.numpy(), np.full(4, 5.0))
        np.testing.assert_allclose(w.grad.numpy(), np.ones((4, 1)) * x.detach().numpy().sum(0))


def test_hooks_and_captures_see_gradients_that_wait():
    x, w, v = leaf(3, 4), leaf(5, 4), leaf(2, 5)
    grad = Tensor.from_numpy(rng.normal(size=(3, 2)))
    slope = (x.detach() @ w.detach().T > 0).double()
    inner = grad @ v.detach()

    h = F.linear(x, w, None, "relu")
    h.retain_grad()
    F.linear(h, v).backward(grad)
    np.testing.assert_allclose(h.grad.numpy(), inner.numpy())
    np.testing.assert_allclose(x.grad.numpy(), ((inner * slope) @ w.detach()).numpy())

    h = F.linear(x, w, None, "relu")
    answer = tf.autograd.grad(F.linear(h, v), [h, w], grad)
    np.testing.assert_allclose(answer[0].numpy(), inner.numpy())
    np.testing.assert_allclose(answer[1].numpy(), ((inner * slope).T @ x.detach()).numpy())

    h = F.linear(x, w, None, "relu")
    h.register_hook(lambda g: g * 3)
    x.grad = None
    F.linear(h, v).backward(grad)
    np.testing.assert_allclose(x.grad.numpy(), ((inner * slope * 3) @ w.detach()).numpy())


def test_a_hook_that_changes_a_weight_changes_no_gradient():
    # The product with v waits when the hook runs.
    x, w, v = leaf(3, 4), leaf(5, 4), leaf(5, 5)
    grad = Tensor.from_numpy(rng.normal(size=(3, 5)))
    expected = None
    for change in (False, True):
        x.grad = None
        side = x * 2

        def hook(g, change=change):
            if change:
                with tf.no_grad():
                    v.mul_(100)

        side.register_hook(hook)
        # `side` lies as deep as h and is visited first.
        h = F.linear(x, w)
        y = F.pad(side, (0, 1)) + F.linear(h, v)
        y.backward(grad)
        if expected is None:
            expected = x.grad.numpy().copy()
    np.testing.assert_allclose(x.grad.numpy(), expected)


def test_gradients_of_gradients_of_fused_layers():
    x, w, b = leaf(3, 4), leaf(4, 4), leaf(4)
    def with_residual(x, w, b, activation):
        return F.linear(x, w, b, activation, x)

    def residual_by_ops(x, w, b, activation):
        return ACTIVATIONS[activation](single_ops(x, w, b, "none") + x)

    for activation in ACTIVATIONS:
        second = []
        for layer, above in ((F.linear, with_residual), (single_ops, residual_by_ops)):
            y = above(layer(x, w, b, activation), w, b, activation)
            (g,) = tf.autograd.grad(y.sum(), [x], create_graph=True)
            # The bias takes no part where the activation is linear, or linear in pieces.
            second.append(tf.autograd.grad((g * g).sum(), [w, b], allow_unused=True))
        for ours, theirs in zip(*second):
            ours, theirs = (np.zeros(4) if t is None else t.numpy() for t in (ours, theirs))
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9, err_msg=activation)


@pytest.mark.parametrize("parts", ["one", "two", "three"])
def test_attention_on_parts_of_a_projection(parts):
    heads, width, time = 2, 5, 7

    def split(y):
        return y.reshape(3, time, heads, width).permute(0, 2, 1, 3)

    def run(attend):
        def network(x, w):
            y = F.linear(x, w)
            if parts == "three":
                q, k, v = y.chunk(3, 2)
            elif parts == "two":
                q, (k, v) = y[:, :, :10] * 2, y[:, :, 10:].chunk(2, 2)
            else:
                q = k = v = y[:, :, 10:20]
            return attend(split(q), split(k), split(v)).permute(0, 2, 1, 3).reshape(3, time, 10)

        return network

    def by_ops(q, k, v):
        scores = q @ k.permute(0, 1, 3, 2) * (1 / np.sqrt(width))
        return scores.softmax(-1) @ v

    leaves = [leaf(3, time, 6), leaf(30, 6)]
    compare(run(F.scaled_dot_product_attention), run(by_ops), leaves)


def test_retained_parts_of_a_joint_gradient():
    x = leaf(4, 6, 12)
    q, k, v = (t * 1.0 for t in x.chunk(3, 2))
    q, k, v = x.chunk(3, 2)
    for t in (q, k, v):
        t.retain_grad()
    F.scaled_dot_product_attention(q, k, v).sum().backward()
    joined = np.concatenate([t.grad.numpy() for t in (q, k, v)], 2)
    np.testing.assert_array_equal(x.grad.numpy(), joined)
    q.grad.mul_(0)
    np.testing.assert_array_equal(x.grad.numpy()[:, :, 4:], joined[:, :, 4:])
    np.testing.assert_array_equal(x.grad.numpy()[:, :, :4], joined[:, :, :4])


SLOPES = {
    **{name: f for name, f in ACTIVATIONS.items() if name not in ("none", "relu")},
    "elu": lambda z: tf.elu(z, 0.7),
    "leaky_relu": lambda z: tf.leaky_relu(z, 0.1),
}


@pytest.mark.parametrize("activation", SLOPES)
def test_only_a_gradient_that_nobody_else_sees_is_written_over(activation):
    f = SLOPES[activation]
    x, y = leaf(3, 20), leaf(3, 20)
    grad = Tensor.from_numpy(rng.normal(size=(3, 20)))
    before, seen = grad.numpy().copy(), []

    h = f(x)
    h.register_hook(lambda g: seen.append(g))
    h.retain_grad()
    (h + f(y)).backward(grad)
    for kept in (grad, h.grad, seen[0]):
        np.testing.assert_array_equal(kept.numpy(), before)
    expected = [x.grad.numpy().copy(), y.grad.numpy().copy()]

    x.grad = y.grad = None
    z = f(x) * 2 + f(y) * 2  # products of their own go into each
    z.backward(grad * 0.5, retain_graph=True)
    np.testing.assert_array_equal(x.grad.numpy(), expected[0])
    np.testing.assert_array_equal(y.grad.numpy(), expected[1])
    z.backward(grad * 0.5)
    np.testing.assert_array_equal(x.grad.numpy(), 2 * expected[0])
