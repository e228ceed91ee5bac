# SPDX-License-Identifier: MIT
"""JAX at its best: the whole training step compiled, its state donated; waited for after each
step, or several steps on their way, or many in one loop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.case import Several
from benchmarks.libraries import generator, label_array, normal_array

OPTIMIZERS = {
    "SGD": lambda lr=1e-3, momentum=None: optax.sgd(lr, momentum),
    "Adam": lambda lr=1e-3: optax.adam(lr),
    "AdamW": lambda lr=1e-3: optax.adamw(lr, weight_decay=1e-2),
}


def normal(*shape, seed=0):
    return jnp.asarray(normal_array(*shape, seed=seed))


def labels(classes, *shape, seed=1):
    return jnp.asarray(label_array(classes, *shape, seed=seed).astype(np.int32))


def weights(*shape, fan_in, seed=0):
    scale = 1 / np.sqrt(fan_in)
    return jnp.asarray(generator(seed).uniform(-scale, scale, shape).astype(np.float32))


def cross_entropy(logits, y):
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


def blocking(function, *arguments, donate=()):
    """A step that calls a compiled function and waits for what it returns."""
    compiled = jax.jit(function, donate_argnums=donate)
    return lambda: jax.block_until_ready(compiled(*arguments))


def training(loss, make_params, x, y, optimizer, in_flight=8, scan=0, **hyper) -> dict:
    """Steps of loss(params, x, y). in_flight: how many to start before waiting, in one variant;
    scan: how many batches one compiled loop takes, in another."""
    opt = OPTIMIZERS[optimizer](**hyper)

    def update(state, x, y):
        params, memory = state
        value, grads = jax.value_and_grad(loss)(params, x, y)
        updates, memory = opt.update(grads, memory, params)
        return (optax.apply_updates(params, updates), memory), value

    def update_many(state, xs, ys):
        return jax.lax.scan(lambda s, batch: update(s, *batch), state, (xs, ys))

    def runner(function, x, y, times):
        compiled = jax.jit(function, donate_argnums=0)
        params = make_params()
        state = (params, opt.init(params))

        def run():
            nonlocal state
            for _ in range(times):
                state, value = compiled(state, x, y)
            value.block_until_ready()

        return run

    steps = {"jit": runner(update, x, y, 1)}
    if in_flight > 1:
        steps[f"jit, {in_flight} in flight"] = Several(runner(update, x, y, in_flight), in_flight)
    if scan:
        xs, ys = jnp.stack([x] * scan), jnp.stack([y] * scan)
        steps[f"jit, scan of {scan}"] = Several(runner(update_many, xs, ys, 1), scan)
    return steps
