# SPDX-License-Identifier: MIT
"""Tensor: making, asking, casting, text, copies, operators with other types."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import tinyfin as tf
from tinyfin import DTYPE, Tensor


@pytest.mark.parametrize(
    ("data", "shape", "dtype"),
    [
        (3, (), "float32"),
        (True, (), "float32"),
        ([1, 2, 3], (3,), "float32"),
        ([[1.5, 2], [3, 4]], (2, 2), "float32"),
        ([], (0,), "float32"),
        ([[], []], (2, 0), "float32"),
        (range(4), (4,), "float32"),
        (np.arange(6).reshape(2, 3), (2, 3), "float32"),
        (np.ones((2, 0)), (2, 0), "float32"),
        (np.float64(2.5), (), "float32"),
        ([np.ones(2), np.zeros(2)], (2, 2), "float32"),
    ],
)
def test_constructor_makes_float32(data, shape, dtype):
    x = Tensor(data)
    assert (x.shape, x.dtype) == (shape, dtype)
    np.testing.assert_array_equal(x.numpy(), np.asarray(data, np.float32))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "bool"])
def test_dtype_has_many_spellings(dtype):
    spellings = [dtype, np.dtype(dtype), np.dtype(dtype).type, DTYPE(dtype)]
    for spelling in spellings:
        x = Tensor([[0, 1], [1, 0]], dtype=spelling)
        assert x.dtype == spelling and x.dtype == dtype and x.numpy().dtype == np.dtype(dtype)
        assert x.tolist() == [[0, 1], [1, 0]]
    assert DTYPE(dtype) != "int8" and DTYPE(dtype) is not None
    assert len({DTYPE(dtype), dtype}) == 1


def test_constructor_copies_and_keeps_a_tensors_dtype():
    x = Tensor([1, 2], dtype="int64")
    y = Tensor(x)
    y.data[0] = 7
    assert (x.tolist(), y.tolist(), y.dtype) == ([1, 2], [7, 2], "int64")
    source = np.ones(2, np.float32)
    z = Tensor(source)
    source[:] = 5
    assert z.tolist() == [1, 1]


def test_bool_in_second_place_is_requires_grad():
    assert Tensor([1.0], True).requires_grad
    assert not Tensor([1.0], False).requires_grad
    assert Tensor([1.0], requires_grad=True).is_leaf


def test_from_numpy_keeps_the_dtype():
    for dtype in ("float32", "float64", "int32", "int64", "bool"):
        assert Tensor.from_numpy(np.ones(2, dtype)).dtype == dtype
    assert Tensor.from_numpy(np.ones(2, np.float16)).dtype == "float32"
    assert Tensor.from_numpy(np.ones(2, np.uint8)).dtype == "int64"
    assert Tensor.from_numpy(np.ones((2, 3))[:, ::-1], requires_grad=True).requires_grad
    with pytest.raises(TypeError, match=r"\[from_numpy\] received list"):
        Tensor.from_numpy([1])


def test_arrays_of_any_layout_are_read_right():
    a = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for view in (a.T, a[:, ::-1], a[::2, 1:, ::3], a[..., 0], np.broadcast_to(a[0], (5, 3, 4))):
        np.testing.assert_array_equal(Tensor(view).numpy(), view)
    np.testing.assert_array_equal(Tensor(a.astype(">f4")).numpy(), a)


@pytest.mark.parametrize("bad", ["text", object(), {"a": 1}, None, [1, "x"], [[1], [1, 2]], 1j])
def test_constructor_refuses_what_is_no_data(bad):
    with pytest.raises((TypeError, ValueError), match=r"\[Tensor\] received"):
        Tensor(bad)


def test_numbers_too_large_for_the_dtype():
    with pytest.raises(ValueError, match="too large"):
        Tensor([1 << 40], dtype="int32")


def test_factories():
    assert tf.zeros(2, 3).shape == tf.zeros((2, 3)).shape == Tensor.zeros([2, 3]).shape == (2, 3)
    assert tf.ones(2, dtype="int64").tolist() == [1, 1]
    assert tf.full((2,), 2.5).tolist() == [2.5, 2.5]
    assert tf.full(2, 3, dtype="int32").tolist() == [3, 3]
    assert tf.empty(3, requires_grad=True).requires_grad
    assert tf.zeros().shape == ()
    x = tf.ones(2, 2, dtype="float64")
    assert tf.zeros_like(x).dtype == "float64" and tf.ones_like(x, dtype="int32").dtype == "int32"
    new = Tensor.new([2, 2], requires_grad=True)
    assert new.requires_grad and new.tolist() == [[0, 0], [0, 0]] and new.dtype == DTYPE.FLOAT32
    with pytest.raises(ValueError):
        tf.zeros(-1)
    with pytest.raises((ValueError, MemoryError)):
        tf.zeros(1 << 40, 1 << 40)
    with pytest.raises(TypeError, match=r"expected an int or a sequence of ints"):
        tf.zeros(2.5)


def test_attributes():
    x = Tensor([[1, 2, 3], [4, 5, 6]])
    assert (x.shape, x.ndim, x.size, len(x), x.strides) == ((2, 3), 2, 6, 2, (3, 1))
    assert (x.T.shape, x.T.strides, x.T.is_contiguous()) == ((3, 2), (1, 3), False)
    assert x.device == "cpu" and x.device == "cpu:0" and x.device == tf.DEVICE.CPU
    assert x.device != "cuda" and x.device.type == "cpu" and x.device.index == 0
    assert (x.get_dtype(), x.get_device()) == ("float32", "cpu")
    assert x.grad is None and x.is_leaf and not x.requires_grad
    with pytest.raises(TypeError, match="without dimensions"):
        len(Tensor(1.0))


def test_to_python():
    assert Tensor(2.5).item() == 2.5 and type(Tensor(2, dtype="int32").item()) is int
    assert Tensor([[True]], dtype="bool").item() is True
    assert (float(Tensor([3])), int(Tensor(3.7)), bool(Tensor(0.0))) == (3.0, 3, False)
    assert [10, 20, 30][Tensor(1, dtype="int64")] == 20
    assert f"{Tensor(3.14159):.2f}" == "3.14"
    assert Tensor([[1, 2]], dtype="int64").tolist() == [[1, 2]]
    assert tf.zeros(2, 0).tolist() == [[], []] and tf.zeros(0, 2).tolist() == []
    assert Tensor([[1, 2], [3, 4]]).T.tolist() == [[1, 3], [2, 4]]
    with pytest.raises(ValueError, match=r"\[tensor_item"):
        Tensor([1, 2]).item()
    with pytest.raises(TypeError):
        [1, 2][Tensor(1.0)]


def test_data_is_the_memory_and_assigning_copies_into_it():
    x = Tensor([1, 2], requires_grad=True)
    memory = x.data
    memory[0] = 5
    assert x.tolist() == [5, 2]
    x.data = [7, 8]
    assert memory.tolist() == [7, 8] and x.requires_grad and x.is_leaf
    x.data = 3.0
    assert memory.tolist() == [3, 3]
    with pytest.raises(ValueError):
        x.data = [1, 2, 3]
    view = Tensor(4.0).numpy_view()
    assert view.shape == () and view[()] == 4


def test_assigning_data_counts_as_a_modification():
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    x.data = [3.0, 4.0]
    with pytest.raises(RuntimeError, match="modified"):
        y.backward()


def test_casts():
    x = Tensor([1.7, -1.7, 0.0])
    assert x.float() is x and x.double().dtype == "float64"
    assert x.int().tolist() == [1, -1, 0] and x.int().dtype == "int32"
    assert x.long().dtype == "int64" and x.bool().tolist() == [True, True, False]
    assert x.astype(np.float64).dtype == "float64"
    assert x.double(inplace=True) is x and x.dtype == "float64"
    assert x.set_dtype("int64") is x and x.tolist() == [1, -1, 0]
    y = Tensor([1.0], requires_grad=True)
    y.double().sum().backward()
    assert y.grad.dtype == "float32" and y.grad.tolist() == [1]
    with pytest.raises(TypeError, match="expected one of float32"):
        x.astype("complex64")


def test_devices():
    x = Tensor([1.0])
    for spelling in ("cpu", "cpu:0", tf.DEVICE.CPU, 0):
        assert x.to(spelling) is x and x.set_device(spelling) is x
        assert x.to_device(spelling).device == "cpu"
        assert Tensor([1], device=spelling).device == "cpu"
    assert x.to(device="cpu", dtype="float64").dtype == "float64"
    assert x.cpu() is x
    for bad in ("nonsense", "cpu:7"):
        with pytest.raises((RuntimeError, ValueError), match=bad):
            x.to(bad)
    with pytest.raises(ValueError, match="expected a name"):
        Tensor([1], device=3.5)


def test_copies_and_pickles():
    x = Tensor([[1.0, 2.0]], requires_grad=True)
    (x * 3).sum().backward()
    for y in (copy.deepcopy(x), copy.copy(x), pickle.loads(pickle.dumps(x))):
        assert y.requires_grad and y.is_leaf and y.tolist() == [[1, 2]]
        y.data[0, 0] = 9
        assert x.tolist() == [[1, 2]]
    assert copy.deepcopy(x).grad.tolist() == [[3, 3]]
    for dtype in ("int32", "bool", "float64"):
        z = pickle.loads(pickle.dumps(Tensor([0, 1], dtype=dtype).T))
        assert z.dtype == dtype and z.tolist() == [0, 1]
    c = x.clone()
    assert not c.is_leaf and x.copy().tolist() == x.tolist()
    with pytest.raises(RuntimeError, match="leaf"):
        copy.deepcopy(c)


def test_text():
    assert repr(Tensor([1.0, 2.5])) == "Tensor([ 1., 2.5])"
    assert repr(Tensor([1, 2], dtype="int64")) == "Tensor([1, 2], dtype=int64)"
    assert repr(Tensor(3.0, requires_grad=True)) == "Tensor(3., requires_grad=True)"
    assert repr(tf.zeros(2, 0)) == "Tensor([[],\n        []], shape=(2, 0))"
    assert "op=add" in repr(Tensor([1.0], True) + 1)
    assert repr(Tensor([[1, 2], [3, 4]])).count("\n") == 1


def test_equality_is_by_element_and_hash_by_identity():
    x = Tensor([1.0])
    assert len({x, x, Tensor([1.0])}) == 2


def test_operators_with_other_types():
    x = Tensor([1.0, 2.0])
    assert (x + 1).tolist() == (1 + x).tolist() == (x + np.ones(2)).tolist() == [2, 3]
    assert (np.ones(2, np.float32) + x).tolist() == [2, 3] and type(np.ones(2) * x) is Tensor
    assert (x + [1, 2]).tolist() == [2, 4] and (x * np.float64(2)).dtype == "float32"
    i = Tensor([1, 2], dtype="int32")
    assert (i + 1).dtype == "int32" and (i + 0.5).dtype == "float32" and (i * True).dtype == "int32"
    for bad in ("a", None, object(), {}, 1j):
        with pytest.raises(TypeError):
            x + bad
        with pytest.raises(TypeError):
            bad + x
    with pytest.raises(TypeError, match=r"\[add\] received str for `b`"):
        tf.add(x, "a")


class Other:
    def __radd__(self, left):
        return "theirs"


def test_a_foreign_type_gets_its_turn():
    assert Tensor([1.0]) + Other() == "theirs"


def test_functions_take_numbers_and_lists():
    assert tf.add(1, 2).item() == 3 and tf.relu([-1, 2]).tolist() == [0, 2]
    assert tf.sum([[1, 2], [3, 4]], axis=0).tolist() == [4, 6]
    x = Tensor([[1.0, 2], [3, 4]])
    assert x.sum(dim=(0, 1)).item() == x.sum().item() == 10
    assert x.sum(1, keepdims=True).shape == x.sum(axis=-1, keepdim=True).shape == (2, 1)
    with pytest.raises(TypeError, match="`dim` and `axis`"):
        x.sum(0, axis=1)
    with pytest.raises(TypeError, match="for `dim`"):
        x.sum("a")
    with pytest.raises(tf.AxisError):
        x.sum(5)
    assert issubclass(tf.AxisError, ValueError) and issubclass(tf.AxisError, IndexError)


def test_reshape_takes_ints_or_a_sequence():
    x = tf.zeros(2, 6)
    for y in (
        x.reshape(3, 4),
        x.reshape((3, 4)),
        x.reshape([3, -1]),
        x.reshape(Tensor(3).int(), 4),
    ):
        assert y.shape == (3, 4)
    assert x.permute(1, 0).shape == x.permute([1, 0]).shape == (6, 2)
    assert tf.zeros(1).reshape(()).shape == ()


def test_errors_say_what_was_received():
    with pytest.raises(
        ValueError, match=r"\[add\] received shapes \(2,\) and \(3,\); expected"
    ) as e:
        tf.zeros(2) + tf.zeros(3)
    assert isinstance(e.value, tf.Error) and isinstance(e.value, tf.ShapeError)


def test_import_is_light():
    code = (
        "import sys, tinyfin; print([m for m in ('numpy', 'ctypes', 'torch') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_numbers_beside_tensors():
    x = Tensor([1.0, -2.0, 4.0])
    assert (x + 1).tolist() == (1 + x).tolist() == [2, -1, 5]
    assert (2.5 - x).tolist() == [1.5, 4.5, -1.5] and (x - 2.5).tolist() == [-1.5, -4.5, 1.5]
    assert (8 / x).tolist() == [8, -4, 2] and (x**2).tolist() == [1, 4, 16]
    assert (2**x).tolist() == [2, 0.25, 16] and (x > 0).tolist() == [True, False, True]
    assert (x == 4).tolist() == [False, False, True] and (7 % Tensor([4])).tolist() == [3]
    i = Tensor([1, 2], dtype="int64")
    assert (i + 1).dtype == "int64" and (i + 0.5).dtype == "float32"
    assert (i + True).tolist() == [2, 3] and (i == np.int64(2)).tolist() == [False, True]
    y = x.clone()
    y += 1
    y *= 0.5
    assert y.tolist() == [1, -0.5, 2.5]
    with pytest.raises(OverflowError):
        i + (1 << 80)
    with pytest.raises(TypeError):
        x + "one"
    with pytest.raises(tf.DTypeError):
        i += 0.5
    x.requires_grad_()
    (3 * x + x / 2).sum().backward()
    assert x.grad.tolist() == [3.5] * 3


def test_a_list_that_is_no_list_of_tensors_is_converted():
    assert tf.concat([np.ones(2), [2.0], Tensor([3.0])]).tolist() == [1, 1, 2, 3]
    assert tf.stack([[1.0], (2.0,)]).tolist() == [[1], [2]]
    with pytest.raises(TypeError, match=r"xs\[1\]"):
        tf.concat([np.ones(2), "two"])


def test_sizes_beyond_64_bits_are_an_error_of_ours():
    x = Tensor([1.0, 2.0])
    for call in (
        lambda: x.reshape(1 << 70),
        lambda: x.reshape([1 << 70, 2]),
        lambda: x.sum(1 << 70),
        lambda: tf.zeros((1 << 70,)),
    ):
        with pytest.raises(tf.ArgumentError, match="64-bit"):
            call()
    with pytest.raises(tf.ArgumentError, match="64-bit"):
        x[1 << 70]
    assert x[: 1 << 70].tolist() == [1, 2] and x[-(1 << 70) :].tolist() == [1, 2]
    assert x[-(1 << 63) : -(1 << 63)].tolist() == []
