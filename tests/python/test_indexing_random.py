# SPDX-License-Identifier: MIT
"""x[...] and x[...] = v against NumPy, over random index expressions; gradients; errors."""

import numpy as np
import pytest
import tinyfin
from tinyfin import Tensor

CASES = 1500


def random_index(rng, shape):
    """An index of NumPy's for the shape; now and then one that does not fit."""
    items, dims = [], list(range(len(shape)))
    arrays = rng.random() < 0.6
    common = tuple(rng.integers(1, 4, size=rng.integers(0, 3)))
    ellipsis_at = rng.integers(0, len(dims) + 1) if rng.random() < 0.4 else None
    used_ellipsis = used_mask = False
    d = 0
    while d < len(shape):
        n = shape[d]
        if rng.random() < 0.15:
            items.append(None)
        if ellipsis_at == d and not used_ellipsis:
            items.append(Ellipsis)
            used_ellipsis = True
            skip = int(rng.integers(0, len(shape) - d + 1))
            # What follows must reach the end exactly.
            d += skip
            continue
        kind = rng.integers(0, 6)
        if kind == 0 and n > 0:
            items.append(int(rng.integers(-n, n)))
        elif kind in (1, 2) or not arrays or (n == 0 and kind != 5):
            bounds = [None if rng.random() < 0.4 else int(rng.integers(-n - 2, n + 3))
                      for _ in range(2)]
            step = int(rng.choice([1, 1, 2, 3, -1, -2]))
            items.append(slice(*bounds, None if step == 1 else step))
        elif kind in (3, 4):
            size = tuple(1 if rng.random() < 0.2 else s for s in common)
            items.append(rng.integers(-n, n, size=size))
        elif not used_mask and len(common) <= 1:
            used_mask = True
            k = int(rng.integers(1, min(2, len(shape) - d) + 1))
            items.append(rng.random(size=shape[d : d + k]) < 0.5)
            d += k - 1
        else:
            items.append(slice(None))
        d += 1
    if not used_ellipsis:
        while items and rng.random() < 0.3:
            items.pop()
    return tuple(items)


def as_ours(index):
    return tuple(Tensor.from_numpy(i) if isinstance(i, np.ndarray) else i for i in index)


def random_cases():
    rng = np.random.default_rng(7)
    found = 0
    while found < CASES:
        shape = tuple(int(n) for n in rng.integers(0 if rng.random() < 0.1 else 1, 5,
                                                   size=rng.integers(1, 5)))
        x = rng.normal(size=shape)
        index = random_index(rng, shape)
        try:
            part = x[index]
        except IndexError:  # masks and arrays that do not go together
            continue
        if part.ndim > 8:
            continue
        found += 1
        yield rng, x, index, part


def test_reads_as_numpy():
    for _, x, index, expected in random_cases():
        found = Tensor.from_numpy(x)[as_ours(index)].numpy()
        assert found.shape == expected.shape, index
        np.testing.assert_array_equal(found, expected, err_msg=str(index))


def test_reads_strided_tensors():
    for _, x, index, expected in random_cases():
        found = Tensor.from_numpy(np.ascontiguousarray(x.T)).T[as_ours(index)].numpy()
        np.testing.assert_array_equal(found, expected, err_msg=str(index))


def test_assigns_as_numpy():
    for rng, x, index, part in random_cases():
        value = rng.normal(size=part.shape)
        if rng.random() < 0.3:
            value = value[..., :1] if value.ndim and value.shape[-1] else np.float64(1.25)
        ours = Tensor.from_numpy(x.copy())
        ours[as_ours(index)] = Tensor.from_numpy(np.asarray(value))
        expected = x.copy()
        expected[index] = value
        np.testing.assert_array_equal(ours.numpy(), expected, err_msg=str(index))


def test_gradient_of_reading():
    for rng, x, index, part in random_cases():
        ours = Tensor.from_numpy(x, requires_grad=True)
        weight = rng.normal(size=part.shape)
        ours[as_ours(index)].backward(Tensor.from_numpy(weight))
        expected = np.zeros_like(x)
        np.add.at(expected, index, weight)
        np.testing.assert_allclose(ours.grad.numpy(), expected, rtol=1e-12, atol=1e-14,
                                   err_msg=str(index))


def test_gradient_of_assigning():
    for rng, x, index, part in random_cases():
        ours = Tensor.from_numpy(x, requires_grad=True)
        value = Tensor.from_numpy(rng.normal(size=part.shape), requires_grad=True)
        out = ours * 1
        out[as_ours(index)] = value
        weight = rng.normal(size=x.shape)
        out.backward(Tensor.from_numpy(weight))
        # Each element of the result comes from one of x's or from one of value's.
        source = np.arange(x.size).reshape(x.shape)
        source[index] = x.size + np.arange(part.size).reshape(part.shape)
        expected = np.zeros(x.size + part.size)
        np.add.at(expected, source.reshape(-1), weight.reshape(-1))
        np.testing.assert_array_equal(ours.grad.numpy().reshape(-1), expected[: x.size],
                                      err_msg=str(index))
        np.testing.assert_array_equal(value.grad.numpy().reshape(-1), expected[x.size :],
                                      err_msg=str(index))


def test_basic_indexing_shares_memory():
    x = tinyfin._ops._zeros((4, 6))
    part = x[1:3, ::-2]
    part += 1
    expected = np.zeros((4, 6))
    expected[1:3, ::-2] += 1
    np.testing.assert_array_equal(x.numpy(), expected)


def test_assignment_from_an_overlapping_part():
    data = np.arange(12.0)
    x = Tensor.from_numpy(data.copy())
    x[2:] = x[:-2]
    expected = data.copy()
    expected[2:] = data[:-2]
    np.testing.assert_array_equal(x.numpy(), expected)


def test_duplicates_accumulate():
    x = Tensor.from_numpy(np.zeros(3), requires_grad=True)
    x[[0, 0, 2, 0]].sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [3, 0, 1])


def test_last_of_duplicates_stays():
    x = Tensor.from_numpy(np.zeros(3))
    value = Tensor.from_numpy(np.array([1.0, 2.0, 3.0]), requires_grad=True)
    x[[1, 1, 0]] = value
    np.testing.assert_array_equal(x.detach().numpy(), [3, 2, 0])
    x.sum().backward()
    np.testing.assert_array_equal(value.grad.numpy(), [0, 1, 1])


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("turned", [False, True])
def test_a_mask_alone(dims, turned):
    rng = np.random.default_rng(dims)
    data = rng.normal(size=(3, 4, 5))
    mask = rng.random(data.shape[:dims]) < 0.5
    base = Tensor.from_numpy(np.ascontiguousarray(data.T) if turned else data, requires_grad=True)
    x = (base.T if turned else base) * 1
    m = Tensor.from_numpy(mask)
    np.testing.assert_array_equal(x[m].detach().numpy(), data[mask])
    x[m] = 2.5
    expected = data.copy()
    expected[mask] = 2.5
    np.testing.assert_array_equal(x.detach().numpy(), expected)
    x.sum().backward()
    kept = np.broadcast_to(~mask.reshape(mask.shape + (1,) * (3 - dims)), data.shape)
    np.testing.assert_array_equal((base.grad.T if turned else base.grad).numpy(), kept)


def test_assignment_that_would_lose_a_gradient_is_refused():
    x = Tensor.from_numpy(np.zeros((2, 3)), requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        x[0] = 1
    y = x * 2
    with pytest.raises(RuntimeError, match="view"):
        y[0][1] = 1
    with tinyfin.no_grad():
        x[0] = 1
    np.testing.assert_array_equal(x.detach().numpy(), [[1, 1, 1], [0, 0, 0]])


@pytest.mark.parametrize(
    "index, words",
    [
        (np.s_[3], ["index 3", "axis 0", "size 3", "-3 to 2"]),
        (np.s_[:, -5], ["index -5", "axis 1", "size 4"]),
        (np.s_[0, 0, 0], ["too many", "3", "2 dimensions"]),
        (np.s_[..., ...], ["ellips"]),
        (np.s_[np.array([0, 7])], ["index 7", "axis 0", "size 3"]),
        (np.s_[:, np.array([0, -5])], ["index -5", "axis 1", "size 4"]),
        (np.s_[np.array([0, 1]), np.array([0, 1, 2])], ["(2,)", "(3,)", "broadcast"]),
        (np.s_[np.array([True, False])], ["mask", "(2,)", "axis 0", "size 3"]),
        (np.s_[np.array([0.5])], ["float64", "int64"]),
    ],
)
def test_index_errors(index, words):
    x = Tensor.from_numpy(np.zeros((3, 4)))
    items = index if isinstance(index, tuple) else (index,)
    with pytest.raises(IndexError) as caught:
        x[as_ours(items)]
    for word in words:
        assert word in str(caught.value)
    assert isinstance(caught.value, tinyfin.Error)


def test_step_zero_and_bad_values():
    x = Tensor.from_numpy(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="step 0"):
        x[::0]
    with pytest.raises(ValueError, match=r"\(3,\).*\(4,\)"):
        x[0] = Tensor.from_numpy(np.zeros(3))


@pytest.mark.parametrize("step", [-(1 << 63) + 1, (1 << 63) - 1])
def test_extreme_steps(step):
    x = np.arange(5.0)
    np.testing.assert_array_equal(Tensor.from_numpy(x)[::step].numpy(), x[::step])


def test_scalars_and_bool():
    x = Tensor.from_numpy(np.array(3.0))
    assert x[()].item() == 3 and x[None].shape == (1,) and x[...].shape == ()
    assert x[True].shape == (1,) and x[False].shape == (0,)
    x[()] = 4
    x[...] = x + 1
    assert x.item() == 5
