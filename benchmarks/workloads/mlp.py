# SPDX-License-Identifier: MIT
"""The MNIST MLP of the demo, 784-128-64-10: one training step, one forward pass."""

from benchmarks.case import Case, Goal

FAMILY = "training"
COMPILES = True
WIDTHS = (784, 128, 64, 10)
LAYERS = list(zip(WIDTHS, WIDTHS[1:]))
MACS = sum(n * m for n, m in LAYERS)
TINY = dict(batch=2)


def _train(optimizer, batch, ratio):
    # Forward, weight gradients, and input gradients of all layers but the first.
    flops = 2.0 * batch * (3 * MACS - WIDTHS[0] * WIDTHS[1])
    params = dict(optimizer=optimizer, batch=batch)
    return Case(f"train {optimizer} b{batch}", params, flops=flops, goal=Goal(ratio))


def _infer(batch, ratio):
    params = dict(optimizer=None, batch=batch)
    return Case(f"infer b{batch}", params, flops=2.0 * MACS * batch, goal=Goal((ratio, None)))


CASES = [
    _train("SGD", 64, (0.75, 0.65)),
    _train("Adam", 64, (0.75, 0.65)),
    _train("SGD", 512, (0.82, 0.7)),
    _infer(1, 0.6),
    _infer(64, 0.9),
]


def build(lib, optimizer, batch):
    nn = lib.module.nn

    def make():
        (n1, m1), (n2, m2), last = LAYERS
        return nn.Sequential(*lib.linear_relu(n1, m1), *lib.linear_relu(n2, m2), nn.Linear(*last))

    x = lib.normal(batch, 784)
    if optimizer is None:
        return lib.inference(make, x)
    return lib.training(make, x, lib.labels(10, batch), optimizer, lr=1e-3)


def build_jax(lib, optimizer, batch):
    import jax

    from benchmarks.peers import jax_tools as tools

    def make():
        return [
            (tools.weights(n, m, fan_in=n, seed=i), tools.weights(m, fan_in=n, seed=i + 9))
            for i, (n, m) in enumerate(LAYERS)
        ]

    def model(params, x):
        for w, b in params[:-1]:
            x = jax.nn.relu(x @ w + b)
        w, b = params[-1]
        return x @ w + b

    x = tools.normal(batch, 784)
    if optimizer is None:
        return {"jit": tools.blocking(model, make(), x)}

    def loss(params, x, y):
        return tools.cross_entropy(model(params, x), y)

    return tools.training(loss, make, x, tools.labels(10, batch), optimizer, scan=16, lr=1e-3)


def build_onnx(lib, optimizer, batch):
    if optimizer is not None:
        return None
    from benchmarks.peers.onnx_tools import Graph

    graph = Graph(batch, 784)
    for n, m in LAYERS[:-1]:
        graph.linear(n, m)
        graph.add("Relu")
    graph.linear(*LAYERS[-1])
    return graph.steps(lib.threads)
