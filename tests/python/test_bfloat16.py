# SPDX-License-Identifier: MIT
"""bfloat16 tensors: making, casting, exchange with other libraries, promotion, training."""

import gc
import pickle
import sys

import compare_backends
import ml_dtypes
import numpy as np
import pytest
import tinyfin as tf
from tinyfin import DTYPE, Tensor, nn
from tinyfin._native import lib

BF16 = ml_dtypes.bfloat16
DEVICES = ["cpu", "ref"]


def has(device):
    return device == "cpu" or compare_backends.devices(device)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(BF16)


def test_dtype():
    assert DTYPE.BFLOAT16.itemsize == 2 and DTYPE.BFLOAT16.is_floating_point
    for spelling in ("bfloat16", DTYPE.BFLOAT16, BF16, np.dtype(BF16)):
        x = Tensor([1.0, 2.5], dtype=spelling)
        assert x.dtype == spelling and x.dtype is DTYPE.BFLOAT16
    assert DTYPE.BFLOAT16 != "float16" and DTYPE.BFLOAT16 != "float32"
    with pytest.raises(TypeError, match="expected one of .*bfloat16"):
        Tensor([1.0], dtype="float16")


def test_values_are_rounded_once_on_the_way_in():
    # float32 would round this to the middle of two bfloat16, and that to the even one.
    above_the_middle = 1 + 2.0**-8 + 2.0**-40
    for data in (above_the_middle, [above_the_middle], np.array(above_the_middle)):
        assert Tensor(data, dtype="bfloat16").reshape(1).item() == 1 + 2.0**-7
    assert tf.full((2,), above_the_middle, dtype="bfloat16").tolist() == [1 + 2.0**-7] * 2
    assert Tensor([300, 257], dtype="int64").bfloat16().tolist() == [300, 256]
    assert Tensor([float("nan")], dtype="bfloat16").isnan().item()
    assert Tensor([1e39, -1e39], dtype="bfloat16").tolist() == [float("inf"), -float("inf")]


@pytest.mark.parametrize("activation", ["none", "relu", "sigmoid", "tanh", "gelu"])
def test_gradients_of_layers(activation):
    data = [normal(*s, seed=i) for i, s in enumerate([(70, 48), (40, 48), (40,), (40, 40), (40,)])]
    answers = []
    for dtype in ("bfloat16", "float32"):
        x, w, b, v, c = (Tensor(d, dtype=dtype).requires_grad_(True) for d in data)
        h = nn.functional.linear(x, w * 0.2, b, activation)
        y = nn.functional.linear(h, v, c, activation, h)
        y.backward(Tensor(normal(70, 40, seed=9), dtype=dtype))
        answers.append([y] + [t.grad for t in (x, w, b, v, c)])
    for ours, wide in zip(*answers):
        assert ours.dtype == "bfloat16"
        # As a whole: relu's derivative is another one where rounding changes a sign.
        wide = wide.detach().numpy()
        far = np.linalg.norm(ours.detach().numpy().astype(np.float32) - wide)
        assert far < 0.1 * np.linalg.norm(wide)


def test_out_of_tensors():
    x = Tensor([[1.0, -2.5], [0.1, 0]], dtype="bfloat16")
    assert x.tolist() == [[1, -2.5], [0.10009765625, 0]]
    assert x[0, 1].item() == -2.5 and float(x[0, 1]) == -2.5
    assert repr(x) == "Tensor([[    1.,   -2.5],\n        [0.1001,     0.]], dtype=bfloat16)"
    assert Tensor([], dtype="bfloat16").tolist() == []
    y = pickle.loads(pickle.dumps(x))
    assert y.dtype == "bfloat16" and y.tolist() == x.tolist()


def test_numpy_shares_memory_through_ml_dtypes():
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], dtype="bfloat16")
    a = x.T.numpy()
    assert a.dtype == BF16 and a.tolist() == [[1, 3], [2, 4]]
    a[0, 1] = 9
    assert x[1, 0].item() == 9
    assert tf.zeros(0, 3, dtype="bfloat16").numpy().dtype == BF16
    assert Tensor(2.0, dtype="bfloat16").numpy().shape == ()
    y = Tensor.from_numpy(a)
    assert y.dtype == "bfloat16" and y.tolist() == a.tolist()
    assert Tensor(a).dtype == "float32" and Tensor(a, dtype="int32").tolist() == [[1, 9], [2, 4]]
    if has("ref"):
        assert Tensor(a, dtype="bfloat16", device="ref").numpy().tolist() == a.tolist()


def test_numpy_without_ml_dtypes(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    x = Tensor([1.0], dtype="bfloat16")
    with pytest.raises(TypeError, match="cast it to float32"):
        x.numpy()
    assert x.float().numpy().tolist() == x.tolist() == [1]


def test_dlpack():
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], dtype="bfloat16")
    y = tf.from_dlpack(x.T)
    assert y.dtype == "bfloat16" and y.tolist() == [[1, 3], [2, 4]]
    y[0, 1] = 9
    assert x[1, 0].item() == 9
    del x
    gc.collect()
    assert y.tolist() == [[1, 9], [2, 4]]


def test_dlpack_with_torch():
    torch = pytest.importorskip("torch")
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], dtype="bfloat16")
    t = torch.from_dlpack(x)
    assert t.dtype is torch.bfloat16 and x.dtype == torch.bfloat16
    t[0, 0] = 9
    assert x.tolist()[0][0] == 9
    assert tf.from_dlpack(torch.arange(4.0).bfloat16()).tolist() == [0, 1, 2, 3]


PROMOTED = {
    "float32": "float32",
    "float64": "float64",
    "int32": "float64",
    "int64": "float64",
    "bool": "bfloat16",
    "bfloat16": "bfloat16",
}


@pytest.mark.parametrize("other", PROMOTED)
def test_promotion(other):
    x, y = Tensor([2.0], dtype="bfloat16"), Tensor([1], dtype=other)
    for result in (x + y, y + x, tf.concat([x, y]), tf.where(Tensor([True]).bool(), x, y)):
        assert result.dtype == PROMOTED[other]
    assert (x < y).dtype == "bool"
    if other != "bool":
        assert (x.reshape(1, 1) @ y.reshape(1, 1)).dtype == PROMOTED[other]


def test_numbers_follow_the_tensor():
    x = Tensor([2.0, 3.0], dtype="bfloat16")
    for result in (x + 1, x * 0.5, 1 - x, x / 3, x**2, x + True, tf.maximum(x, 2.5), -x):
        assert result.dtype == "bfloat16"
    assert (x == 2).tolist() == [True, False]
    assert x.sum().dtype == x.mean().dtype == x.exp().dtype == "bfloat16"
    assert x.sum(dtype="float32").dtype == "float32" and x.argmax().dtype == "int64"


@pytest.mark.parametrize("device", DEVICES)
def test_sums_are_float32s(device):
    if not has(device):
        pytest.skip(f"no {device} device")
    x = tf.ones(3000, dtype="bfloat16", device=device)
    assert x.sum().item() == 3008  # the nearest; added up in bfloat16 it would stay at 256
    assert x.mean().item() == 1
    big = tf.full((40, 40), 3e38, dtype="bfloat16", device=device)
    assert (big * 0 + 1).sum().item() == 1600
    a = tf.ones(2, 1000, dtype="bfloat16", device=device)
    assert (a @ a.T).tolist() == [[1000, 1000], [1000, 1000]]
    index = tf.zeros(1000, dtype="int64", device=device)
    assert tf.zeros(2, dtype="bfloat16", device=device).scatter_add(0, index, a[0]).tolist()[0] in (
        [1000] if device == "cpu" else [256, 1000]
    )


@pytest.mark.parametrize("device", DEVICES)
def test_in_place(device):
    if not has(device):
        pytest.skip(f"no {device} device")
    x = Tensor(normal(4, 6), dtype="bfloat16", device=device)
    want = np.array(x.tolist())
    part = x[1:3, ::2]
    part += 1
    want[1:3, ::2] = (want[1:3, ::2] + 1).astype(BF16)
    assert x.tolist() == want.tolist()
    x *= x
    assert x.tolist() == (want * want).astype(BF16).tolist()
    with pytest.raises(TypeError, match="whose result is float32"):
        x.add_(Tensor([1.0], device=device))
    x[0] = 7
    x.fill_(0.1)
    assert x.tolist() == [[0.10009765625] * 6] * 4
    x.copy_(Tensor(2.0, dtype="float64", device=device))
    assert x.sum().item() == 48


def test_uniform_numbers_stay_below_the_end():
    tf.manual_seed(0)
    x = tf.rand(100_000, dtype="bfloat16")
    assert x.dtype == "bfloat16" and 0 <= x.min().item() and x.max().item() < 1
    assert abs(x.float().mean().item() - 0.5) < 5e-3
    y = tf.zeros(100_000, dtype="bfloat16")
    y.uniform_(-1, 0)
    assert y.min().item() >= -1 and y.max().item() < 0
    y.uniform_(3.001, 3.002)  # between two numbers: neither lies in the range
    assert set(y.tolist()) == {3.0}
    assert abs(tf.randn(10_000, dtype="bfloat16").float().std().item() - 1) < 0.05


def test_broadcast_and_empty():
    x = Tensor(normal(3, 1), dtype="bfloat16")
    wide = x.expand(3, 1000)
    assert wide.exp().tolist()[2][999] == x.exp().tolist()[2][0]
    assert (wide * 2).sum(0).shape == (1000,)
    empty = tf.zeros(0, 4, dtype="bfloat16")
    assert empty.exp().shape == (0, 4) and empty.sum().item() == 0
    assert (empty.T @ empty).tolist() == [[0] * 4] * 4
    assert (empty @ tf.zeros(4, 5, dtype="bfloat16")).shape == (0, 5)
    assert Tensor(2.0, dtype="bfloat16").sqrt().item() == 1.4140625


def test_no_fallback_is_counted():
    before = lib.tf_fallback_count()
    for device in DEVICES:
        if has(device):
            tf.softmax(Tensor(normal(3, 4), device=device, dtype="bfloat16"), 1)
    assert lib.tf_fallback_count() == before


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_training(optimizer):
    tf.manual_seed(1)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.LayerNorm(32), nn.Linear(32, 3))
    model.bfloat16()
    assert {p.dtype for p in model.parameters()} == {"bfloat16"}
    opt = getattr(tf, optimizer)(model.parameters(), lr=0.1 if optimizer == "SGD" else 0.01)
    x, target = Tensor(normal(64, 8), dtype="bfloat16"), Tensor(normal(64).astype(np.float64) > 0)
    losses = []
    for _ in range(60):
        opt.zero_grad()
        loss = tf.cross_entropy(model(x), target.long())
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert {p.grad.dtype for p in model.parameters()} == {"bfloat16"}
    assert losses[-1] < 0.5 * losses[0]


def test_averages_of_an_optimizer_are_float32():
    x = tf.ones(4, dtype="bfloat16", requires_grad=True)
    opt = tf.Adam([x], lr=1e-6)  # below what x can show
    for _ in range(1000):
        opt.zero_grad()
        (x * 0.01).sum().backward()
        opt.step()
    averages = [np.asarray(v) for v in opt.state_dict().values() if np.shape(v) == (4,)]
    assert len(averages) == 2 and all(a.dtype == np.float32 for a in averages)
    # The mean of squares has arrived at 63 % of 1e-4; in bfloat16 it would have stopped.
    assert abs(min(a.max() for a in averages) / 1e-4 - 0.632) < 0.02


def test_checkpoint(tmp_path):
    model = nn.Linear(3, 2).bfloat16()
    path = tmp_path / "model.tf"
    tf.save_checkpoint(path, model)
    tensors, _ = tf.load_checkpoint(path)
    assert tensors["weight"].dtype == "bfloat16"
    # A model of any float dtype takes the numbers.
    for other in (nn.Linear(3, 2).bfloat16(), nn.Linear(3, 2)):
        dtype = other.weight.dtype
        other.load_state_dict(tensors)
        assert other.weight.dtype == dtype and other.weight.tolist() == model.weight.tolist()
    model.load_state_dict(nn.Linear(3, 2).state_dict())
    assert model.weight.dtype == "bfloat16"


def test_bitwise_ops_refuse():
    with pytest.raises(TypeError, match="bfloat16"):
        Tensor([1.0], dtype="bfloat16") & 1


