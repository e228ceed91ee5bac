# SPDX-License-Identifier: MIT
"""Memory of the caller's: addresses that fit elements but not registers, elements that share
memory, arrays that overlap. Results have the bits of aligned memory, or there is an error."""

from __future__ import annotations

import gc

import numpy as np
import opcheck
import pytest
import tinyfin
from tinyfin import Tensor

DTYPES = ["float32", "float64", "int32", "int64", "bool"]


def array_at(offset: int, array: np.ndarray) -> np.ndarray:
    """The array's values in memory that begins `offset` elements after a multiple of 64 bytes."""
    size = array.dtype.itemsize
    raw = np.empty(array.nbytes + 64 + offset * size, np.uint8)
    begin = -raw.ctypes.data % 64 + offset * size
    out = raw[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    out[...] = array
    return out


def lent(offset: int, array: np.ndarray) -> Tensor:
    return tinyfin.from_dlpack(array_at(offset, np.ascontiguousarray(array)))


def samples():
    from test_threads import SAMPLES

    return SAMPLES


# Each family of kernels, at sizes that are cut into tiles, streamed, packed or turned.
@pytest.mark.parametrize("name", list(samples()))
def test_same_bits_at_any_address(name, monkeypatch):
    sample = opcheck.cast(samples()[name], "float32")
    aligned = opcheck.bits(sample)
    for offset in (1, 3):
        monkeypatch.setattr(opcheck, "laid_out", lambda array, layout, by=offset: lent(by, array))
        assert opcheck.bits(sample) == aligned, offset


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [1, 3, 5])
def test_every_dtype(dtype, offset):
    rng = np.random.default_rng(0)
    a = rng.integers(0, 2 if dtype == "bool" else 9, (37, 41)).astype(dtype)
    b = rng.integers(1, 2 if dtype == "bool" else 9, (37, 41)).astype(dtype)
    x, y = lent(offset, a), lent(offset + 1, b)
    np.testing.assert_array_equal((x * y).numpy(), a * b)
    np.testing.assert_array_equal((x == y).numpy(), a == b)
    np.testing.assert_array_equal(x.T.clone().numpy(), a.T)
    np.testing.assert_array_equal(x[3:, ::2].clone().numpy(), a[3:, ::2])
    np.testing.assert_array_equal(tinyfin.concat([x, y], 1).numpy(), np.concatenate([a, b], 1))
    np.testing.assert_array_equal(x.sum(0).numpy(), a.sum(0))
    np.testing.assert_array_equal(tinyfin.where(x == y, x, y).numpy(), np.where(a == b, a, b))
    rows = np.array([5, 0, 36, 5])
    np.testing.assert_array_equal(x[lent(1, rows)].numpy(), a[rows])
    if dtype != "bool":
        np.testing.assert_array_equal((x @ y.T).numpy(), a @ b.T)
        np.testing.assert_array_equal(x.max().item(), a.max())


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_written_in_place(dtype):
    """Large enough for stores that go past the caches, which want aligned addresses."""
    a = np.random.default_rng(1).integers(0, 9, (1100, 1030)).astype(dtype)
    memory = array_at(1, a)
    x = tinyfin.from_dlpack(memory)
    x += 2
    x *= x
    np.testing.assert_array_equal(memory, (a + 2) ** 2)
    x.copy_(Tensor.from_numpy(np.ascontiguousarray(a.T)).T)
    np.testing.assert_array_equal(memory, a)
    x.fill_(7)
    assert (memory == 7).all()


def test_an_optimiser_on_lent_memory():
    values = np.random.default_rng(2).normal(size=(33, 70)).astype("float32")

    def trained(make):
        p = make(values).requires_grad_()
        optimizer = tinyfin.optim.Adam([p], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (p * p).sum().backward()
            optimizer.step()
        return p.detach().to_numpy()

    there = trained(lambda v: lent(1, v).detach())
    np.testing.assert_array_equal(there, trained(lambda v: Tensor.from_numpy(v)))


def test_addresses_that_do_not_fit_an_element():
    raw = np.zeros(65, np.uint8)
    odd = raw[1:].view(np.float32) if raw.ctypes.data % 4 == 0 else raw[:64].view(np.float32)
    if odd.flags.aligned:
        odd = raw[2:62].view(np.float32)
    with pytest.raises((BufferError, ValueError)):
        tinyfin.from_dlpack(odd)
    assert Tensor.from_numpy(odd).tolist() == [0.0] * odd.size  # a copy has no such wish


def test_elements_that_share_memory_are_read_only():
    memory = np.arange(6, dtype="float32")
    window = np.lib.stride_tricks.as_strided(memory, (4, 3), (4, 4))
    x = tinyfin.from_dlpack(window)
    np.testing.assert_array_equal((x + 1).numpy(), window + 1)
    with pytest.raises((RuntimeError, ValueError), match="read-only"):
        x += 1
    np.testing.assert_array_equal(memory, np.arange(6))


@pytest.mark.parametrize("shift", [-3, -1, 0, 1, 3])
def test_arrays_that_overlap_are_read_before_they_are_written(shift):
    n = 70_000  # several tiles
    memory = np.arange(n + 8, dtype="float64")
    before = memory.copy()
    x, y = (tinyfin.from_dlpack(memory[4 + s : 4 + s + n]) for s in (0, shift))
    x += y
    expected = before.copy()
    expected[4 : 4 + n] += before[4 + shift : 4 + shift + n]
    np.testing.assert_array_equal(memory, expected)
    x.copy_(tinyfin.from_dlpack(memory[4 : 4 + n][::-1][::-1]))
    np.testing.assert_array_equal(memory, expected)
    del x, y
    gc.collect()
