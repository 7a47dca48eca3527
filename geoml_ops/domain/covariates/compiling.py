"""Loops as machine code (numba), with their types kept for the type checker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Returns a loop as machine code: plain IEEE arithmetic in the written order, without the interpreter's lock."""
    return cast(F, njit(nogil=True)(function))
