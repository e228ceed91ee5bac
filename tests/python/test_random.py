# SPDX-License-Identifier: MIT
"""Random ops: distribution, seeds, threads, layouts, instruction sets; dropout's gradient."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import tinyfin
from scipy import stats
from tinyfin import Tensor, _ops

N = 200_000


@pytest.fixture(autouse=True)
def seeded():
    tinyfin.manual_seed(1234)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_numbers(dtype):
    x = _ops._rand((N,), dtype=dtype).numpy()
    assert x.dtype == dtype and x.min() >= 0 and x.max() < 1
    assert stats.kstest(x.astype("float64"), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_numbers(dtype):
    x = _ops._randn((N,), 2.0, 3.0, dtype=dtype).numpy().astype("float64")
    assert stats.kstest((x - 2) / 3, "norm").pvalue > 1e-3
    # Both numbers of a pair, and neighbours, are independent.
    assert abs(np.corrcoef(x[::2], x[1::2])[0, 1]) < 0.01
    assert np.abs(x).max() < 2 + 3 * 9


def test_normal_numbers_follow_box_and_muller():
    """Against the formula in NumPy's functions, on the generator's own words."""
    tinyfin.manual_seed(5)
    found = _ops._randn((1000,), dtype="float64").numpy()
    tinyfin.manual_seed(5)
    u = _ops._rand((1000,), dtype="float64").numpy()
    first, second = u[::2] + 2.0**-53, u[1::2]
    # The two top bits choose the quarter, the others the angle within π/4 of its axis.
    quarter, rest = np.divmod(second * 4, 1)
    radius, angle = np.sqrt(-2 * np.log(first)), (rest - 0.5 + quarter) * np.pi / 2
    np.testing.assert_allclose(found[::2], radius * np.cos(angle), rtol=0, atol=3e-14)
    np.testing.assert_allclose(found[1::2], radius * np.sin(angle), rtol=0, atol=3e-14)


def test_integers():
    x = _ops._randint(-3, 4, (N,)).numpy()
    assert x.dtype == np.int64
    counts = np.bincount(x + 3, minlength=7)
    assert len(counts) == 7 and stats.chisquare(counts).pvalue > 1e-3
    wide = _ops._randint(-(1 << 63), (1 << 63) - 1, (1000,)).numpy()
    assert abs((wide > 0).mean() - 0.5) < 0.1 and len(np.unique(wide)) == 1000


def test_bernoulli():
    x = _ops._bernoulli(0.3, (N,)).numpy()
    assert set(np.unique(x)) == {0, 1} and abs(x.mean() - 0.3) < 0.01
    assert not _ops._bernoulli(0.0, (N,)).numpy().any()


@pytest.mark.parametrize("n", [0, 1, 2, 1001])
def test_permutations(n):
    x = _ops._randperm(n).numpy()
    np.testing.assert_array_equal(np.sort(x), np.arange(n))


def test_permutations_are_even():
    seen = {}
    for _ in range(3000):
        key = tuple(_ops._randperm(3).numpy())
        seen[key] = seen.get(key, 0) + 1
    assert len(seen) == 6 and stats.chisquare(list(seen.values())).pvalue > 1e-3


def draw_all():
    tinyfin.manual_seed(99)
    return [
        _ops._rand((50_001,)), _ops._rand((20_001,), dtype="float64"), _ops._randn((50_001,)),
        _ops._randn((20_001,), dtype="float64"), _ops._randint(0, 10, (30_001,)),
        _ops._bernoulli(0.5, (50_001,)), _ops._randperm(101),
        _ops.dropout(_ops._ones((50_001,)), 0.3),
    ]  # fmt: skip


def test_a_seed_repeats_and_calls_differ():
    first, second = draw_all(), draw_all()
    for a, b in zip(first, second):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert not (_ops._rand((8,)).numpy() == _ops._rand((8,)).numpy()).any()


def test_numbers_do_not_depend_on_the_layout():
    tinyfin.manual_seed(3)
    straight = _ops._rand((40, 70)).numpy()
    tinyfin.manual_seed(3)
    turned = _ops._zeros((70, 40)).T
    turned.uniform_()
    np.testing.assert_array_equal(turned.numpy(), straight)


def digest():
    text = hashlib.sha256()
    for x in draw_all():
        text.update(np.ascontiguousarray(x.numpy()).tobytes())
    return text.hexdigest()


def test_threads_and_instruction_sets_give_the_same_bits():
    here = digest()
    for name, value in [
        ("TINYFIN_THREADS", "1"),
        ("TINYFIN_THREADS", "3"),
        ("TINYFIN_ISA", "generic"),
        ("TINYFIN_ISA", "avx2"),
    ]:
        code = (
            f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r}); "
            "import test_random; print(test_random.digest())"
        )
        path = os.pathsep.join(p for p in sys.path if p)
        env = {**os.environ, name: value, "PYTHONPATH": path}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
        assert done.stdout.strip() == here, (name, value, done.stderr)


def test_dropout_scales_and_draws_the_same_mask_for_the_gradient():
    x = Tensor.from_numpy(np.ones((300, 400), "float32"), requires_grad=True)
    y = x.dropout(0.25)
    kept = y.numpy() != 0 if not y.requires_grad else y.detach().numpy() != 0
    assert abs(kept.mean() - 0.75) < 0.01
    np.testing.assert_allclose(y.detach().numpy()[kept], 1 / 0.75, rtol=1e-6)
    # A gradient in another order of strides meets the same elements.
    y.backward(Tensor.from_numpy(np.ones((400, 300), "float32")).T)
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())


def test_dropout_of_a_strided_tensor():
    data = np.random.default_rng(0).normal(size=(30, 20)).astype("float32")
    tinyfin.manual_seed(11)
    straight = Tensor.from_numpy(data).dropout(0.5).numpy()
    tinyfin.manual_seed(11)
    turned = Tensor.from_numpy(np.ascontiguousarray(data.T)).T.dropout(0.5).numpy()
    np.testing.assert_array_equal(straight, turned)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: _ops.dropout(_ops._ones((2,)), 1.5), ["p = 1.5", "0 to 1"]),
        (lambda: _ops._bernoulli(float("nan"), (2,)), ["p = ", "0 to 1"]),
        (lambda: _ops._randint(3, 3, (2,)), ["low = 3", "high = 3"]),
        (lambda: _ops._randn((2,), 0.0, -1.0), ["sigma = -1"]),
        (lambda: _ops._randperm(-1), ["n = -1"]),
    ],
)
def test_errors(call, words):
    with pytest.raises(ValueError) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_in_place_fills_refuse_graphs():
    x = Tensor.from_numpy(np.ones(3), requires_grad=True)
    with pytest.raises(RuntimeError, match="no_grad"):
        x.normal_()
    with tinyfin.no_grad():
        x.normal_()
