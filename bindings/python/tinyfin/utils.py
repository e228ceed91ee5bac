# SPDX-License-Identifier: MIT
"""Checkpoints of training, and checks of values."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from . import _convert
from ._checkpoint import Checkpoint, strong
from .errors import CheckpointError
from .nn.module import Module
from .tensor import Tensor


def _named(tensors: Any) -> OrderedDict:
    """Tensors by name: of a Module, a dict, or numbered."""
    if isinstance(tensors, Module):
        return OrderedDict(tensors.named_parameters() + tensors.named_buffers())
    if hasattr(tensors, "items"):
        return OrderedDict(tensors.items())
    if isinstance(tensors, Tensor) or not isinstance(tensors, Iterable):
        raise TypeError(
            f"[save_checkpoint] received {type(tensors).__name__}; expected a dict of Tensors, a "
            "list or a Module"
        )
    return OrderedDict((str(i), t) for i, t in enumerate(tensors))


def save_checkpoint(
    path: Any,
    tensors: Any,
    optimizer: Any = None,
    scheduler: Any = None,
    metadata: Any = None,
) -> str:
    """Writes tensors (a dict, a list or a Module), optimiser, scheduler and metadata to a file.

    The file is complete or not there: it is written beside its place and renamed. metadata:
    anything that JSON can hold. Returns the path.
    """
    checkpoint = Checkpoint()
    for name, tensor in _named(tensors).items():
        checkpoint.add(f"tensor.{name}", strong(tensor, str(name), "save_checkpoint"))
    if optimizer is not None:
        checkpoint.add_opt("optimizer.", optimizer)
    if scheduler is not None:
        checkpoint.add_text("scheduler", json.dumps(scheduler.state_dict()))
    if metadata is not None:
        checkpoint.add_text("metadata", json.dumps(metadata))
    checkpoint.write(path)
    return os.fspath(path)


def load_checkpoint(
    path: Any,
    optimizer: Any = None,
    scheduler: Any = None,
    strict: bool = True,
) -> tuple[OrderedDict, Any]:
    """Reads a file of save_checkpoint and returns (tensors by name, metadata).

    optimizer and scheduler are restored; strict: a file that lacks their state is an error.
    """
    checkpoint = Checkpoint.read(path)
    items = checkpoint.items()
    tensors = OrderedDict(
        (name[len("tensor.") :], value) for name, value in items if name.startswith("tensor.")
    )
    texts = {name: value for name, value in items if isinstance(value, str)}
    has_optimizer = any(name.startswith("optimizer.") for name, _ in items)
    for what, wanted, found in (
        ("optimizer", optimizer is not None, has_optimizer),
        ("scheduler", scheduler is not None, "scheduler" in texts),
    ):
        if strict and wanted and not found:
            raise CheckpointError(
                f"[load_checkpoint] {os.fspath(path)} holds no state of an {what}; expected one; "
                "use strict=False to go on without"
            )
    try:
        metadata = json.loads(texts["metadata"]) if "metadata" in texts else None
        state = json.loads(texts["scheduler"]) if scheduler and "scheduler" in texts else None
    except ValueError:
        raise CheckpointError(
            f"[load_checkpoint] {os.fspath(path)} holds a text that is no JSON"
        ) from None
    if optimizer is not None and has_optimizer:
        checkpoint.load_opt("optimizer.", optimizer)
    if state is not None:
        scheduler.load_state_dict(state)
    return tensors, metadata


def assert_finite(tensors: Any, msg: str | None = None) -> None:
    """FloatingPointError, naming the first tensor with NaN or infinity, if there is one."""
    named = {"": tensors} if isinstance(tensors, Tensor) else _named(tensors)
    for name, tensor in named.items():
        value = _convert.tensor(tensor, str(name), "assert_finite")
        if value.has_nan_or_inf():
            which = f"tensor {name!r}" if name else "the tensor"
            raise FloatingPointError(
                f"[assert_finite] {msg + ': ' if msg else ''}{which} of shape {value.shape} holds "
                "NaN or infinity"
            )


__all__ = ["assert_finite", "load_checkpoint", "save_checkpoint"]
