# SPDX-License-Identifier: MIT
"""An LSTM of 256 units on 128 inputs, 64 steps, batch 32: forward and backward."""

from benchmarks.case import Case, Goal

FAMILY = "recurrent"
INPUTS, UNITS = 128, 256
TINY = dict(steps=2, batch=2)


def _case(name, train, ratio=None):
    macs = 64 * 32 * 4 * UNITS * (INPUTS + UNITS)
    # As a first layer: its input needs no gradient.
    flops = 2.0 * (3 * macs - 64 * 32 * 4 * UNITS * INPUTS if train else macs)
    return Case(name, dict(steps=64, batch=32, train=train), flops=flops, goal=Goal(ratio))


CASES = [
    _case("LSTM 128-256 T64 b32 forward", False),
    _case("LSTM 128-256 T64 b32 fwd+bwd", True, 0.6),
]


def build(lib, steps, batch, train):
    layer = lib.find("nn.LSTM")(INPUTS, UNITS)
    x, grad = lib.normal(steps, batch, INPUTS), lib.normal(steps, batch, UNITS, seed=1)

    def forward():
        with lib.module.no_grad():
            layer(x)

    def both():
        for p in parameters:
            p.grad = None
        layer(x)[0].backward(grad)

    parameters = list(layer.parameters())
    return both if train else forward


def build_jax(lib, steps, batch, train):
    import jax
    import jax.numpy as jnp

    from benchmarks.peers import jax_tools as tools

    def run(params, x):
        wx, wh, b = params
        gates = x @ wx + b  # of all steps at once

        def cell(state, gate):
            h, c = state
            i, f, g, o = jnp.split(gate + h @ wh, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros((batch, UNITS))
        return jax.lax.scan(cell, (zero, zero), gates)[1]

    params = (
        tools.weights(INPUTS, 4 * UNITS, fan_in=UNITS),
        tools.weights(UNITS, 4 * UNITS, fan_in=UNITS, seed=1),
        tools.weights(4 * UNITS, fan_in=UNITS, seed=2),
    )
    x, grad = tools.normal(steps, batch, INPUTS), tools.normal(steps, batch, UNITS, seed=1)
    if not train:
        return {"jit": tools.blocking(run, params, x)}

    def both(params, x, grad):
        y, back = jax.vjp(lambda p: run(p, x), params)
        return y, back(grad)

    return {"jit": tools.blocking(both, params, x, grad)}
