# SPDX-License-Identifier: MIT
"""One step of Adam on four million parameters in four tensors."""

from benchmarks.case import Case, Goal

FAMILY = "elementwise"
TENSORS = 4
TINY = dict(rows=8)

# Weight and both moments read and written, the gradient read.
CASES = [Case("Adam step, 4M", dict(rows=1000), bytes=4.0 * 7 * TENSORS * 1000**2, goal=Goal(0.8))]


def build(lib, rows):
    steps = {}
    for name, arguments in lib.optimizers("Adam").items():
        parameters = [lib.normal(rows, rows, seed=i, requires_grad=True) for i in range(TENSORS)]
        for i, p in enumerate(parameters):
            p.grad = lib.normal(rows, rows, seed=i + TENSORS)
        steps[name] = lib.module.optim.Adam(parameters, lr=1e-3, **arguments).step
    return steps


def build_jax(lib, rows):
    import jax
    import optax

    from benchmarks.peers import jax_tools as tools

    params = [tools.normal(rows, rows, seed=i) for i in range(TENSORS)]
    grads = [tools.normal(rows, rows, seed=i + TENSORS) for i in range(TENSORS)]
    opt = optax.adam(1e-3)

    def update(state, grads):
        params, memory = state
        updates, memory = opt.update(grads, memory, params)
        return optax.apply_updates(params, updates), memory

    compiled = jax.jit(update, donate_argnums=0)
    state = (params, opt.init(params))

    def step():
        nonlocal state
        state = jax.block_until_ready(compiled(state, grads))

    return {"jit": step}
