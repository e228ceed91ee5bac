# SPDX-License-Identifier: MIT
"""Switches of the current thread: gradient recording, and what is available."""

from __future__ import annotations

import functools
from typing import Any, Callable, TypeVar

from ._native import GradMode, ffi, lib

F = TypeVar("F", bound=Callable[..., Any])


class _GradMode(GradMode):
    """Sets whether ops are recorded; a context manager and a decorator."""

    _on = 0
    _function: Callable[..., Any] | None = None

    def _wrap(self, function: Callable[..., Any] | None = None) -> None:
        """The constructor, where it has an argument."""
        if function is not None:
            self._function = function
            functools.update_wrapper(self, function)

    def __reduce__(self) -> tuple:
        return type(self), (self._function,)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._function is not None:  # @no_grad without brackets
            with type(self)():
                return self._function(*args, **kwargs)
        function = args[0]

        @functools.wraps(function)
        def inside(*inner: Any, **named: Any) -> Any:
            with type(self)():
                return function(*inner, **named)

        return inside

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self.__call__, instance)


class no_grad(_GradMode):
    """Ops inside are not recorded: `with no_grad(): …` or `@no_grad()`."""

    _on = 0


class enable_grad(_GradMode):
    """Ops inside are recorded, also within no_grad."""

    _on = 1


def is_grad_enabled() -> bool:
    return lib.tf_grad_enabled() == 1


def set_grad_enabled(on: bool) -> None:
    lib.tf_set_grad_enabled(bool(on))


def get_retain_graph_default() -> bool:
    return lib.tf_retain_graph_default() == 1


def set_retain_graph_default(on: bool) -> None:
    """What `backward(retain_graph=None)` means."""
    lib.tf_set_retain_graph_default(bool(on))


def is_cuda_available() -> bool:
    """Whether the cuda backend loads and has a device."""
    count = ffi.new("int64_t *")
    return lib.tf_device_count(b"cuda", count) == 0 and count[0] > 0


__all__ = [
    "enable_grad",
    "get_retain_graph_default",
    "is_cuda_available",
    "is_grad_enabled",
    "no_grad",
    "set_grad_enabled",
    "set_retain_graph_default",
]
