# SPDX-License-Identifier: MIT
"""Gradients as Python sees them: backward, grad, modes, hooks, errors."""

import gc
import threading
import weakref

import numpy as np
import pytest
import tinyfin as tf
from tinyfin import Tensor


def leaf(*values):
    return Tensor(list(values), requires_grad=True)


def test_backward_adds_to_leaves():
    x = leaf(1, 2)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 4]
    (x * x).sum().backward()
    assert x.grad.tolist() == [4, 8]
    x.zero_grad()
    assert x.grad is None
    x.grad = [1, 1]
    assert x.grad.tolist() == [1, 1]
    x.grad = None
    assert x.grad is None


def test_gradient_at_the_root():
    x = leaf(1, 2)
    y = x * 3
    with pytest.raises(RuntimeError, match="expected"):
        y.backward()
    y.backward(Tensor([1.0, 10.0]))
    assert x.grad.tolist() == [3, 30]
    (x * 3).backward(upstream=[1, 1])
    assert x.grad.tolist() == [6, 33]
    with pytest.raises(ValueError):
        (x * 3).backward([1, 2, 3])
    with pytest.raises(TypeError):
        (x * 3).backward([1, 1], upstream=[1, 1])


def test_freed_graphs():
    x = leaf(2)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [8]
    with pytest.raises(RuntimeError, match="retain_graph"):
        y.backward()
    assert tf.get_retain_graph_default() is False
    tf.set_retain_graph_default(True)
    try:
        z = (x * x).sum()
        z.backward()
        z.backward()
    finally:
        tf.set_retain_graph_default(False)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_hands_out_a_gradient_once(reduction):
    # Its forward pass keeps the gradient, which backward scales in place or, while the graph is
    # retained, copies.
    rng = np.random.default_rng(4)
    logits, classes = rng.normal(size=(6, 5)), np.array([0, 4, 2, -100, 1, 1])
    upstream = rng.normal(size=6) if reduction == "none" else np.array(rng.normal())
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    slope = (chances - np.eye(5)[classes % 5]) * (classes >= 0)[:, None]
    slope = slope / 5 if reduction == "mean" else slope
    expected = slope * (upstream[:, None] if reduction == "none" else upstream)
    x = Tensor(logits, dtype="float64", requires_grad=True)
    loss = tf.cross_entropy(x, classes, reduction=reduction)
    for times in (1, 2, 3):
        loss.backward(Tensor(upstream, dtype="float64"), retain_graph=times < 3)
        np.testing.assert_allclose(x.grad.numpy(), times * expected, rtol=1e-12, atol=1e-15)
    with pytest.raises(RuntimeError, match="retain_graph"):
        loss.backward(Tensor(upstream, dtype="float64"))
    if reduction != "none":  # the gradient 1, for which nothing is computed
        x.grad = None
        tf.cross_entropy(x, classes, reduction=reduction).backward()
        np.testing.assert_allclose(x.grad.numpy(), slope, rtol=1e-12, atol=1e-15)


def test_grad_gives_gradients_of_gradients():
    x = leaf(2, 3)
    y = (x * x * x).sum()
    (first,) = tf.grad(y, [x], create_graph=True)
    assert first.tolist() == [12, 27] and x.grad is None
    second = tf.grad(first.sum(), x)
    assert second.tolist() == [12, 18]
    third = leaf(1)
    with pytest.raises(tf.Error):
        tf.grad((x * x).sum(), third)
    assert tf.grad((x * x).sum(), [x, third], allow_unused=True)[1] is None
    (weighted,) = tf.grad(x * 2, [x], grad_outputs=[Tensor([1.0, 5.0])])
    assert weighted.tolist() == [2, 10]
    with pytest.raises(ValueError, match="one for each"):
        tf.grad(x * 2, x, grad_outputs=[1, 2])


def test_modes_nest_and_decorate():
    x = leaf(1)
    with tf.no_grad():
        assert not tf.is_grad_enabled() and not (x * 2).requires_grad
        with tf.enable_grad():
            assert (x * 2).requires_grad
        assert not tf.is_grad_enabled()
    assert tf.is_grad_enabled()

    @tf.no_grad()
    def first():
        return (x * 2).requires_grad

    @tf.no_grad
    def second(value):
        """Doc."""
        return (x * value).requires_grad

    assert not first() and not second(2) and second.__doc__ == "Doc."
    with pytest.raises(KeyError), tf.no_grad():
        raise KeyError
    assert tf.is_grad_enabled() and tf.ctx.is_grad_enabled()


def test_mode_is_per_thread():
    seen = []
    with tf.no_grad():
        thread = threading.Thread(target=lambda: seen.append(tf.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_hooks_see_and_replace_gradients():
    x = leaf(1, 2)
    seen = []
    handle = x.register_hook(lambda g: seen.append(g.tolist()))
    other = x.register_hook(lambda g: g * 10)
    (x * 3).sum().backward()
    assert seen == [[3, 3]] and x.grad.tolist() == [30, 30]
    handle.remove()
    handle.remove()
    other.remove()
    x.zero_grad()
    (x * 3).sum().backward()
    assert len(seen) == 1 and x.grad.tolist() == [3, 3]
    y = x * 2
    y.register_hook(lambda g: g * 0)
    x.zero_grad()
    y.sum().backward()
    assert x.grad.tolist() == [0, 0]
    with pytest.raises(TypeError):
        x.register_hook(3)


def test_an_exception_in_a_hook_reaches_the_caller():
    x = leaf(1)

    def hook(gradient):
        raise KeyError("from the hook")

    handle = x.register_hook(hook)
    with pytest.raises(KeyError, match="from the hook"):
        (x * 2).sum().backward()
    handle.remove()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2]


def test_hooks_are_let_go_with_their_tensor():
    class Counter:
        def __call__(self, gradient):
            return None

    counter = Counter()
    gone = weakref.ref(counter)
    x = leaf(1)
    y = x * 2
    y.register_hook(counter)
    y.sum().backward()
    del counter, x, y
    gc.collect()
    assert gone() is None


def test_in_place_on_a_leaf_needs_no_grad():
    x = leaf(1, 2)
    with pytest.raises(RuntimeError, match="leaf"):
        x += 1
    with tf.no_grad():
        x += 1
    assert x.tolist() == [2, 3] and x.requires_grad
    same = x
    y = x * 1
    y += 1
    y.sum().backward()
    assert x is same and x.grad.tolist() == [1, 1]


def test_values_needed_for_backward_are_guarded():
    x = leaf(1, 2)
    y = x * 2
    z = (y * y).sum()
    y += 1
    with pytest.raises(RuntimeError, match="modified"):
        z.backward()


def test_requires_grad_of_integers_is_refused():
    with pytest.raises(TypeError):
        Tensor([1], dtype="int64", requires_grad=True)
    x = Tensor([1.0])
    x.requires_grad = True
    assert x.requires_grad_(False) is x and not x.requires_grad


def test_retain_grad_and_detach():
    x = leaf(1)
    y = x * 2
    y.retain_grad()
    (y * 3).sum().backward()
    assert y.grad.tolist() == [3]
    d = y.detach()
    assert not d.requires_grad and d.is_leaf
    d.data[0] = 8
    assert y.tolist() == [8]


def test_long_chains():
    x = leaf(1)
    y = x
    for _ in range(20000):
        y = y + 0
    y.sum().backward()
    assert x.grad.tolist() == [1]
    del y
    gc.collect()
