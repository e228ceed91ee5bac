# SPDX-License-Identifier: MIT
"""Dataset, TensorDataset, DataLoader. Batches of tensors are cut by the engine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable

from .. import _convert, _ops, creation
from .._native import ffi, lib, made
from ..errors import check, raise_status
from ..tensor import Tensor


class Dataset:
    """Items by number. Subclasses define __len__ and __getitem__."""

    def __len__(self) -> int:
        raise NotImplementedError(f"[{type(self).__name__}] has no __len__()")

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"[{type(self).__name__}] has no __getitem__()")


class TensorDataset(Dataset):
    """Tensors with one first dimension: item i is the tuple of their i-th rows.

    transform: a function applied to the first of them, item by item.
    """

    def __init__(self, *tensors: Any, transform: Callable[[Tensor], Tensor] | None = None):
        if not tensors:
            raise ValueError("[TensorDataset] received no tensors; expected at least one")
        self.tensors = tuple(
            _convert.tensor(t, f"tensors[{i}]", "TensorDataset", True)
            for i, t in enumerate(tensors)
        )
        for t in self.tensors:
            if not t.ndim or len(t) != len(self.tensors[0]):
                shapes = ", ".join(str(x.shape) for x in self.tensors)
                raise ValueError(
                    f"[TensorDataset] received shapes {shapes}; expected the same first size"
                )
        self.transform = transform

    @classmethod
    def from_numpy(cls, *arrays: Any, transform: Any = None) -> TensorDataset:
        """Of arrays, each in its own dtype."""
        return cls(*[Tensor.from_numpy(a) for a in arrays], transform=transform)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: int) -> tuple:
        if not -len(self) <= index < len(self):
            raise IndexError(f"[TensorDataset] received index {index} for {len(self)} items")
        items = [t[index] for t in self.tensors]
        if self.transform is not None:
            items[0] = self.transform(items[0])
        return tuple(items)


def default_collate(items: list) -> list:
    """Items, each a tuple of tensors, arrays or numbers, as a list of stacked Tensors."""
    first = items[0]
    if not isinstance(first, (tuple, list)):
        items = [(item,) for item in items]
    return [_stacked(list(column)) for column in zip(*items)]


def _stacked(values: list) -> Tensor:
    if isinstance(values[0], (bool, int, float)):
        return Tensor._of_kind(values)
    tensors = [_convert.tensor(v, "items", "collate", True) for v in values]
    return _ops.stack(tensors)


class DataLoader:
    """Batches of a data set: each iteration is one epoch, each batch a list of Tensors.

    shuffle: every epoch has its own order, which follows from seed and epoch alone (seed None:
    drawn from the process-wide generator once). collate_fn: makes a batch of a list of items.
    prefetch_batches: how many batches are prepared ahead of time, at most. Those of a
    TensorDataset by a thread of the engine, if a processor is free for it; those of data sets in
    Python, and of transforms, by num_workers threads.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int | None = None,
        collate_fn: Callable[[list], Any] | None = None,
        num_workers: int = 0,
        prefetch_batches: int = 2,
    ):
        if isinstance(dataset, Tensor):
            dataset = TensorDataset(dataset)
        self.batch_size = _convert.integer(batch_size, "batch_size", "DataLoader")
        if self.batch_size < 1:
            raise ValueError(f"[DataLoader] received batch_size {batch_size}; expected 1 or more")
        if num_workers < 0 or not 0 <= prefetch_batches <= 1024:
            raise ValueError(
                f"[DataLoader] received num_workers {num_workers} and prefetch_batches "
                f"{prefetch_batches}; expected 0 or more, and 0 to 1024"
            )
        self.dataset, self.shuffle, self.drop_last = dataset, bool(shuffle), bool(drop_last)
        self.collate_fn = collate_fn
        self.num_workers, self.prefetch_batches = num_workers, prefetch_batches
        self.seed = _drawn_seed() if seed is None else _convert.integer(seed, "seed", "DataLoader")
        self.epoch = 0  # of the next iteration
        self._d = None
        rows = type(dataset) is TensorDataset and collate_fn is None
        if rows and (dataset.transform is None or not num_workers):
            self._d = self._data(dataset.tensors, self.batch_size, self.drop_last)
            check(lib.tf_data_set_prefetch(self._d, prefetch_batches, False))

    def __del__(self) -> None:
        handle = self.__dict__.get("_d")
        if handle is not None:
            lib.tf_data_release(handle)

    def _data(self, tensors: tuple, batch_size: int, drop_last: bool) -> Any:
        """The engine's batches of rows, in this loader's order."""
        out = ffi.new("tf_data **")
        handles, seed = [t._h for t in tensors], self.seed & (1 << 64) - 1
        check(
            lib.tf_data_create(
                handles, len(handles), batch_size, self.shuffle, seed, drop_last, out
            )
        )
        return out[0]

    @classmethod
    def from_numpy(cls, *arrays: Any, **options: Any) -> DataLoader:
        """DataLoader(TensorDataset.from_numpy(*arrays), …)."""
        return cls(TensorDataset.from_numpy(*arrays), **options)

    def __len__(self) -> int:
        """Batches in an epoch."""
        n = len(self.dataset)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        epoch = self.epoch
        self.epoch += 1
        return self._native(epoch) if self._d is not None else self._python(epoch)

    def _native(self, epoch: int) -> Iterator[list]:
        count = len(self.dataset.tensors)
        out = ffi.new("tf_tensor *[]", count)
        # The position is the iterator's: several may be under way.
        for position in range(len(self)):
            check(lib.tf_data_seek(self._d, epoch, position))
            status = lib.tf_data_next(self._d, out, count)
            if status:
                raise_status(status)
            batch = [made(out[i]) for i in range(count)]
            transform = self.dataset.transform
            if transform is not None:
                batch[0] = _stacked([transform(item) for item in batch[0]])
            yield batch

    def _order(self, n: int, epoch: int) -> list[int]:
        """The numbers of n items as the engine shuffles n rows."""
        if not self.shuffle or n == 0:
            return list(range(n))
        data = self._data((creation.arange(n, device="cpu"),), n, False)
        try:
            out = ffi.new("tf_tensor *[]", 1)
            check(lib.tf_data_seek(data, epoch, 0))
            check(lib.tf_data_next(data, out, 1))
            return made(out[0]).tolist()
        finally:
            lib.tf_data_release(data)

    def _python(self, epoch: int) -> Iterator[Any]:
        order = self._order(len(self.dataset), epoch)
        n = len(self)
        chunks = [order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(n)]
        if not self.num_workers:
            yield from map(self._batch, chunks)
            return
        with ThreadPoolExecutor(self.num_workers) as pool:
            waiting: list[Future] = []
            try:
                for chunk in chunks:
                    waiting.append(pool.submit(self._batch, chunk))
                    if len(waiting) > self.prefetch_batches:
                        yield waiting.pop(0).result()
                while waiting:
                    yield waiting.pop(0).result()
            finally:
                for future in waiting:
                    future.cancel()

    def _batch(self, indices: list[int]) -> Any:
        return (self.collate_fn or default_collate)([self.dataset[i] for i in indices])


def _drawn_seed() -> int:
    """A seed from the process-wide generator, which moves on."""
    seed, offset = ffi.new("uint64_t *"), ffi.new("uint64_t *")
    check(lib.tf_rng_get(seed, offset))
    check(lib.tf_rng_set(seed[0], offset[0] + 1))
    return (seed[0] * 0x9E3779B97F4A7C15 + offset[0]) & (1 << 63) - 1
