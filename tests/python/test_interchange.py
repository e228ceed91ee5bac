# SPDX-License-Identifier: MIT
"""Memory shared with NumPy and, through DLPack, with other libraries."""

import gc

import numpy as np
import pytest
import tinyfin as tf
from tinyfin import Tensor

DTYPES = ["float32", "float64", "int32", "int64", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_shares_memory(dtype):
    x = Tensor([[0, 1, 1], [1, 0, 1]], dtype=dtype)
    a = x.numpy()
    assert a.dtype == dtype and a.shape == (2, 3)
    a[0, 0] = 1
    assert x.tolist()[0][0] == 1
    del x
    gc.collect()
    assert a[0, 0] == 1  # the array keeps the memory
    assert np.asarray(Tensor([1.0]).T).tolist() == [1]


def test_numpy_of_views_and_empty_tensors():
    x = Tensor(np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(x.T.numpy(), np.arange(6).reshape(2, 3).T)
    assert tf.zeros(0, 3).numpy().shape == (0, 3)
    assert x.to_numpy().base is None or not np.shares_memory(x.to_numpy(), x.numpy())
    assert np.array(x, dtype=np.float64).dtype == np.float64
    assert np.array(x, copy=True)[0, 1] == 1
    assert np.exp(x).shape == (2, 3)


def test_numpy_of_a_tensor_with_gradient():
    x = Tensor([1.0], requires_grad=True)
    with pytest.raises(RuntimeError, match=r"use \.detach\(\)\.numpy\(\)"):
        x.numpy()
    assert x.to_numpy().tolist() == x.data.tolist() == x.detach().numpy().tolist() == [1]
    assert x.grad_numpy() is None
    (x * 2).sum().backward()
    assert x.grad_numpy().tolist() == [2]


@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack_with_numpy(dtype):
    x = Tensor([[0, 1, 1], [1, 0, 1]], dtype=dtype)
    a = np.from_dlpack(x.T)
    assert a.shape == (3, 2) and np.shares_memory(a, x.numpy())
    source = np.arange(12).reshape(3, 4).astype(dtype)
    y = tf.from_dlpack(source[1:, ::2])
    np.testing.assert_array_equal(y.numpy(), source[1:, ::2])
    source[1, 0] = not source[1, 0]
    assert y.tolist()[0][0] == source[1, 0]
    del source
    gc.collect()
    assert y.shape == (2, 2) and y.tolist()


@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3, 4)])
def test_dlpack_of_any_shape(shape):
    a = np.ones(shape, np.float32)
    assert tf.from_dlpack(a).shape == np.from_dlpack(Tensor(a)).shape == shape


def test_dlpack_refusals_leave_nothing_behind():
    for bad in (np.ones(2, np.float16), np.ones(3)[::-1], np.ones(2, np.complex64)):
        with pytest.raises(BufferError, match="expected numbers on the cpu"):
            tf.from_dlpack(bad)
        assert bad.sum() != 0
    with pytest.raises(BufferError, match="gradient"):
        np.from_dlpack(Tensor([1.0], True))
    with pytest.raises(TypeError, match="expected an object with __dlpack__"):
        tf.from_dlpack(3)
    assert Tensor([1]).__dlpack_device__() == (1, 0)


def test_unconsumed_capsules_are_released():
    x = Tensor(np.ones(1000))
    for versions in ({}, {"max_version": (1, 0)}):
        for _ in range(3):
            x.__dlpack__(**versions)
    gc.collect()
    assert x.tolist()[0] == 1


def test_dlpack_with_torch():
    torch = pytest.importorskip("torch")
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    t = torch.from_dlpack(x)
    t[0, 0] = 9
    assert x.tolist()[0][0] == 9
    source = torch.arange(6).reshape(2, 3).t()
    y = tf.from_dlpack(source)
    assert y.shape == (3, 2) and y.dtype == torch.int64 and y.tolist() == source.tolist()
    assert Tensor(torch.ones(2)).tolist() == [1, 1]
    del source
    gc.collect()
    assert y.tolist()[1] == [1, 4]


def test_exchange_in_a_loop_does_not_leak():
    stats = tf.memory_stats
    x = Tensor(np.ones(1000))
    gc.collect()
    before = stats()["current"]
    for _ in range(200):
        np.from_dlpack(x)
        tf.from_dlpack(np.ones(1000, np.float32))
        x.numpy()
    gc.collect()
    assert stats()["current"] == before
