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


MATRIX = np.arange(24, dtype=np.float32).reshape(4, 6)
LEAST, MOST = -(1 << 63), (1 << 63) - 1


@pytest.mark.parametrize(
    "index",
    [
        0, -1, np.int64(2), slice(None), slice(1, 3), slice(None, None, -1), slice(3, None, -2),
        slice(LEAST, MOST), slice(MOST, LEAST, -1), slice(None, LEAST), slice(LEAST, None, -1),
        slice(-(1 << 90), 1 << 90), slice(1 << 90, -(1 << 90), -1), slice(0, 4, 1 << 90),
        slice(np.int8(1), np.int64(3)), (1, 2), (slice(1, 3), -1), (None, 0), (..., 2), (0, ...),
        (), (None,) * 3 + (0, None), (slice(4, 1), slice(None, None, 2)), [0, 2],
        (slice(1), [1, 2]),
    ],
)  # fmt: skip
def test_index(index):
    x = tf.Tensor(MATRIX)
    got = x[index]
    assert type(got) is tf.Tensor
    np.testing.assert_array_equal(got.to_numpy(), MATRIX[index])


def test_errors_of_an_index():
    x = tf.Tensor(MATRIX)
    for index, text in [
        (4, r"\[getitem\] received index 4 for axis 0 of size 4"),
        ((0, 0, 0), r"\[getitem\] received too many indices: 3"),
        (slice("a", 2), r"\[getitem\] received .*; expected integers in a slice"),
        ("a", r"\[getitem\] received str as an index"),
        ((..., ...), r"\[getitem\] received two ellipses"),
    ]:
        with pytest.raises(IndexError, match=text):
            x[index]
    with pytest.raises(ValueError, match="a slice of step 0"):
        x[::0]
    with pytest.raises(ValueError, match="64-bit"):
        x[1 << 70]


def test_sizes_and_orders():
    x = tf.Tensor(MATRIX)
    for sizes in [(2, 12), ((2, 12),), ([2, 12],), (-1,), ((3, -1),), (np.int64(2), 12), (24,)]:
        flat = sizes if np.ndim(sizes[0]) == 0 else sizes[0]
        for way in (x.reshape, x.view, x.reshape_view):
            np.testing.assert_array_equal(way(*sizes).to_numpy(), MATRIX.reshape(flat))
    np.testing.assert_array_equal(x.T.reshape(24).to_numpy(), MATRIX.T.reshape(24))
    for order in [(1, 0), ((1, 0),), ([-1, 0],), (np.int64(1), 0)]:
        np.testing.assert_array_equal(x.permute(*order).to_numpy(), MATRIX.T)
        np.testing.assert_array_equal(x.transpose(*order).to_numpy(), MATRIX.T)
    cube = MATRIX.reshape(2, 3, 4)
    for got in (tf.Tensor(cube).T, tf.Tensor(cube).transpose(), tf.Tensor(cube).transpose(())):
        np.testing.assert_array_equal(got.to_numpy(), cube.T)
    assert tf.Tensor(2.0).T.shape == () and tf.Tensor([2.0]).reshape().shape == ()
    y = tf.Tensor(MATRIX, requires_grad=True)
    (y.T[1:3].reshape(-1) * tf.Tensor(np.arange(8))).sum().backward()
    expected = np.zeros((6, 4), np.float32)
    expected[1:3] = np.arange(8).reshape(2, 4)
    np.testing.assert_array_equal(y.grad.to_numpy(), expected.T)


def test_errors_of_sizes_and_orders():
    x = tf.Tensor(MATRIX)
    for call, error, text in [
        (lambda: x.reshape(5, 5), ValueError, r"\[reshape\] received shape \(5, 5\) for 24"),
        (lambda: x.reshape("a"), TypeError, r"\[reshape\] received str for `size`"),
        (lambda: x.reshape(1.5), TypeError, r"\[reshape\] received float for `size`"),
        (lambda: x.reshape(1 << 70), ValueError, r"\[reshape\] .*64-bit"),
        (lambda: x.reshape(24, *[1] * 8), ValueError, r"\[reshape\] received 9 dimensions"),
        (lambda: x.T.view(24), ValueError, r"\[reshape_view\] .*try reshape"),
        (lambda: x.permute(0), IndexError, r"\[permute\] received 1 dimensions"),
        (lambda: x.permute(0, 0), IndexError, r"\[permute\] .*each dimension once"),
        (lambda: x.transpose(0, 2), IndexError, r"\[transpose\]"),
    ]:
        with pytest.raises(error, match=text):
            call()
    for way in (lambda t: t.T, lambda t: t[0], lambda t: t.reshape(1), lambda t: t.permute(0)):
        with pytest.raises(AttributeError, match="_h"):
            way(object.__new__(tf.Tensor))


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
