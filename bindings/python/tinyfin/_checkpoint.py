# SPDX-License-Identifier: MIT
"""The engine's checkpoint: named tensors and texts, in memory or in a file."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from . import _convert
from ._native import ffi, lib, made
from .errors import CheckpointError, MissingFileError, check, last_message

if TYPE_CHECKING:
    from .optim import Optimizer
    from .tensor import Tensor


def _path(path: Any) -> bytes:
    return os.fsencode(os.fspath(path))


def strong(value: Any, name: str, op: str) -> Tensor:
    """A value as a Tensor that can be stored: a number becomes one of no dimensions."""
    if isinstance(value, (bool, int, float)):
        return _convert._Tensor._of_kind(value)
    found = _convert.tensor(value, name, op, True)
    return _convert._Tensor._of_kind(found.item()) if found.is_scalar() else found


def _checked(status: int) -> None:
    """A file or content that does not fit is a CheckpointError, whatever is wrong with it."""
    if status == lib.TINYFIN_OK:
        return
    if status in (
        lib.TINYFIN_ERROR_FORMAT,
        lib.TINYFIN_ERROR_NAME,
        lib.TINYFIN_ERROR_SHAPE,
        lib.TINYFIN_ERROR_DTYPE,
    ):
        raise CheckpointError(last_message())
    check(status)


class Checkpoint:
    """Owns a tf_checkpoint."""

    def __init__(self, handle: Any = None):
        if handle is None:
            out = ffi.new("tf_checkpoint **")
            check(lib.tf_checkpoint_create(out))
            handle = out[0]
        self._c = handle

    def __del__(self) -> None:
        handle = self.__dict__.get("_c")
        if handle is not None:
            lib.tf_checkpoint_release(handle)

    @classmethod
    def read(cls, path: Any) -> Checkpoint:
        out = ffi.new("tf_checkpoint **")
        status = lib.tf_checkpoint_read(_path(path), out)
        if status == lib.TINYFIN_ERROR_IO and not os.path.exists(path):
            raise MissingFileError(last_message())
        _checked(status)
        return cls(out[0])

    def write(self, path: Any) -> None:
        check(lib.tf_checkpoint_write(self._c, _path(path)))

    def add(self, name: str, tensor: Tensor) -> Checkpoint:
        check(lib.tf_checkpoint_add(self._c, name.encode(), tensor._h))
        return self

    def add_text(self, name: str, text: str) -> Checkpoint:
        check(lib.tf_checkpoint_add_text(self._c, name.encode(), text.encode()))
        return self

    def add_opt(self, prefix: str, optimizer: Optimizer) -> Checkpoint:
        check(lib.tf_checkpoint_add_opt(self._c, prefix.encode(), optimizer._o))
        return self

    def load_opt(self, prefix: str, optimizer: Optimizer) -> None:
        _checked(lib.tf_checkpoint_load_opt(self._c, prefix.encode(), optimizer._o))

    def items(self) -> list[tuple[str, Any]]:
        """Names with Tensors or texts, in the order of the file."""
        found: list[tuple[str, Any]] = []
        for i in range(lib.tf_checkpoint_count(self._c)):
            name = ffi.string(lib.tf_checkpoint_name_at(self._c, i)).decode()
            handle = lib.tf_checkpoint_tensor_at(self._c, i)
            if handle:
                found.append((name, made(lib.tf_tensor_retain(handle))))
            else:
                found.append((name, ffi.string(lib.tf_checkpoint_text_at(self._c, i)).decode()))
        return found

    def to_dict(self) -> OrderedDict:
        return OrderedDict(
            (name, value if isinstance(value, str) else value.detach().to_numpy())
            for name, value in self.items()
        )

    @classmethod
    def from_dict(cls, state: Any) -> Checkpoint:
        made = cls()
        for name, value in state.items():
            if isinstance(value, str):
                made.add_text(name, value)
            else:
                made.add(name, strong(value, name, "load_state_dict"))
        return made
