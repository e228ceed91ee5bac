# SPDX-License-Identifier: MIT
"""A CNN for MNIST (conv 16, pool, conv 32, pool, 128, 10): one training step, one forward pass."""

from benchmarks.case import Case, Goal

FAMILY = "training"
COMPILES = True
# Per picture: 1->16 at 28x28, 16->32 at 14x14, both 3x3; 1568->128->10.
MACS_FIRST = 28 * 28 * 16 * 9
MACS = MACS_FIRST + 14 * 14 * 32 * 16 * 9 + 1568 * 128 + 128 * 10
TINY = dict(batch=2)


def _infer(batch):
    params = dict(batch=batch, train=False)
    return Case(f"infer b{batch}", params, flops=2.0 * batch * MACS, goal=Goal(0.8))


CASES = [
    Case(
        "train SGD b64",
        dict(batch=64, train=True),
        flops=2.0 * 64 * (3 * MACS - MACS_FIRST),
        goal=Goal(0.5),
    ),
    _infer(1),
    _infer(64),
]


def build(lib, batch, train):
    nn = lib.module.nn

    def make():
        return nn.Sequential(
            *lib.conv_relu(1, 16, 3, 1), nn.MaxPool2d(2),
            *lib.conv_relu(16, 32, 3, 1), nn.MaxPool2d(2),
            nn.Flatten(), *lib.linear_relu(1568, 128), nn.Linear(128, 10),
        )  # fmt: skip

    x = lib.normal(batch, 1, 28, 28)
    if not train:
        return lib.inference(make, x, images=True)
    return lib.training(make, x, lib.labels(10, batch), "SGD", images=True, lr=1e-3)


def build_jax(lib, batch, train):
    import jax

    from benchmarks.peers import jax_tools as tools

    def make():
        shapes = (3, 3, 1, 16), (3, 3, 16, 32), (1568, 128), (128, 10)
        return [
            (tools.weights(*s, fan_in=s[0] * s[1], seed=i), tools.weights(s[-1], fan_in=100))
            for i, s in enumerate(shapes)
        ]

    def pool(x):  # several times faster than reduce_window
        n, h, w, c = x.shape
        return x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))

    def model(params, x):
        for w, b in params[:2]:
            form = ("NHWC", "HWIO", "NHWC")
            x = jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=form)
            x = pool(jax.nn.relu(x + b))
        (w1, b1), (w2, b2) = params[2:]
        return jax.nn.relu(x.reshape(len(x), -1) @ w1 + b1) @ w2 + b2

    x = tools.normal(batch, 28, 28, 1)
    if not train:
        return {"jit": tools.blocking(model, make(), x)}

    def loss(params, x, y):
        return tools.cross_entropy(model(params, x), y)

    return tools.training(loss, make, x, tools.labels(10, batch), "SGD", lr=1e-3)


def build_onnx(lib, batch, train):
    if train:
        return None
    from benchmarks.peers.onnx_tools import Graph

    graph = Graph(batch, 1, 28, 28)
    for c, o in ((1, 16), (16, 32)):
        graph.conv(c, o, 3, 1)
        graph.add("Relu")
        graph.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    graph.add("Flatten")
    graph.linear(1568, 128)
    graph.add("Relu")
    graph.linear(128, 10)
    return graph.steps(lib.threads)
