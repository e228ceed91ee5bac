# SPDX-License-Identifier: MIT
"""Optimisers against PyTorch, their state, schedulers."""

import math

import numpy as np
import pytest
import tinyfin as tf
from tinyfin import Tensor, nn, optim, scheduler

PAIRS = [
    (lambda p: optim.SGD(p, 0.1), lambda o, p: o.SGD(p, 0.1)),
    (lambda p: optim.SGD(p, 0.1, 0.9, 0.01, True),
     lambda o, p: o.SGD(p, 0.1, 0.9, weight_decay=0.01, nesterov=True)),
    (lambda p: optim.Adam(p, 0.01, (0.8, 0.99), weight_decay=0.1),
     lambda o, p: o.Adam(p, 0.01, (0.8, 0.99), weight_decay=0.1)),
    (lambda p: optim.AdamW(p, 0.01), lambda o, p: o.AdamW(p, 0.01)),
    (lambda p: optim.RMSprop(p, 0.01, momentum=0.5),
     lambda o, p: o.RMSprop(p, 0.01, momentum=0.5)),
    (lambda p: optim.SGDOpt(p, 0.1, 0.9, 0.01), lambda o, p: o.SGD(p, 0.1, 0.9, weight_decay=0.01)),
    (lambda p: optim.AdamOpt(p, 0.01, 0.8, 0.99), lambda o, p: o.Adam(p, 0.01, (0.8, 0.99))),
    (lambda p: optim.RMSPropOpt(p, 0.01), lambda o, p: o.RMSprop(p, 0.01)),
]  # fmt: skip
START = np.linspace(-1, 1, 7, dtype=np.float32)


def run(optimizer, x, steps, clip=0.0):
    for i in range(steps):
        optimizer.zero_grad()
        ((x * x * (i + 1)).sum() + (x * 3).sum()).backward()
        optimizer.step(clip)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_updates_are_pytorchs(ours, theirs):
    torch = pytest.importorskip("torch")
    x, t = Tensor(START, requires_grad=True), torch.tensor(START, requires_grad=True)
    mine, its = ours([x]), theirs(torch.optim, [t])
    for _ in range(8):
        run(mine, x, 1)
        its.zero_grad()
        ((t * t).sum() + (t * 3).sum()).backward()
        its.step()
        np.testing.assert_allclose(x.data, t.detach().numpy(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_element_is_updated_once(threads):
    sizes = (1, 2047, 2048, 2049, 8193, 16384, 16385, 100_352, 130_001)
    params = [Tensor(np.arange(n, dtype=np.float32), requires_grad=True) for n in sizes]
    for p in params:
        p.grad = Tensor(np.arange(p.shape[0], dtype=np.float32) % 5)
    before = tf.num_threads()
    try:
        tf.set_num_threads(threads)
        optim.SGD(params, 0.5).step()
    finally:
        tf.set_num_threads(before)
    for p in params:
        i = np.arange(p.shape[0], dtype=np.float32)
        np.testing.assert_array_equal(p.data, i - 0.5 * (i % 5))


def test_groups_options_and_text():
    a, b, c = (Tensor([1.0], requires_grad=True) for _ in range(3))
    o = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    o.add_param_group({"params": [c], "momentum": 0.9})
    (a + b + c).sum().backward()
    o.step()
    assert [round(t.item(), 6) for t in (a, b, c)] == [0.9, 0.5, 0.9]
    assert [g["lr"] for g in o.param_groups] == [0.1, 0.5, 0.1]
    assert o.param_groups[2]["momentum"] == 0.9 and o.param_groups[1]["params"][0] is b
    o.lr = 0.3
    assert o.get_lr() == o.lr == 0.3 and [g["lr"] for g in o.param_groups] == [0.3] * 3
    o.set_lr(0.2)
    o.set_option("lr", 0.7, group=1)
    assert [g["lr"] for g in o.param_groups] == [0.2, 0.7, 0.2]
    assert "SGD(3 parameters, lr=0.2" in repr(o)


def test_values_per_parameter():
    a, b = (Tensor([1.0], requires_grad=True) for _ in range(2))
    o = optim.SGDOpt([a, b], lr_params=[0.1, 0.5], weight_decay_params=[0, 1])
    (a + b).sum().backward()
    o.step()
    assert (a.item(), b.item()) == (pytest.approx(0.9), pytest.approx(0.0))
    with pytest.raises(ValueError, match="one for each"):
        optim.SGDOpt([a, b], lr_params=[0.1])


def test_zero_grad_and_clipping():
    x = Tensor([3.0, 4.0], requires_grad=True)
    o = optim.SGD([x], lr=1.0)
    (x * x * 0.5).sum().backward()
    o.step(clip_norm=1.0)
    np.testing.assert_allclose(x.data, [2.4, 3.2], rtol=1e-5)
    assert x.grad.tolist() == [3, 4]
    o.zero_grad(set_to_none=False)
    assert x.grad.tolist() == [0, 0]
    o.zero_grad()
    assert x.grad is None
    before = x.tolist()
    o.step()
    assert x.tolist() == before


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda x: optim.SGD([], 0.1), ValueError),
        (lambda x: optim.SGD(x, 0.1), TypeError),
        (lambda x: optim.SGD([3], 0.1), TypeError),
        (lambda x: optim.SGD([x], -1), ValueError),
        (lambda x: optim.SGD([x], math.nan), ValueError),
        (lambda x: optim.SGD([x, x], 0.1), ValueError),
        (lambda x: optim.Adam([x], betas=(1.0, 0.9)), ValueError),
        (lambda x: optim.SGD([{"params": [x], "beta1": 0.5}], 0.1), ValueError),
        (lambda x: optim.SGD([{"params": [x], "speed": 1}], 0.1), ValueError),
        (lambda x: optim.SGD([{"tensors": [x]}], 0.1), TypeError),
        (lambda x: optim.SGD([Tensor([1], dtype="int64")], 0.1), (TypeError, ValueError)),
    ],
)
def test_bad_arguments(make, error):
    with pytest.raises(error):
        make(Tensor([1.0], requires_grad=True))


@pytest.mark.parametrize("ours", [p[0] for p in PAIRS])
def test_state_goes_on_where_it_stopped(ours, tmp_path):
    def fresh():
        x = Tensor(START, requires_grad=True)
        return ours([x]), x

    o, x = fresh()
    run(o, x, 3)
    o.lr = 0.07
    path = o.save_state(tmp_path / "state.bin")
    for way in ("file", "dict"):
        p, y = fresh()
        y.data = x.data
        p.load_state(path) if way == "file" else p.load_state_dict(o.state_dict())
        assert p.lr == 0.07
        q, z = fresh()
        z.data = x.data
        q.load_state_dict(o.state_dict())
        run(p, y, 3)
        run(q, z, 3)
        assert y.tolist() == z.tolist()


def test_state_of_another_shape_is_refused(tmp_path):
    o = optim.Adam([Tensor([1.0, 2.0], requires_grad=True)])
    run(o, o._params[0], 1)
    path = o.save_state(tmp_path / "s")
    for other in (
        optim.Adam([Tensor([1.0], requires_grad=True)]),
        optim.SGD([Tensor([1.0, 2.0], requires_grad=True)]),
        optim.Adam([Tensor([1.0, 2.0], True), Tensor([1.0], True)]),
    ):
        with pytest.raises(tf.CheckpointError):
            other.load_state(path)
    with pytest.raises(FileNotFoundError):
        o.load_state(tmp_path / "nothing")
    (tmp_path / "s").write_bytes((tmp_path / "s").read_bytes()[:-3])
    with pytest.raises(ValueError):
        o.load_state(path)


def lrs(make, steps):
    o = optim.SGD([Tensor([1.0], requires_grad=True)], lr=0.5)
    s = make(o)
    found = [o.lr]
    for _ in range(steps):
        s.step()
        found.append(s.get_lr())
    return found


def test_schedules():
    np.testing.assert_allclose(lrs(lambda o: scheduler.StepLR(o, 2, 0.1), 4),
                               [0.5, 0.5, 0.05, 0.05, 0.005])  # fmt: skip
    np.testing.assert_allclose(lrs(lambda o: scheduler.ExponentialLR(o, 0.5), 2),
                               [0.5, 0.25, 0.125])  # fmt: skip
    np.testing.assert_allclose(lrs(lambda o: scheduler.LinearWarmupLR(o, 4, 0.2), 5),
                               [0, 0.05, 0.1, 0.15, 0.2, 0.2])  # fmt: skip
    np.testing.assert_allclose(lrs(lambda o: scheduler.CosineAnnealingLR(o, 2, 0.1), 2),
                               [0.5, 0.3, 0.1])  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda o: scheduler.StepLR(o, 3, 0.5), lambda s, o: s.StepLR(o, 3, 0.5)),
        (lambda o: scheduler.OneCycleLR(o, 1.0, 10), lambda s, o: s.OneCycleLR(
            o, 1.0, 10, cycle_momentum=False)),
        (lambda o: scheduler.CosineAnnealingLR(o, 10), lambda s, o: s.CosineAnnealingLR(o, 10)),
    ],
)  # fmt: skip
def test_schedules_are_pytorchs(ours, theirs):
    torch = pytest.importorskip("torch")
    o = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.5)
    s = theirs(torch.optim.lr_scheduler, o)
    expected = [o.param_groups[0]["lr"]]
    for _ in range(9):
        o.step()
        s.step()
        expected.append(o.param_groups[0]["lr"])
    np.testing.assert_allclose(lrs(ours, 9), expected, rtol=1e-6)


def test_schedule_state(tmp_path):
    o = optim.SGD([Tensor([1.0], requires_grad=True)], lr=0.5)
    s = optim.StepLR(o, 2, 0.1)
    for _ in range(3):
        s.step()
    path = s.save_state(tmp_path / "s")
    p = optim.SGD([Tensor([1.0], requires_grad=True)], lr=9.0)
    t = tf.StepLR(p, 7)
    t.load_state(path)
    assert (p.lr, t.step_size, t.gamma, t.last_step) == (pytest.approx(0.05), 2, 0.1, 3)
    with pytest.raises(tf.CheckpointError, match="StepLR"):
        tf.ExponentialLR(p, 0.5).load_state(path)
    with pytest.raises(TypeError):
        tf.StepLR(3, 1)
    with pytest.raises(ValueError):
        tf.StepLR(p, 0)


def test_training_a_network_lowers_the_loss():
    tf.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16, activation="tanh"), nn.Linear(16, 1))
    x = Tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
    y = Tensor([[0], [1], [1], [0]])
    o = optim.Adam(model.parameters(), lr=0.05)
    for _ in range(200):
        loss = nn.mse_loss(model(x), y)
        loss.backward()
        o.step()
        o.zero_grad()
    assert loss.item() < 0.01
