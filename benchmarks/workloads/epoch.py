# SPDX-License-Identifier: MIT
"""An epoch of the MNIST MLP: 60,000 images in shuffled batches of 64, Adam, the loss read after
each step, written as people write it in each library; the peers also in their quickest way."""

import numpy as np

from benchmarks.case import Case, Goal
from benchmarks.libraries import label_array, normal_array

FAMILY = "hot-path"
TINY = dict(rows=130)
BATCH = 64

CASES = [Case("MNIST MLP, Adam b64", dict(rows=60000), goal=Goal(value=0.2))]


def build(lib, rows):
    return {"": _trainer_epoch(lib, rows)} if not lib.is_torch else _torch_epochs(lib, rows)


def _model(lib):
    nn = lib.module.nn
    return nn.Sequential(
        nn.Flatten(), *lib.linear_relu(784, 128), *lib.linear_relu(128, 64), nn.Linear(64, 10)
    )


def _trainer_epoch(lib, rows):
    from tinyfin.data import DataLoader, TensorDataset
    from tinyfin.training import Trainer

    data = TensorDataset(lib.normal(rows, 1, 28, 28), lib.labels(10, rows))
    loader = DataLoader(data, BATCH, shuffle=True, seed=0)
    model = _model(lib)
    optimizer = lib.module.optim.Adam(model.parameters(), lr=1e-3)
    trainer = Trainer(model, lib.module.nn.CrossEntropyLoss(), optimizer, progress=False)

    def epoch():
        trainer.fit(loader, epochs=1)

    return epoch


def _torch_epochs(lib, rows):
    torch = lib.module
    data = torch.utils.data.TensorDataset(lib.normal(rows, 1, 28, 28), lib.labels(10, rows))
    loader = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True)

    def indexed():
        images, labels = data.tensors
        for i in torch.randperm(rows).split(BATCH):
            yield images[i], labels[i]

    def make(batches, **options):
        model = _model(lib)
        criterion = torch.nn.CrossEntropyLoss()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **options)

        def epoch():
            total = 0.0
            for x, y in batches():
                optimizer.zero_grad()
                loss = criterion(model(x), y)
                loss.backward()
                optimizer.step()
                total += loss.item()

        return epoch

    return {
        "DataLoader": make(lambda: loader),
        "indexed, fused": make(indexed, fused=True),
    }


def build_jax(lib, rows):
    import jax
    import jax.numpy as jnp
    import optax

    from benchmarks.peers import jax_tools as tools
    from benchmarks.workloads.mlp import LAYERS

    images, labels = normal_array(rows, 784), label_array(10, rows).astype(np.int32)
    opt = optax.adam(1e-3)

    def init():
        params = [
            (tools.weights(n, m, fan_in=n, seed=i), jnp.zeros(m)) for i, (n, m) in enumerate(LAYERS)
        ]
        return params, opt.init(params)

    def loss(params, x, y):
        for w, b in params[:-1]:
            x = jax.nn.relu(x @ w + b)
        w, b = params[-1]
        return tools.cross_entropy(x @ w + b, y)

    def update(state, x, y):
        params, memory = state
        value, grads = jax.value_and_grad(loss)(params, x, y)
        updates, memory = opt.update(grads, memory, params)
        return (optax.apply_updates(params, updates), memory), value

    order = np.random.default_rng(0)
    step = jax.jit(update, donate_argnums=0)
    state = init()

    def epoch():
        nonlocal state
        total = 0.0
        permutation = order.permutation(rows)
        for begin in range(0, rows, BATCH):
            i = permutation[begin : begin + BATCH]
            state, value = step(state, images[i], labels[i])
            total += float(value)

    def whole(state, images, labels, key):
        whole_batches = rows // BATCH * BATCH
        batches = jax.random.permutation(key, rows)[:whole_batches].reshape(-1, BATCH)
        return jax.lax.scan(lambda s, i: update(s, images[i], labels[i]), state, batches)

    compiled = jax.jit(whole, donate_argnums=0)
    on_device = jnp.asarray(images), jnp.asarray(labels)
    key, other = jax.random.key(0), init()

    def scanned():
        nonlocal other, key
        key, now = jax.random.split(key)
        other, values = compiled(other, *on_device, now)
        values.block_until_ready()

    return {"jit each step": epoch, "jit, scan of the epoch": scanned}
