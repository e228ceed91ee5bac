# SPDX-License-Identifier: MIT
"""Engine optimisers against PyTorch's: the same gradients, the same parameters over 50 steps."""

import numpy as np
import pytest
from tinyfin import _native

torch = pytest.importorskip("torch")
ffi, lib = _native.ffi, _native.lib

OPTIONS = {"lr": 1, "momentum": 2, "weight_decay": 3, "nesterov": 4,
           "beta1": 5, "beta2": 6, "eps": 7, "alpha": 8}  # fmt: skip
CASES = [
    ("sgd", {}), ("sgd", {"weight_decay": 0.1}), ("sgd", {"momentum": 0.9}),
    ("sgd", {"momentum": 0.8, "nesterov": 1, "weight_decay": 0.01}),
    ("adam", {}), ("adam", {"weight_decay": 0.1, "beta1": 0.8, "beta2": 0.9, "eps": 1e-6}),
    ("adamw", {}), ("adamw", {"weight_decay": 0.2}),
    ("rmsprop", {}), ("rmsprop", {"momentum": 0.9, "alpha": 0.8, "weight_decay": 0.05}),
]  # fmt: skip
DTYPE = {np.dtype("float32"): 1, np.dtype("float64"): 2}


def check(status):
    assert status == 0, ffi.string(lib.tf_last_error()).decode()


def tensor(array):
    out = ffi.new("tf_tensor **")
    shape = list(array.shape)
    numbers = ffi.from_buffer(np.ascontiguousarray(array))
    check(lib.tf_tensor_from_data(numbers, array.nbytes, shape, len(shape), DTYPE[array.dtype],
                                  ffi.NULL, out))  # fmt: skip
    return ffi.gc(out[0], lib.tf_tensor_release)


def values(x, like):
    out = np.empty_like(like)
    check(lib.tf_tensor_read(x, ffi.from_buffer(out), out.nbytes))
    return out


def torch_optimizer(kind, params, lr, options):
    options = dict(options)
    options["lr"] = lr
    if kind.startswith("adam"):
        options["betas"] = (options.pop("beta1", 0.9), options.pop("beta2", 0.999))
        options.setdefault("weight_decay", 0.01 if kind == "adamw" else 0)
    if "nesterov" in options:
        options["nesterov"] = bool(options["nesterov"])
    classes = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop"}
    return getattr(torch.optim, classes[kind])(params, **options)


@pytest.mark.parametrize("clip", [0.0, 0.7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind,options", CASES)
def test_same_as_torch(kind, options, dtype, clip):
    rng = np.random.default_rng(0)
    start = [rng.normal(size=s).astype(dtype) for s in ((5, 37), (3,), (), (0, 2))]
    mine = [tensor(a) for a in start]
    theirs = [torch.tensor(a, requires_grad=True) for a in start]
    lr = 0.02
    reference = torch_optimizer(kind, theirs, lr, options)
    out = ffi.new("tf_opt **")
    check(getattr(lib, f"tf_opt_{kind}")(ffi.NULL, lr, out))
    opt = ffi.gc(out[0], lib.tf_opt_release)
    for p in mine:
        check(lib.tf_tensor_set_requires_grad(p, 1))
    check(lib.tf_opt_add_group(opt, mine, len(mine), ffi.new("int64_t *")))
    for name, value in options.items():
        check(lib.tf_opt_set_f64(opt, -1, OPTIONS[name], value))
    for step in range(50):
        for i, (p, q) in enumerate(zip(mine, theirs)):
            g = rng.normal(size=start[i].shape).astype(dtype)
            if i == 1 and step % 3 == 0:  # a parameter that took no part in this step
                check(lib.tf_tensor_set_grad(p, ffi.NULL))
                q.grad = None
                continue
            if i == 0 and step % 2:  # gradients come in any order of strides
                t = tensor(np.ascontiguousarray(g.T))
                view = ffi.new("tf_tensor **")
                check(lib.tf_swapaxes(t, 0, 1, view))
                check(lib.tf_tensor_set_grad(p, view[0]))
                lib.tf_tensor_release(view[0])
            else:
                check(lib.tf_tensor_set_grad(p, tensor(g)))
            q.grad = torch.tensor(g)
        if clip:
            torch.nn.utils.clip_grad_norm_(theirs, clip)
        reference.step()
        check(lib.tf_opt_step(opt, clip))
    tolerance = 2e-6 if dtype == "float32" else 1e-12
    for p, q, a in zip(mine, theirs, start):
        np.testing.assert_allclose(values(p, a), q.detach().numpy(),
                                   rtol=tolerance * 10, atol=tolerance)  # fmt: skip


@pytest.mark.parametrize("kind,option,bad", [
    ("sgd", "lr", -1), ("sgd", "lr", float("nan")), ("sgd", "lr", float("inf")),
    ("sgd", "nesterov", 0.5), ("adam", "beta1", 1.0), ("adam", "beta2", -0.1),
    ("rmsprop", "alpha", 1.5), ("adamw", "eps", -1e-9),
])  # fmt: skip
def test_bounds(kind, option, bad):
    out = ffi.new("tf_opt **")
    check(getattr(lib, f"tf_opt_{kind}")(ffi.NULL, 0.01, out))
    opt = ffi.gc(out[0], lib.tf_opt_release)
    before, after = ffi.new("double *"), ffi.new("double *")
    check(lib.tf_opt_get_f64(opt, -1, OPTIONS[option], before))
    assert lib.tf_opt_set_f64(opt, -1, OPTIONS[option], bad) == lib.TINYFIN_ERROR_ARGUMENT
    text = ffi.string(lib.tf_last_error()).decode()
    assert option in text and "expected" in text
    check(lib.tf_opt_get_f64(opt, -1, OPTIONS[option], after))
    assert before[0] == after[0]


def test_unknown_option():
    out = ffi.new("tf_opt **")
    check(lib.tf_opt_sgd(ffi.NULL, 0.01, out))
    opt = ffi.gc(out[0], lib.tf_opt_release)
    assert lib.tf_opt_set_f64(opt, -1, OPTIONS["beta1"], 0.5) == lib.TINYFIN_ERROR_NAME
    assert "nesterov" in ffi.string(lib.tf_last_error()).decode()
