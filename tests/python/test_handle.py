# SPDX-License-Identifier: MIT
"""The base class of Tensor, which is written in C: what operators take, and who frees what."""

import gc
import operator
import sys
import weakref

import numpy as np
import pytest
import tinyfin as tf
from tinyfin._native import Handle

BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.pow, operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge,
]  # fmt: skip
VALUES = np.array([1.5, -2.0, 3.0], np.float32)


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("number", [2, 2.5, True, np.float64(2.5), np.int32(2)])
def test_numbers_on_either_side(op, number):
    x = tf.Tensor(VALUES)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(op(x, number).to_numpy(), op(VALUES, number), rtol=1e-6)
        np.testing.assert_allclose(op(number, x).to_numpy(), op(number, VALUES), rtol=1e-6)


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("other", [[1, 2, 3], (1.0, 2.0, 3.0), np.array([1, 2, 3], np.float32)])
def test_lists_and_arrays(op, other):
    x = tf.Tensor(VALUES)
    array = np.asarray(other, np.float32)
    for got in (op(x, other), op(other, x)):
        assert type(got) is tf.Tensor
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(op(x, other).to_numpy(), op(VALUES, array), rtol=1e-6)
        np.testing.assert_allclose(op(other, x).to_numpy(), op(array, VALUES), rtol=1e-6)


@pytest.mark.parametrize("op", [operator.and_, operator.or_, operator.xor])
def test_bits(op):
    a, b = np.array([6, 3]), np.array([5, 1])
    np.testing.assert_array_equal(op(tf.Tensor(a, dtype="int64"), 5).to_numpy(), op(a, 5))
    np.testing.assert_array_equal(op(5, tf.Tensor(a, dtype="int64")).to_numpy(), op(5, a))
    np.testing.assert_array_equal(
        op(tf.Tensor(a, dtype="int64"), tf.Tensor(b, dtype="int64")).to_numpy(), op(a, b)
    )


def test_matmul():
    a, b = np.ones((2, 3), np.float32), np.full((3, 2), 2, np.float32)
    for got in (tf.Tensor(a) @ tf.Tensor(b), tf.Tensor(a) @ b, a @ tf.Tensor(b)):
        np.testing.assert_array_equal(got.to_numpy(), a @ b)


@pytest.mark.parametrize("op", [operator.iadd, operator.isub, operator.imul, operator.itruediv])
@pytest.mark.parametrize("other", [2, 2.5, [2, 4, 8], np.array([2, 4, 8], np.float32)])
def test_in_place(op, other):
    x = y = tf.Tensor(VALUES)
    y = op(y, other)
    assert y is x
    expected = op(VALUES.copy(), np.asarray(other, np.float32))
    np.testing.assert_allclose(x.to_numpy(), expected, rtol=1e-6)


class Other:
    def __add__(self, other):
        return "added"

    __radd__ = __add__

    def __lt__(self, other):
        return "less"

    __gt__ = __lt__


def test_other_types_get_their_chance():
    x = tf.ones((2,))
    assert x + Other() == "added" and Other() + x == "added"
    assert (x > Other()) == "less"
    assert (x == "text") is False and (x != None) is True  # noqa: E711
    for wrong in (None, "text", object(), {}):
        with pytest.raises(TypeError, match="unsupported operand"):
            x - wrong
        with pytest.raises(TypeError, match="unsupported operand"):
            x /= wrong
    with pytest.raises(TypeError):
        pow(x, 2, 3)
    with pytest.raises(TypeError):
        assert x < "text"


def test_errors_are_the_engines():
    x = tf.ones((2,))
    with pytest.raises(ValueError, match=r"\[add\] received shapes"):
        x + tf.ones((3,))
    with pytest.raises(ValueError, match="add_"):
        x += tf.ones((3,))
    with pytest.raises(OverflowError):
        x + (1 << 70)
    with pytest.raises(RuntimeError, match="leaf"):
        p = tf.Tensor([1.0], requires_grad=True)
        p += 1


def test_no_handle():
    empty = object.__new__(tf.Tensor)
    with pytest.raises(AttributeError):
        assert empty._h
    for op in BINARY:
        for a, b in ((empty, 1.0), (1.0, empty), (empty, empty), (tf.ones((1,)), empty)):
            with pytest.raises(ValueError, match="without a handle"):
                op(a, b)
    empty._h = "nonsense"
    with pytest.raises(ValueError, match="without a handle"):
        empty + 1
    del empty


def test_subclasses():
    class Mine(tf.Tensor):
        def __add__(self, other):
            return "mine"

    mine = Mine([1.0, 2.0])
    mine.name = "kept"  # has a dictionary, unlike a Tensor
    assert mine + 1 == "mine" and type(mine * 2) is tf.Tensor and mine.name == "kept"
    assert type(tf.Tensor([1.0, 2.0]) * mine) is tf.Tensor
    mine.self = mine
    seen = weakref.ref(mine)
    del mine
    gc.collect()
    assert seen() is None
    with pytest.raises(AttributeError):
        tf.ones((1,)).name = "no"


def test_everything_is_freed():
    gc.collect()
    x = tf.ones((1 << 16,))
    before = tf.memory_stats()["current"]
    references = sys.getrefcount(tf.Tensor), sys.getrefcount(Handle), sys.getrefcount(None)
    for _ in range(200):
        y = x + 1.0
        y *= 2
        seen = weakref.ref(y)
        assert (y == x).numpy().all() == False  # noqa: E712
        x + [1.0]
        for wrong in (None, tf.ones((3,))):
            with pytest.raises((TypeError, ValueError)):
                x - wrong
        del y, wrong
        assert seen() is None
    after = sys.getrefcount(tf.Tensor), sys.getrefcount(Handle), sys.getrefcount(None)
    assert all(abs(a - b) < 50 for a, b in zip(references, after))
    assert tf.memory_stats()["current"] < before + (
        1 << 16
    )  # one of the results is four times that


def test_hashed_by_identity():
    a, b = tf.ones((1,)), tf.ones((1,))
    assert len({a, b, a}) == 2
