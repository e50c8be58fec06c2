"""Numba's ``njit``, kept typed: one decorator for every kernel of the package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a kernel on first use and cache the machine code beside its module.

    Fast-math stays off and kernels are single-threaded, so that the same input gives the same
    bits whatever the number of workers. The interpreter's lock is released while a kernel runs.
    """
    return cast(Function, numba.njit(cache=True, nogil=True)(function))
