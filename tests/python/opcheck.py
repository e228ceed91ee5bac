# SPDX-License-Identifier: MIT
"""Checks of ops from samples: values against a reference, gradients against differences.

A sample is one call of one op. The files in samples/ list them, test_ops.py and
compare_backends.py run them: in every dtype, in other layouts of the same values, with several
numbers of threads, on every backend.
"""

from __future__ import annotations

import importlib.util
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Callable

import ml_dtypes
import numpy as np
import tinyfin
from tinyfin import _ops
from tinyfin._native import ffi, lib

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SEED = 20_24

_DTYPES = {
    "float": ("float32", "float64", "bfloat16"),
    "number": ("float32", "float64", "bfloat16", "int32", "int64"),
    "all": ("float32", "float64", "bfloat16", "int32", "int64", "bool"),
}
_NUMPY = {"bfloat16": ml_dtypes.bfloat16}
LAYOUTS = ("transposed", "stepped", "reversed", "broadcast")
# How far a result may be from the reference: relative, and absolute per size of the largest value.
# bfloat16 rounds each result once, and once more between the parts of an op made of several.
_TOLERANCES = {"float32": (1e-5, 2e-6), "float64": (1e-11, 1e-12), "bfloat16": (2e-2, 1e-2)}


@dataclass
class Sample:
    """One call: op(*args, **kwargs), where arrays (also in lists) become tensors.

    reference: the same call on NumPy arrays. Floats arrive as float64, other dtypes as they are.
    grad: numbers of the arguments whose gradient is checked; None: all that hold floats.
    dtypes: what the float arguments are cast to: "float", "number", "all" or names.
    layouts: whether arguments also come transposed, stepped, reversed and broadcast.
    """

    op: str
    args: tuple
    kwargs: dict = field(default_factory=dict)
    reference: Callable | None = None
    grad: tuple | None = None
    dtypes: str | tuple = "float"
    layouts: bool = True
    rtol: float | None = None
    atol: float | None = None
    name: str = ""

    def __post_init__(self) -> None:
        self.args = tuple(self.args)

    @property
    def id(self) -> str:
        return f"{self.op}-{self.name}" if self.name else self.op

    @property
    def dtype_names(self) -> tuple:
        return _DTYPES[self.dtypes] if isinstance(self.dtypes, str) else tuple(self.dtypes)

    @property
    def inplace(self) -> bool:
        return self.op.endswith("_")


# --- collecting -----------------------------------------------------------------------------


@cache
def schemas() -> dict:
    """The ops as their schemas describe them, by name."""
    sys.path.insert(0, str(ROOT / "bindings" / "gen"))
    try:
        import schema
    finally:
        sys.path.pop(0)
    found = schema.parse_files(sorted((ROOT / "src" / "ops").glob("*.cpp")), ROOT)
    return {op.name: op for op in found}


def load_family(path: Path) -> list[Sample]:
    spec = importlib.util.spec_from_file_location(f"samples_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return list(module.samples(np.random.default_rng(zlib.crc32(path.stem.encode()))))


def families() -> list[Path]:
    return sorted((HERE / "samples").glob("*.py"))


def all_samples() -> tuple[list[Sample], dict]:
    """Every sample, with distinct names, and the error of each file that does not load."""
    found, broken = [], {}
    for path in families():
        try:
            found += load_family(path)
        except Exception as error:
            broken[path.name] = error
    seen: dict[str, int] = {}
    for s in found:
        count = seen[s.id] = seen.get(s.id, 0) + 1
        if count > 1:
            s.name = f"{s.name}{count}" if s.name else str(count)
    return found, broken


def function(op: str) -> Callable:
    return getattr(_ops, op, None) or getattr(_ops, "_" + op)


# --- arrays to tensors ----------------------------------------------------------------------


def map_arrays(change: Callable[[Any, np.ndarray], Any], sample: Sample) -> tuple[list, dict]:
    """args and kwargs with change(key, array) for every array. Key: number or name, for an
    array in a list with its position: (1, 0)."""

    def mapped(key: Any, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return change(key, value)
        if isinstance(value, (list, tuple)) and any(isinstance(v, np.ndarray) for v in value):
            return [mapped((key, i), v) for i, v in enumerate(value)]
        return value

    args = [mapped(i, a) for i, a in enumerate(sample.args)]
    return args, {k: mapped(k, v) for k, v in sample.kwargs.items()}


def changed(sample: Sample, change: Callable[[Any, np.ndarray], np.ndarray]) -> Sample:
    args, kwargs = map_arrays(change, sample)
    return replace(sample, args=tuple(args), kwargs=kwargs)


def is_float(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" or array.dtype == ml_dtypes.bfloat16


def cast(sample: Sample, dtype: str) -> Sample:
    kind = _NUMPY.get(dtype, dtype)
    return changed(sample, lambda key, a: np.array(a, kind) if is_float(a) else a)


def tensor(array: np.ndarray) -> tinyfin.Tensor:
    return tinyfin.Tensor.from_numpy(array)


def laid_out(array: np.ndarray, layout: str) -> tinyfin.Tensor:
    """A tensor with the values of an array and other strides, where its shape allows."""
    if layout == "transposed" and array.ndim >= 2:
        return _ops.permute(tensor(np.array(array.T, order="C")), range(array.ndim)[::-1])
    if layout == "stepped" and array.ndim >= 1:
        wide = np.full((*array.shape[:-1], 2 * array.shape[-1] + 1), 77).astype(array.dtype)
        wide[..., 1::2] = array
        return tensor(wide)[..., 1::2]
    if layout == "reversed" and array.ndim >= 1:
        return tensor(np.array(array[..., ::-1], order="C"))[..., ::-1]
    if layout == "broadcast" and array.ndim >= 1 and array.shape[0] > 1 and is_float(array):
        if (array == array[:1]).all():
            return _ops.expand(tensor(array[:1]), *array.shape)
    return tensor(array)


def with_equal_rows(sample: Sample) -> Sample:
    """The sample with the first row of each float array all over: what can be broadcast."""

    def repeated(key: Any, a: np.ndarray) -> np.ndarray:
        if not is_float(a) or a.ndim == 0 or a.shape[0] < 2 or (sample.inplace and key == 0):
            return a
        return np.broadcast_to(a[:1], a.shape).copy()

    return changed(sample, repeated)


# --- running --------------------------------------------------------------------------------


def call(sample: Sample, args: list, kwargs: dict) -> list:
    """The op's results as a list; an in-place op works on a clone."""
    if sample.inplace:
        args = [_ops.clone(args[0]), *args[1:]]
    lib.tf_manual_seed(SEED)
    result = function(sample.op)(*args, **kwargs)
    return list(result) if isinstance(result, (tuple, list)) else [result]


def values(result: Any) -> np.ndarray:
    return result.detach().to_numpy() if isinstance(result, tinyfin.Tensor) else np.array(result)


def forward(sample: Sample, layout: str = "plain") -> list[np.ndarray]:
    args, kwargs = map_arrays(lambda key, a: laid_out(a, layout), sample)
    return [values(r) for r in call(sample, args, kwargs)]


def expected(sample: Sample) -> list[np.ndarray]:
    wide = changed(sample, lambda key, a: a.astype(np.float64) if is_float(a) else a.copy())
    with np.errstate(all="ignore"):
        result = sample.reference(*wide.args, **wide.kwargs)
    return [np.asarray(r) for r in (result if isinstance(result, (tuple, list)) else [result])]


def assert_close(got: np.ndarray, want: np.ndarray, sample: Sample, dtype: str, what: str) -> None:
    assert got.shape == want.shape, f"{what}: shape {got.shape}, expected {want.shape}"
    if not is_float(got):
        assert np.array_equal(got, want.astype(got.dtype)), f"{what}:\n{got}\nexpected\n{want}"
        return
    name = got.dtype.name
    rtol, atol = _TOLERANCES[name if name in ("float32", "bfloat16") else dtype]
    got, want = got.astype(np.float64), want.astype(np.float64)
    finite = np.abs(want[np.isfinite(want)]) if want.size else want
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    np.testing.assert_allclose(
        got,
        want,
        rtol=rtol if sample.rtol is None else max(sample.rtol, rtol),
        atol=atol * scale if sample.atol is None else max(sample.atol, atol * scale),
        err_msg=what,
    )


def check_forward(sample: Sample) -> None:
    """Values and dtypes against the reference: every dtype, every layout."""
    for dtype in sample.dtype_names:
        for layout in ("plain", *(LAYOUTS if sample.layouts else ())):
            s = with_equal_rows(sample) if layout == "broadcast" else sample
            s = cast(s, dtype)
            what = f"{sample.id} {dtype} {layout}"
            got = forward(s, layout)
            want = expected(s) if s.reference else forward(s)
            assert len(got) == len(want), f"{what}: {len(got)} results, expected {len(want)}"
            for k, (g, w) in enumerate(zip(got, want)):
                assert_close(g, w, s, dtype if dtype in _TOLERANCES else "float32",
                             f"{what}, result {k}")  # fmt: skip


# --- gradients ------------------------------------------------------------------------------


def keys_to_check(sample: Sample) -> list:
    """Keys (see map_arrays) of the arrays whose gradients are checked."""
    op = schemas().get(sample.op)
    if sample.grad == () or (sample.grad is None and not (op and op.grad)):
        return []
    found: list = []

    def visit(key: Any, a: np.ndarray) -> np.ndarray:
        root = key[0] if isinstance(key, tuple) else key
        if is_float(a) and (sample.grad is None or root in sample.grad):
            found.append(key)
        return a

    map_arrays(visit, sample)
    return found


@dataclass
class Graph:
    """A recorded call: the checked inputs, float results and a weight for each of their
    elements, which makes one number of them: sum(result * weight)."""

    inputs: list
    results: list
    weights: list


def record(sample: Sample, keys: list, layout: str = "plain") -> Graph:
    inputs: dict = {}

    def made(key: Any, a: np.ndarray) -> tinyfin.Tensor:
        t = laid_out(a, layout)
        if key in keys:
            # A layout is made of views: the view is what the op and the gradient see.
            inputs[key] = t.detach().requires_grad_()
            return inputs[key]
        return t

    args, kwargs = map_arrays(made, sample)
    results = [r for r in call(sample, args, kwargs)
               if isinstance(r, tinyfin.Tensor) and r.requires_grad]  # fmt: skip
    rng = np.random.default_rng(SEED)
    weights = [tensor(np.asarray(rng.normal(size=r.shape))) for r in results]
    return Graph([inputs[k] for k in keys], results, weights)


def gradients(graph: Graph, create_graph: bool = False) -> list:
    """Gradients as tensors; None where a result does not depend on an input."""
    return tinyfin.grad(graph.results, graph.inputs, graph.weights, create_graph=create_graph,
                        allow_unused=True)  # fmt: skip


def arrays_of(grads: list, like: list) -> list[np.ndarray]:
    return [np.zeros(x.shape) if g is None else values(g) for g, x in zip(grads, like)]


def moved(sample: Sample, keys: list, directions: list, step: float) -> Sample:
    by_key = dict(zip(keys, directions))
    return changed(sample, lambda k, a: np.asarray(a + step * by_key[k]) if k in by_key else a)


def dot(xs: list, ys: list) -> float:
    return float(sum(np.sum(x * y) for x, y in zip(xs, ys)))


def directions_for(sample: Sample, keys: list, rng: np.random.Generator) -> Iterator[list]:
    """One direction in all inputs at once, then, of several, one in each alone."""
    shapes: dict = {}
    map_arrays(lambda key, a: shapes.setdefault(key, a.shape), sample)
    together = [np.asarray(rng.normal(size=shapes[k])) for k in keys]
    yield together
    if len(keys) > 1:
        for i in range(len(keys)):
            yield [d if i == j else np.zeros_like(d) for j, d in enumerate(together)]


def assert_slope(got: float, value: Callable[[float], float], what: str, tolerance: float) -> None:
    """got against the slope of value(t) at 0, by differences of fourth order."""
    h = 1e-4
    near = (value(h) - value(-h)) / (2 * h)
    far = (value(2 * h) - value(-2 * h)) / (4 * h)
    slope = near + (near - far) / 3
    limit = tolerance * max(1.0, abs(slope), abs(value(0.0)))
    assert abs(got - slope) <= limit, f"{what}: gradient {got:.12g}, differences give {slope:.12g}"


def check_grad(sample: Sample) -> None:
    """First-order gradients in float64, also of other layouts."""
    keys = keys_to_check(sample)
    s = cast(sample, "float64")
    graph = record(s, keys)
    assert graph.results, f"{sample.id}: no result requires a gradient"
    weights = [values(w) for w in graph.weights]
    plain = arrays_of(gradients(graph), graph.inputs)
    for x, g in zip(graph.inputs, plain):
        assert g.shape == x.shape, f"{sample.id}: gradient of shape {g.shape} for {x.shape}"

    def value(t: float, direction: list) -> float:
        at = record(moved(s, keys, direction, t), keys)
        return dot([values(r) for r in at.results], weights)

    rng = np.random.default_rng(SEED + 1)
    for n, direction in enumerate(directions_for(s, keys, rng)):
        assert_slope(dot(plain, direction), lambda t, d=direction: value(t, d),
                     f"{sample.id}, direction {n}", 1e-7)  # fmt: skip
    for layout in LAYOUTS if s.layouts else ():
        if layout == "broadcast":
            shared = with_equal_rows(s)
            graph = record(shared, keys)
            plain = arrays_of(gradients(graph), graph.inputs)
            other = record(shared, keys, layout)
        else:
            other = record(s, keys, layout)
        for k, (g, w) in enumerate(zip(arrays_of(gradients(other), other.inputs), plain)):
            assert_close(g, w, s, "float64", f"{sample.id} {layout}, gradient {k}")


def check_narrow_grad(sample: Sample) -> None:
    """First-order gradients in bfloat16 against those in float64 of the same numbers."""
    if "bfloat16" not in sample.dtype_names:
        return
    keys = keys_to_check(sample)
    narrow = cast(sample, "bfloat16")
    found = []
    for s in (narrow, cast(narrow, "float64")):
        graph = record(s, keys)
        graph.weights = [_ops.cast(_ops.cast(w, "bfloat16"), r.dtype)
                         for w, r in zip(graph.weights, graph.results)]  # fmt: skip
        found.append(arrays_of(gradients(graph), graph.inputs))
    for k, (g, w) in enumerate(zip(*found)):
        assert_close(g, w, replace(sample, rtol=5e-2, atol=3e-2), "bfloat16",
                     f"{sample.id}, gradient {k}")  # fmt: skip


def check_grad2(sample: Sample) -> None:
    """Second-order gradients in float64: those of sum(gradient * u), with respect to the inputs
    and to the gradient that came in."""
    keys = keys_to_check(sample)
    s = cast(sample, "float64")
    rng = np.random.default_rng(SEED + 2)
    graph = record(s, keys)
    for w in graph.weights:
        w.requires_grad_()
    weights = [values(w) for w in graph.weights]
    us = [np.asarray(rng.normal(size=x.shape)) for x in graph.inputs]

    def value(t: float, direction: list, weight_direction: list) -> float:
        at = record(moved(s, keys, direction, t), keys)
        at.weights = [tensor(np.asarray(w + t * d)) for w, d in zip(weights, weight_direction)]
        return dot(arrays_of(gradients(at), at.inputs), us)

    first = gradients(graph, create_graph=True)
    parts = [(g, u) for g, u in zip(first, us) if g is not None and g.requires_grad]
    if not parts:
        return
    sources = graph.inputs + graph.weights
    second = tinyfin.grad([g for g, _ in parts], sources, [tensor(u) for _, u in parts],
                          allow_unused=True)  # fmt: skip
    second = arrays_of(second, sources)
    n = len(graph.inputs)
    still = [np.zeros_like(w) for w in weights]
    for k, direction in enumerate(directions_for(s, keys, rng)):
        assert_slope(dot(second[:n], direction), lambda t, d=direction: value(t, d, still),
                     f"{sample.id}, second order, direction {k}", 2e-6)  # fmt: skip
    swing = [np.asarray(rng.normal(size=w.shape)) for w in weights]
    rest = [np.zeros(x.shape) for x in graph.inputs]
    assert_slope(dot(second[n:], swing), lambda t: value(t, rest, swing),
                 f"{sample.id}, second order, incoming gradient", 1e-7)  # fmt: skip


# --- surroundings ---------------------------------------------------------------------------


@contextmanager
def threads(n: int) -> Iterator[None]:
    before = lib.tf_num_threads()
    lib.tf_set_num_threads(n)
    try:
        yield
    finally:
        lib.tf_set_num_threads(before)


@contextmanager
def default_device(name: str) -> Iterator[None]:
    """New tensors of this thread go to the device."""
    device = lib.tf_device_get(name.encode())
    if not device:
        raise RuntimeError(ffi.string(lib.tf_last_error()).decode())
    lib.tf_set_default_device(device)
    try:
        yield
    finally:
        lib.tf_set_default_device(ffi.NULL)


def bits(sample: Sample) -> list[bytes]:
    """Results and, where there are any, gradients, to the bit."""
    found = [r.tobytes() for r in forward(sample)]
    keys = keys_to_check(sample)
    if keys:
        graph = record(sample, keys)
        graph.weights = [_ops.cast(w, r.dtype) for w, r in zip(graph.weights, graph.results)]
        found += [g.tobytes() for g in arrays_of(gradients(graph), graph.inputs)]
    return found
