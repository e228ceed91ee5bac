# SPDX-License-Identifier: MIT
"""Losses as modules against PyTorch's; init.orthogonal."""

import numpy as np
import pytest
import tinyfin as tf
from tinyfin import Tensor, nn

RNG = np.random.default_rng(0)
SCORES = RNG.standard_normal((6, 4)).astype(np.float32)
CLASSES = np.array([0, 3, 1, 2, 3, 0])
CHANCES = RNG.uniform(0.05, 0.95, (6, 4)).astype(np.float32)
TARGETS = RNG.uniform(0, 1, (6, 4)).astype(np.float32)
WEIGHTS = np.array([0.5, 1.0, 2.0, 0.1], np.float32)

LOSSES = [
    ("CrossEntropyLoss", SCORES, CLASSES, (None, WEIGHTS)),
    ("CrossEntropyLoss", SCORES, TARGETS, (None,)),
    ("NLLLoss", SCORES, CLASSES, (None, WEIGHTS)),
    ("BCELoss", CHANCES, TARGETS, (None, WEIGHTS)),
    ("BCEWithLogitsLoss", SCORES, TARGETS, (None, WEIGHTS)),
    ("MSELoss", SCORES, TARGETS, ()),
    ("L1Loss", SCORES, TARGETS, ()),
    ("HuberLoss", SCORES, TARGETS, ()),
]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("name", "pred", "target", "weights"), LOSSES, ids=lambda v: str(v)[:20])
def test_loss_is_pytorchs(name, pred, target, weights, reduction):
    torch = pytest.importorskip("torch")
    for weight in weights or (None,):
        options = {"reduction": reduction}
        its_options = dict(options)
        if weight is not None:
            options["weight"], its_options["weight"] = weight, torch.from_numpy(weight)
        mine = Tensor(pred).requires_grad_()
        its = torch.from_numpy(pred.copy()).requires_grad_()
        y = getattr(nn, name)(**options)(mine, Tensor.from_numpy(target))
        z = getattr(torch.nn, name)(**its_options)(its, torch.from_numpy(target))
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-5, atol=1e-6)
        y.sum().backward()
        z.sum().backward()
        np.testing.assert_allclose(mine.grad.numpy(), its.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_huber_delta():
    torch = pytest.importorskip("torch")
    z = torch.nn.HuberLoss(delta=0.3)(torch.from_numpy(SCORES), torch.from_numpy(TARGETS))
    y = nn.HuberLoss(delta=0.3)(Tensor(SCORES), Tensor(TARGETS))
    assert y.item() == pytest.approx(z.item(), rel=1e-5)


@pytest.mark.parametrize("name", ["CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss",
                                  "MSELoss", "L1Loss", "HuberLoss"])  # fmt: skip
def test_first_string_is_the_reduction(name):
    assert getattr(nn, name)("sum").reduction == "sum"


def test_bce_loss():
    a = nn.bce_loss(Tensor(SCORES), Tensor(TARGETS), logits=True)
    b = nn.bce_loss(Tensor(SCORES).sigmoid(), Tensor(TARGETS))
    assert a.item() == pytest.approx(b.item(), rel=1e-5)


def test_weight_is_part_of_the_state():
    loss = nn.CrossEntropyLoss(WEIGHTS)
    np.testing.assert_array_equal(loss.state_dict()["weight"], WEIGHTS)


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (4, 2, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_orthogonal(shape, dtype):
    tf.manual_seed(1)
    x = nn.init.orthogonal(tf.zeros(*shape, dtype=dtype), gain=2.0)
    m = x.numpy().astype(float).reshape(shape[0], -1)
    product = m @ m.T if m.shape[0] <= m.shape[1] else m.T @ m
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)
    assert x.dtype == dtype


def test_orthogonal_errors():
    with pytest.raises(ValueError, match="two dimensions"):
        nn.init.orthogonal(tf.zeros(3))
    assert nn.init.orthogonal(tf.zeros(0, 3)).shape == (0, 3)


def test_group_norm_errors():
    with pytest.raises(ValueError, match="divides"):
        nn.GroupNorm(4, 6)
