# SPDX-License-Identifier: MIT
"""Modules: registration, layers against PyTorch, state, copies, hooks."""

import copy
import io
import pickle
from functools import reduce

import numpy as np
import pytest
import tinyfin as tf
from tinyfin import Tensor, nn
from tinyfin.nn import functional as F

X2 = np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32)
X4 = np.random.default_rng(1).standard_normal((2, 3, 8, 8)).astype(np.float32)
TOKENS = np.array([[0, 3, 9], [9, 1, 2]])

# A layer of ours, PyTorch's name and arguments for it, an input.
LAYERS = [
    (lambda: nn.Linear(6, 4), "Linear(6, 4)", X2),
    (lambda: nn.Linear(6, 4, bias=False), "Linear(6, 4, bias=False)", X2),
    (lambda: nn.Conv2d(3, 4, 3), "Conv2d(3, 4, 3)", X4),
    (lambda: nn.Conv2d(3, 4, (3, 2), 2, 1), "Conv2d(3, 4, (3, 2), 2, 1)", X4),
    (lambda: nn.Conv2d(3, 4, 3, False), "Conv2d(3, 4, 3, bias=False)", X4),
    (lambda: nn.Conv2d(3, 6, 3, groups=3, dilation=2), "Conv2d(3, 6, 3, groups=3, dilation=2)", X4),
    (lambda: nn.Conv2d(3, 4, 3, padding="same"), "Conv2d(3, 4, 3, padding='same')", X4),
    (lambda: nn.Conv2d(3, 4, (2, 4), padding="same"), "Conv2d(3, 4, (2, 4), padding='same')", X4),
    (lambda: nn.MaxPool2d(2), "MaxPool2d(2)", X4),
    (lambda: nn.MaxPool2d(3, 2, 1), "MaxPool2d(3, 2, 1)", X4),
    (lambda: nn.AvgPool2d(3, 2, 1), "AvgPool2d(3, 2, 1)", X4),
    (lambda: nn.BatchNorm(3), "BatchNorm2d(3)", X4),
    (lambda: nn.BatchNorm1d(6, momentum=0.3), "BatchNorm1d(6, momentum=0.3)", X2),
    (lambda: nn.BatchNorm2d(3, affine=False), "BatchNorm2d(3, affine=False)", X4),
    (lambda: nn.LayerNorm(6), "LayerNorm(6)", X2),
    (lambda: nn.LayerNorm((8, 8), eps=1e-3), "LayerNorm((8, 8), eps=1e-3)", X4),
    (lambda: nn.Embedding(10, 4), "Embedding(10, 4)", TOKENS),
    (lambda: nn.Flatten(), "Flatten()", X4),
    (lambda: nn.Identity(), "Identity()", X2),
    (lambda: nn.ReLU(), "ReLU()", X2),
    (lambda: nn.Sigmoid(), "Sigmoid()", X2),
    (lambda: nn.Tanh(), "Tanh()", X2),
    (lambda: nn.SiLU(), "SiLU()", X2),
    (lambda: nn.GELU(), "GELU()", X2),
    (lambda: nn.GELU("tanh"), "GELU('tanh')", X2),
    (lambda: nn.Softmax(1), "Softmax(1)", X2),
    (lambda: nn.LeakyReLU(0.2), "LeakyReLU(0.2)", X2),
    (lambda: nn.ELU(1.5), "ELU(1.5)", X2),
    (lambda: nn.GroupNorm(3, 3, eps=1e-3), "GroupNorm(3, 3, eps=1e-3)", X4),
    (lambda: nn.GroupNorm(2, 6, affine=False), "GroupNorm(2, 6, affine=False)", X2),
    (lambda: nn.RMSNorm(6), "RMSNorm(6, eps=1e-6)", X2),
    (lambda: nn.RMSNorm((8, 8), 1e-3), "RMSNorm((8, 8), eps=1e-3)", X4),
    (lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU()), "Sequential(t.Linear(6, 4), t.ReLU())", X2),
]


@pytest.mark.parametrize(("make", "theirs", "x"), LAYERS, ids=[name for _, name, _ in LAYERS])
@pytest.mark.parametrize("training", [True, False])
def test_layer_is_pytorchs(make, theirs, x, training):
    torch = pytest.importorskip("torch")
    layer = make().train(training)
    other = eval("t." + theirs, {"t": torch.nn}).train(training)
    state = layer.state_dict()
    missing, unknown = other.load_state_dict(
        {k: torch.from_numpy(v) for k, v in state.items()}, strict=False
    )
    assert not unknown and all("num_batches" in name for name in missing)
    for p, q in zip(layer.parameters(), other.parameters()):
        assert p.shape == tuple(q.shape)
    mine = Tensor.from_numpy(x)
    its = torch.from_numpy(x)
    floating = x.dtype == np.float32
    if floating:
        mine.requires_grad_()
        its.requires_grad_()
    for _ in range(2):
        y, z = layer(mine), other(its)
        np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=2e-5, atol=2e-6)
    if floating:
        weights = np.cos(np.arange(y.size, dtype=np.float32)).reshape(y.shape)
        (y * weights).sum().backward()
        (z * torch.from_numpy(weights)).sum().backward()
        np.testing.assert_allclose(mine.grad.numpy(), its.grad.numpy(), rtol=1e-4, atol=1e-5)
        for p, q in zip(layer.parameters(), other.parameters()):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-4, atol=2e-5)
    for (name, b), c in zip(layer.named_buffers(), [b for b in other.buffers() if b.ndim]):
        np.testing.assert_allclose(b.numpy(), c.numpy(), rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "activation",
    ["relu", "sigmoid", "tanh", "silu", "gelu", "gelu_tanh", nn.ReLU, nn.Tanh(), nn.GELU("tanh"),
     tf.relu, tf.sigmoid, lambda y: y * 2, nn.Softmax(-1)],
    ids=str,
)  # fmt: skip
def test_activation_argument(activation):
    x = Tensor(X2)
    layer = nn.Linear(6, 4, activation=activation)
    plain = nn.Linear(6, 4)
    plain.load_state_dict(layer.state_dict())
    y = plain(x)
    if isinstance(activation, str):
        kind, _, variant = activation.partition("_")
        expected = tf.gelu(y, variant) if variant else getattr(tf, kind)(y)
    elif isinstance(activation, type):
        expected = activation()(y)
    else:
        expected = activation(y)
    np.testing.assert_allclose(layer(x).data, expected.data, rtol=1e-5, atol=1e-6)
    wrapped = nn.Sequential(layer)
    np.testing.assert_array_equal(wrapped(x).data, layer(x).data)


def test_bad_activations():
    for bad in ("swosh", 3, [1]):
        with pytest.raises((TypeError, ValueError), match=r"\[Linear\]"):
            nn.Linear(2, 2, activation=bad)


class Net(nn.Module):
    def __init__(self):
        self.first = nn.Linear(6, 8)
        self.blocks = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.BatchNorm(8))
        self.scale = nn.Parameter([2.0])
        self.register_buffer("seen", tf.zeros(1))
        self.last = nn.Linear(8, 2)

    def forward(self, x):
        return self.last(self.blocks(self.first(x))) * self.scale


def test_registration():
    net = Net()
    names = ["scale", "first.weight", "first.bias", "blocks.0.weight", "blocks.0.bias"]
    names += ["blocks.2.weight", "blocks.2.bias", "last.weight", "last.bias"]
    assert [n for n, _ in net.named_parameters()] == names
    assert [n for n, _ in net.named_buffers()] == [
        "seen", "blocks.2.running_mean", "blocks.2.running_var",
    ]  # fmt: skip
    assert [n for n, _ in net.named_children()] == ["first", "blocks", "last"]
    assert len(net.modules()) == 7 and net.num_parameters() == sum(p.size for p in net.parameters())
    assert all(p.requires_grad and p.tensor is p for p in net.parameters())
    assert net.get_parameter("blocks.0.bias") is net.blocks[0].bias
    with pytest.raises(AttributeError, match=r"first\.weight"):
        net.get_parameter("nothing")
    net.extra = nn.Linear(1, 1)
    del net.extra
    assert "extra.weight" not in dict(net.named_parameters())
    net.scale = None
    assert "scale" not in dict(net.named_parameters())
    with pytest.raises(TypeError, match="expected a Parameter or None"):
        net.scale = 3
    with pytest.raises(ValueError, match="without dots"):
        net.register_parameter("a.b", nn.Parameter([1]))
    with pytest.raises(NotImplementedError, match="has no forward"):
        nn.Module()(1)
    assert "Linear(6, 8" in repr(net) and "total" in net.summary()


def test_shared_parameters_count_once():
    net = Net()
    net.last.weight = net.last.weight
    net.other = nn.Linear(8, 2)
    net.other.weight = net.last.weight
    assert "other.weight" not in dict(net.named_parameters())
    x = Tensor(np.ones((1, 8)))
    net.last.weight.data = np.ones((2, 8))
    net.other.bias.data = 0
    assert net.other(x).tolist() == [[8, 8]]


def test_replacing_a_parameter_of_a_layer():
    layer = nn.Linear(2, 1, bias=False)
    network = nn.Sequential(layer)
    layer.weight = nn.Parameter([[1.0, 2.0]])
    assert network(Tensor([[1, 1]])).tolist() == [[3]]
    network(Tensor([[1, 1]])).sum().backward()
    assert layer.weight.grad.tolist() == [[1, 1]]
    for bad in (None, 3, tf.ones(1, 2)):
        with pytest.raises(TypeError):
            layer.weight = bad
    with pytest.raises(ValueError):
        layer.weight = nn.Parameter([[1.0]])


def test_modes_reach_everything():
    net = Net()
    assert net.training and net.eval() is net
    assert not any(m.training for m in net.modules())
    mean = net.blocks[2].running_mean.tolist()
    net(Tensor(X2))
    assert net.blocks[2].running_mean.tolist() == mean
    net.train()(Tensor(X2))
    assert net.blocks[2].running_mean.tolist() != mean
    drop = nn.Sequential(nn.Dropout(0.5))
    x = tf.ones(1000)
    assert drop.eval()(x).tolist() == x.tolist()
    assert 300 < drop.train()(x).tolist().count(0) < 700
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_sequential():
    network = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    x = Tensor(X2)
    by_hand = x
    for layer in network:
        by_hand = layer(by_hand)
    assert network(x).tolist() == by_hand.tolist()
    assert len(network) == 3 and network[0] is list(network)[0] and len(network[1:]) == 2
    assert [n for n, _ in nn.Sequential([network, nn.ReLU()]).named_parameters()][0] == "0.0.weight"

    class Double(nn.Module):
        def forward(self, x):
            return x * 2

    mixed = nn.Sequential(network, Double())
    assert mixed(x).tolist() == (network(x) * 2).tolist()
    network.append(Double())
    assert network(x).tolist() == (by_hand * 2).tolist()
    assert type(nn.Network([nn.ReLU()])) is nn.Sequential
    assert nn.MLP(6, [4, 3], 2)(x).shape == (5, 2)
    with pytest.raises(TypeError, match=r"\[add_module\] received int"):
        nn.Sequential(nn.ReLU(), 3)


@pytest.mark.parametrize("tail", [(nn.ReLU(), nn.MaxPool2d(2)), (nn.MaxPool2d((3, 2)), nn.ReLU()),
                                  (nn.ReLU(), nn.MaxPool2d(3, 2, 1)), (nn.Tanh(), nn.MaxPool2d(2)),
                                  (nn.ReLU(), nn.Flatten(), nn.Linear(360, 3), nn.ReLU())])  # fmt: skip
def test_sequential_runs_several_layers_in_one_pass_with_the_same_bits(tail):
    network = nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), *tail)
    image = np.random.default_rng(3).normal(size=(2, 2, 9, 8)).astype("float32")
    results = []
    for run in (network, lambda x: reduce(lambda y, layer: layer(y), network, x)):
        x = Tensor(image, requires_grad=True)
        network.zero_grad()
        y = run(x)
        (y * y).sum().backward()
        grads = [p.grad.to_numpy() for p in network.parameters()]
        results.append([y.to_numpy(), x.grad.to_numpy(), *grads])
    for a, b in zip(*results):
        assert np.array_equal(a, b)


def test_a_subclass_of_a_layer_keeps_its_forward():
    class Shifted(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1

    layer = Shifted(6, 2)
    network = nn.Sequential(layer)
    x = Tensor(X2)
    assert network(x).tolist() == layer(x).tolist()
    assert network(x).tolist() == (nn.Linear.forward(layer, x) + 1).tolist()


def test_hooks():
    network = nn.Sequential(nn.Linear(6, 4), nn.ReLU())
    seen = []
    handle = network[0].register_forward_hook(lambda m, args, out: seen.append(out.shape))
    x = Tensor(X2)
    network(x)
    assert seen == [(5, 4)]
    handle.remove()
    network(x)
    assert len(seen) == 1
    network.register_forward_pre_hook(lambda m, args: args[0] * 0)
    network.register_forward_hook(lambda m, args, out: out + 1)
    network[0].bias.data = 0
    assert network(x).tolist() == np.ones((5, 4)).tolist()


def test_state_dict_goes_through_npz():
    net, other = Net(), Net()
    net(Tensor(X2))
    file = io.BytesIO()
    np.savez(file, **net.state_dict())
    file.seek(0)
    other.load_state_dict(np.load(file))
    assert other.eval()(Tensor(X2)).tolist() == net.eval()(Tensor(X2)).tolist()
    state = net.state_dict()
    state["first.bias"][:] = 100
    assert net.first.bias.tolist() != [100] * 8
    state.pop("scale")
    state["extra"] = np.ones(1)
    before = other.state_dict()
    with pytest.raises(ValueError, match="missing: scale; not in the module: extra"):
        other.load_state_dict(state)
    bad = net.state_dict()
    bad["last.bias"] = np.ones(3)
    with pytest.raises(ValueError, match=r"`last\.bias`; expected \(2,\)"):
        other.load_state_dict(bad)
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value, before[name])  # nothing is half-loaded
    other.load_state_dict(state, strict=False)
    assert other.first.bias.tolist() == [100] * 8


RNG_X = np.random.default_rng(9).standard_normal((6, 5)).astype(np.float32)


@pytest.mark.parametrize("way", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(way):
    net = Net().eval()
    net.first.bias.requires_grad_(False)
    x = Tensor(X2)
    other = way(net)
    assert other(x).tolist() == net(x).tolist() and not other.training
    assert not other.first.bias.requires_grad and other.last.bias.requires_grad
    other.last.bias.data = 9
    assert other(x).tolist() != net(x).tolist()


class Tied(nn.Module):
    def __init__(self):
        self.into = nn.Embedding(7, 4)
        self.out = nn.Linear(4, 7, bias=False)
        self.out.weight = self.into.weight

    def forward(self, x):
        return self.out(self.into(x))


@pytest.mark.parametrize("way", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_keep_tied_weights(way):
    net = Tied()
    other = way(net)
    assert other.out.weight is other.into.weight is not net.out.weight
    assert len(other.parameters()) == 1
    x = Tensor([1, 2, 5], dtype="int64")
    assert other(x).tolist() == net(x).tolist()
    other.into.weight.data = 0  # both layers of the copy see it, the original does not
    assert other(x).tolist() == [[0] * 7] * 3 != net(x).tolist()
    assert way(net.double())(x).dtype == "float64"


def test_sequential_runs_activations_with_their_layer():
    tf.manual_seed(3)
    for activation in (nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.GELU()):
        layers = [nn.Linear(5, 4), activation, nn.Linear(4, 3), activation]
        x, y = Tensor(RNG_X, requires_grad=True), Tensor(RNG_X, requires_grad=True)
        together = nn.Sequential(*layers)(x)
        apart = y
        for layer in layers:
            apart = layer(apart)
        assert together.tolist() == apart.tolist()
        together.sum().backward()
        first = [p.grad.tolist() for p in layers[0].parameters()]
        layers[0].zero_grad()
        apart.sum().backward()
        assert x.grad.tolist() == y.grad.tolist()
        assert [p.grad.tolist() for p in layers[0].parameters()] == first


def test_moving_keeps_identity():
    net = Net()
    before = net.parameters()
    net.to("cpu").double()
    assert all(a is b for a, b in zip(before, net.parameters()))
    assert all(p.dtype == "float64" for p in net.parameters() + net.buffers())
    assert net(Tensor(X2, dtype="float64")).dtype == "float64"
    assert net.float()(Tensor(X2)).dtype == "float32"


def test_losses_against_pytorch():
    torch = pytest.importorskip("torch")
    logits = np.random.default_rng(2).standard_normal((5, 4)).astype(np.float32)
    classes = np.array([0, 3, 1, 1, 2])
    chances = np.random.default_rng(3).dirichlet(np.ones(4), 5).astype(np.float32)
    weight = np.array([1.0, 2.0, 0.5, 3.0], np.float32)
    for reduction in ("mean", "sum", "none"):
        for target in (classes, chances):
            for w in (None, weight):
                ours = nn.cross_entropy_logits(
                    Tensor(logits), Tensor.from_numpy(target), w, reduction
                )
                theirs = torch.nn.functional.cross_entropy(
                    torch.from_numpy(logits), torch.from_numpy(target),
                    None if w is None else torch.from_numpy(w), reduction=reduction,
                )  # fmt: skip
                np.testing.assert_allclose(ours.data, theirs.numpy(), rtol=1e-5, atol=1e-6)
        ours = nn.MSELoss(reduction)(Tensor(logits), Tensor(chances))
        theirs = torch.nn.functional.mse_loss(
            torch.from_numpy(logits), torch.from_numpy(chances), reduction=reduction
        )
        np.testing.assert_allclose(ours.data, theirs.numpy(), rtol=1e-5)
    assert nn.CrossEntropyLoss("sum").reduction == "sum"
    assert nn.CrossEntropyLoss(weight)(Tensor(logits), classes).ndim == 0
    assert nn.cross_entropy(logits, classes.astype(np.float32)).item() == pytest.approx(
        nn.cross_entropy(logits, classes).item()
    )
    with pytest.raises(IndexError, match="7"):
        nn.cross_entropy(Tensor(logits), [0, 1, 2, 3, 7])
    with pytest.raises(ValueError):
        nn.CrossEntropyLoss("median")(Tensor(logits), classes)


def test_init():
    tf.manual_seed(0)
    w = tf.empty(200, 100)
    assert nn.init.zeros(w) is w and w.sum().item() == 0
    nn.init.ones_(w)
    assert w.sum().item() == 20000
    for function, std in (
        (lambda: nn.init.uniform(w, -1, 1), 1 / np.sqrt(3)),
        (lambda: nn.init.normal(w, 0, 0.5), 0.5),
        (lambda: nn.init.xavier_uniform(w), np.sqrt(2 / 300)),
        (lambda: nn.init.xavier_normal(w), np.sqrt(2 / 300)),
        (lambda: nn.init.kaiming_uniform(w, nonlinearity="relu"), np.sqrt(2 / 100)),
        (lambda: nn.init.kaiming_normal(w, mode="fan_out", nonlinearity="relu"), np.sqrt(2 / 200)),
    ):
        function()
        assert w.numpy().std() == pytest.approx(std, rel=0.03) and abs(w.numpy().mean()) < 0.02
    with pytest.raises(ValueError, match="two dimensions"):
        nn.init.xavier_normal(tf.empty(3))
    with pytest.raises(ValueError, match="nonlinearity"):
        nn.init.kaiming_normal(w, nonlinearity="nope")
    layer = nn.Linear(3, 3)
    nn.init.ones(layer.weight)
    assert layer.weight.requires_grad and layer(Tensor([[1, 1, 1]])).shape == (1, 3)


def test_functional_is_the_same_ops():
    x = Tensor(X2)
    assert F.relu(x).tolist() == nn.ReLU()(x).tolist()
    assert F.softmax(x, dim=1).shape == (5, 6)
    assert F.linear(x, tf.ones(2, 6)).shape == (5, 2)


def test_layers_refuse_bad_arguments_and_inputs():
    for bad in (lambda: nn.Linear(-1, 2), lambda: nn.Dropout(1.5), lambda: nn.Conv2d(3, 4, 0)):
        with pytest.raises(ValueError):
            bad()
    with pytest.raises(TypeError, match=r"\[Linear\] received str for `in_features`"):
        nn.Linear("a", 2)
    with pytest.raises(ValueError, match="6"):
        nn.Linear(6, 2)(tf.ones(2, 5))
    with pytest.raises(IndexError):
        nn.Embedding(3, 2)(Tensor([3], dtype="int64"))
