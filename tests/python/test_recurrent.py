# SPDX-License-Identifier: MIT
"""Recurrent layers: what samples do not say (PyTorch's results and names, cells, errors)."""

import itertools

import numpy as np
import pytest
import tinyfin as tf
from opcheck import threads
from tinyfin import Tensor, nn

CLOSE = {np.float32: {"rtol": 1e-4, "atol": 1e-5}, np.float64: {"rtol": 1e-9, "atol": 1e-11}}
LAYERS = [("LSTM", {}), ("GRU", {}), ("RNN", {}), ("RNN", {"nonlinearity": "relu"})]
OPTIONS = [
    {},
    {"bias": False},
    {"batch_first": True},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 3, "batch_first": True},
]


def normal(*shape, dtype=np.float32):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def flat(result):
    """Tensors of (output, h) or (output, (h, c))."""
    out, state = result
    return [out, *(state if isinstance(state, tuple) else (state,))]


def pair_of(kind, arguments, options, dtype=np.float32):
    torch = pytest.importorskip("torch")
    mine = getattr(nn, kind)(*arguments, **options)
    its = getattr(torch.nn, kind)(*arguments, **options)
    its.load_state_dict({n: torch.from_numpy(v) for n, v in mine.state_dict().items()})
    if dtype == np.float64:
        return mine.double(), its.double()
    return mine, its


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("layer", "options"), list(itertools.product(LAYERS, OPTIONS)), ids=str)
def test_layer_is_pytorchs(layer, options, dtype):
    torch = pytest.importorskip("torch")
    options = {**layer[1], **options}
    mine, its = pair_of(layer[0], (5, 37), options, dtype)
    assert [n for n, _ in mine.named_parameters()] == [n for n, _ in its.named_parameters()]
    array = normal(7, 4, 5, dtype=dtype)
    x = Tensor.from_numpy(array).requires_grad_()
    z = torch.from_numpy(array).requires_grad_()
    got, want = flat(mine(x)), flat(its(z))
    for _ in range(2):  # the second time from the last state
        total, its_total = 0, 0
        for g, w in zip(got, want):
            np.testing.assert_allclose(g.detach().numpy(), w.detach().numpy(), **CLOSE[dtype])
            weight = normal(*g.shape, dtype=dtype)
            total = total + (g * Tensor.from_numpy(weight)).sum()
            its_total = its_total + (w * torch.from_numpy(weight)).sum()
        total.backward(retain_graph=True)
        its_total.backward(retain_graph=True)
        state, its_state = got[1:], want[1:]
        got = flat(mine(x, tuple(state) if len(state) > 1 else state[0]))
        want = flat(its(z, tuple(its_state) if len(its_state) > 1 else its_state[0]))
    loose = CLOSE[np.float32] if dtype == np.float32 else CLOSE[dtype]
    np.testing.assert_allclose(x.grad.numpy(), z.grad.numpy(), **loose)
    for p, q in zip(mine.parameters(), its.parameters()):
        scale = np.abs(q.grad.numpy()).max()
        np.testing.assert_allclose(p.grad.numpy() / scale, q.grad.numpy() / scale, **loose)


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_sequence_without_a_batch(layer):
    torch = pytest.importorskip("torch")
    mine, its = pair_of(layer[0], (3, 4), layer[1])
    x = normal(5, 3)
    for g, w in zip(flat(mine(x)), flat(its(torch.from_numpy(x)))):
        np.testing.assert_allclose(g.detach().numpy(), w.detach().numpy(), **CLOSE[np.float32])


def test_list_of_steps():
    for batch_first in (False, True):
        layer = nn.GRU(3, 4, batch_first=batch_first)
        steps = [tf.randn(2, 3) for _ in range(5)]
        x = tf.stack(steps, 1 if batch_first else 0)
        np.testing.assert_array_equal(
            layer(steps)[0].detach().numpy(), layer(x)[0].detach().numpy()
        )


@pytest.mark.parametrize(("kind", "options"), [("LSTMCell", {}), ("GRUCell", {}), ("RNNCell", {}),
                                               ("RNNCell", {"nonlinearity": "relu"}),
                                               ("GRUCell", {"bias": False})])  # fmt: skip
@pytest.mark.parametrize("batch", [(), (3,)])
def test_cell_is_pytorchs(kind, options, batch):
    torch = pytest.importorskip("torch")
    mine, its = pair_of(kind, (4, 6), options)
    x = normal(*batch, 4)
    state = its_state = None
    for _ in range(3):
        state, its_state = mine(x, state), its(torch.from_numpy(x), its_state)
        pairs = zip(state, its_state) if kind == "LSTMCell" else [(state, its_state)]
        for g, w in pairs:
            assert g.shape == tuple(w.shape)
            np.testing.assert_allclose(g.detach().numpy(), w.detach().numpy(), **CLOSE[np.float32])


# Fewer sequences multiply x before the first step, more of them step by step.
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("batch", [5, 70])
def test_same_bits_for_any_number_of_threads(kind, batch):
    tf.manual_seed(0)
    layer = getattr(nn, kind)(40, 160, bidirectional=True)
    x = Tensor(normal(6, batch, 40))

    def bits():
        layer.zero_grad()
        y, _ = layer(x)
        (y * y).sum().backward()
        return [t.detach().numpy().tobytes() for t in (y, *(p.grad for p in layer.parameters()))]

    with threads(1):
        alone = bits()
    for n in (2, 3, 4):
        with threads(n):
            assert bits() == alone, f"{n} threads"


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("batch", [5, 33])
def test_same_bits_without_a_gradient(kind, batch):
    layer = getattr(nn, kind)(7, 21, 2, bidirectional=True)
    x = Tensor(normal(4, batch, 7))
    with_gradient = flat(layer(x))
    with tf.no_grad():
        for a, b in zip(flat(layer(x)), with_gradient):
            np.testing.assert_array_equal(a.numpy(), b.detach().numpy())


@pytest.mark.parametrize("batch", [2, 16])
def test_gates_far_from_zero(batch):
    magnitudes = np.geomspace(1, 1000, 31)  # as far as exp goes and beyond
    sums = np.concatenate([[0], magnitudes, [0], -magnitudes]).astype(np.float32)
    layer = nn.LSTM(1, len(sums))
    with tf.no_grad():
        for p in layer.parameters():
            p.copy_(tf.zeros_like(p))
        layer.bias_ih_l0.copy_(Tensor(np.tile(sums, 4)))
        _, (h, c) = layer(tf.zeros(1, batch, 1))
    wide = sums.astype(np.float64)
    gate = np.exp(-np.logaddexp(0, -wide))
    want_c = gate * np.tanh(wide)
    tiny = np.finfo(np.float32).tiny
    for got, want in ((c, want_c), (h, gate * np.tanh(want_c))):
        np.testing.assert_allclose(got.numpy()[0], np.tile(want, (batch, 1)), rtol=1e-6, atol=tiny)


def test_dropout_between_layers():
    layer = nn.LSTM(4, 8, num_layers=2, dropout=0.5)
    x = Tensor(normal(5, 2, 4))
    a, b = (layer(x)[0].detach().numpy() for _ in range(2))
    assert (a != b).any()
    layer.eval()
    a, b = (layer(x)[0].detach().numpy() for _ in range(2))
    assert (a == b).all()


def test_checkpoint_has_pytorchs_names():
    names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    names += [n + "_reverse" for n in names]
    assert list(nn.LSTM(2, 3, bidirectional=True).state_dict()) == names


def test_nan_stays_in_its_sequence():
    x = normal(4, 3, 2)
    x[1, 1, 0] = np.nan
    y, _ = nn.LSTM(2, 5)(Tensor(x))
    bad = np.isnan(y.detach().numpy())
    assert bad[1:, 1].all() and not bad[0].any() and not bad[:, [0, 2]].any()


def test_errors():
    layer = nn.LSTM(3, 4)
    with pytest.raises(ValueError, match=r"received x of shape \(2, 3, 3, 3\)"):
        layer(tf.zeros(2, 3, 3, 3))
    with pytest.raises(ValueError, match=r"received w_ih of shape \(16, 3\)"):
        layer(tf.zeros(2, 3, 5))
    with pytest.raises(ValueError, match=r"received h0 of shape \(1, 2, 4\)"):
        layer(tf.zeros(2, 3, 3), (tf.zeros(1, 2, 4), tf.zeros(1, 3, 4)))
    with pytest.raises(TypeError, match=r"\(h, c\)"):
        layer(tf.zeros(2, 3, 3), tf.zeros(1, 3, 4))
    with pytest.raises(TypeError, match="x"):
        layer(tf.zeros(2, 3, 3, dtype="int64"))
    with pytest.raises(ValueError, match="above 0"):
        nn.GRU(0, 3)
    with pytest.raises(ValueError, match="nonlinearity"):
        nn.RNN(2, 3, nonlinearity="gelu")
    with pytest.raises(ValueError, match="dropout"):
        nn.GRU(2, 3, dropout=1.5)(tf.zeros(1, 1, 2))
    with pytest.raises(ValueError, match="received x of shape"):
        nn.LSTMCell(3, 4)(tf.zeros(1, 2, 3))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_the_engines_module_gives_the_output(kind, batch_first):
    layer = getattr(nn, kind)(3, 4, 2, bidirectional=True, batch_first=batch_first)
    x = Tensor(normal(5, 2, 3))
    np.testing.assert_array_equal(
        nn.native.NativeModule.forward(layer, x).detach().numpy(), layer(x)[0].detach().numpy()
    )
