# SPDX-License-Identifier: MIT
"""What a call of a layer runs: the engine, or a function of Python that somebody put in its way."""

import copy

import numpy as np
import pytest
import tinyfin as tf
from tinyfin import Tensor, nn

X2 = np.random.default_rng(3).standard_normal((5, 6)).astype(np.float32)


def test_what_changes_how_a_layer_runs():
    x = Tensor(X2)
    inner = nn.Sequential(nn.Linear(4, 4))
    network = nn.Sequential(nn.Linear(6, 4), inner)
    before = network(x)
    # A module inside one that is inside.
    inner.append(nn.ReLU())
    assert network(x).tolist() == before.relu().tolist()
    # A forward() of one object, and its end.
    inner[0].forward = lambda y: y * 0
    assert network(x).tolist() == inner(before).tolist() == np.zeros((5, 4)).tolist()
    del inner[0].forward
    assert network(x).tolist() == before.relu().tolist()
    # A hook inside, and its end.
    handle = inner[0].register_forward_hook(lambda m, args, out: out * 0)
    assert network(x).tolist() == np.zeros((5, 4)).tolist()
    handle.remove()
    assert network(x).tolist() == before.relu().tolist()
    # A copy has its hooks.
    inner[0].register_forward_hook(lambda m, args, out: out * 0)
    assert copy.deepcopy(network)(x).tolist() == np.zeros((5, 4)).tolist()


def test_what_changes_how_a_class_of_layers_runs(monkeypatch):
    class Mine(nn.Linear):
        pass

    layer, x = Mine(6, 2), Tensor(X2)
    assert layer(x).shape == (5, 2)
    monkeypatch.setattr(Mine, "forward", lambda self, x: "forward", raising=False)
    assert layer(x) == "forward" and layer(x=x) == "forward"
    monkeypatch.setattr(Mine, "__call__", lambda self, x: "call", raising=False)
    assert layer(x) == "call"


def test_calls_of_layers_with_other_arguments():
    layer = nn.Linear(6, 2)
    expected = layer(Tensor(X2)).tolist()
    assert layer(X2).tolist() == layer(x=Tensor(X2)).tolist() == expected
    assert layer(Tensor(X2), **{}).tolist() == expected
    for arguments in ((), (Tensor(X2), Tensor(X2))):
        with pytest.raises(TypeError, match="forward"):
            layer(*arguments)
    with pytest.raises(ValueError, match=r"^\[module_forward\] received x of shape \(2, 5\)"):
        layer(Tensor(np.ones((2, 5))))
    with tf.no_grad():
        assert not layer(Tensor(X2)).requires_grad
    assert layer(Tensor(X2)).requires_grad
