# SPDX-License-Identifier: MIT
"""Recurrent layers, step by step."""

import numpy as np
from opcheck import Sample


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_cell(x, state, w_ih, w_hh, b_ih=0, b_hh=0):
    h, c = state
    i, f, g, o = np.split(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_cell(x, state, w_ih, w_hh, b_ih=0, b_hh=0):
    (h,) = state
    (xr, xz, xn), (hr, hz, hn) = (np.split(v, 3, axis=1)
                                  for v in (x @ w_ih.T + b_ih, h @ w_hh.T + b_hh))  # fmt: skip
    z, n = sigmoid(xz + hz), np.tanh(xn + sigmoid(xr + hr) * hn)
    return ((1 - z) * n + z * h,)


def rnn_cell(relu):
    def cell(x, state, w_ih, w_hh, b_ih=0, b_hh=0):
        sums = x @ w_ih.T + b_ih + state[0] @ w_hh.T + b_hh
        return (np.maximum(sums, 0) if relu else np.tanh(sums),)

    return cell


def layers(cell, x, states, weights, num_layers=1, bias=True, bidirectional=False,
           batch_first=False, dropout=0.0, training=False):  # fmt: skip
    x = x.swapaxes(0, 1) if batch_first else x
    size, directions, each = weights[1].shape[1], 1 + bidirectional, 4 if bias else 2
    states = [np.zeros((num_layers * directions, x.shape[1], size)) if s is None else s
              for s in states]  # fmt: skip
    last = []
    for layer in range(num_layers):
        outs = []
        for direction in range(directions):
            k = layer * directions + direction
            state = tuple(s[k] for s in states)
            steps = range(len(x))[::-1] if direction else range(len(x))
            ys = {}
            for t in steps:
                state = cell(x[t], state, *weights[each * k : each * (k + 1)])
                ys[t] = state[0]
            outs.append(np.array([ys[t] for t in range(len(x))]).reshape(*x.shape[:2], size))
            last.append(state)
        x = np.concatenate(outs, axis=2)
    finals = [np.stack(s) for s in zip(*last)]
    return [x.swapaxes(0, 1) if batch_first else x, *finals]


def lstm(x, h0, c0, weights, *args, **kwargs):
    return layers(lstm_cell, x, (h0, c0), weights, *args, **kwargs)


def gru(x, h0, weights, *args, **kwargs):
    return layers(gru_cell, x, (h0,), weights, *args, **kwargs)


def rnn(x, h0, weights, relu=False, *args, **kwargs):
    return layers(rnn_cell(relu), x, (h0,), weights, *args, **kwargs)


def samples(rng):
    found = []

    def add(op, reference, gates, name, steps, batch, width, size, num_layers=1, given=True,
            **kwargs):  # fmt: skip
        directions = 1 + kwargs.get("bidirectional", False)
        weights = []
        for layer in range(num_layers):
            for _ in range(directions):
                inputs = directions * size if layer else width
                shapes = [(gates * size, inputs), (gates * size, size)]
                if kwargs.get("bias", True):
                    shapes += [(gates * size,)] * 2
                weights += [rng.normal(size=s) * 0.5 for s in shapes]
        count = num_layers * directions
        states = [rng.normal(size=(count, batch, size)) if given else None
                  for _ in range(2 if op == "lstm" else 1)]  # fmt: skip
        x = rng.normal(size=(batch, steps, width) if kwargs.get("batch_first") else
                       (steps, batch, width))  # fmt: skip
        if num_layers > 1:
            kwargs["num_layers"] = num_layers
        found.append(Sample(op, (x, *states, weights), kwargs, reference=reference, name=name,
                            layouts=name == "plain", rtol=1e-4, atol=1e-5))  # fmt: skip

    for op, reference, gates in (("lstm", lstm, 4), ("gru", gru, 3), ("rnn", rnn, 1)):
        add(op, reference, gates, "plain", 4, 3, 2, 5)
        add(op, reference, gates, "no_state", 3, 2, 3, 4, given=False)
        add(op, reference, gates, "no_bias", 3, 2, 3, 4, bias=False)
        add(op, reference, gates, "layers", 3, 2, 3, 4, num_layers=2, batch_first=True)
        add(op, reference, gates, "both_ways", 3, 2, 3, 2, num_layers=2, bidirectional=True)
        add(op, reference, gates, "one_step", 1, 1, 2, 3)
        add(op, reference, gates, "tiles", 3, 35, 2, 37)
        add(op, reference, gates, "no_steps", 0, 2, 3, 4)
        add(op, reference, gates, "no_batch", 3, 0, 2, 3)
    add("rnn", rnn, 1, "relu", 4, 3, 2, 5, relu=True)
    return found
