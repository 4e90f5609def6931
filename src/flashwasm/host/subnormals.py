"""Subnormal numbers: kernels preserve them, even on threads that flush them to zero.

Some libraries make the processor flush subnormal numbers to zero on the calling thread, on request
or when they are imported. Threads that it starts inherit this setting. WebAssembly's arithmetic
follows IEEE 754, which preserves such numbers, and flashwasm guarantees the same bits on every
host.
"""

from __future__ import annotations

import ctypes
import sys
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# The smallest subnormal number. Its product with one is zero on a thread that flushes such numbers.
SMALLEST = 5e-324
# More bytes than fenv_t has in any C library.
_ENVIRONMENT_BYTES = 512


def in_plain_arithmetic(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call a C function in the C library's default floating-point environment."""
    library, default = environment()
    if library is None:
        return call(*arguments)
    before = ctypes.create_string_buffer(_ENVIRONMENT_BYTES)
    library.fegetenv(before)
    library.fesetenv(default)
    try:
        return call(*arguments)
    finally:
        library.fesetenv(before)


@cache
def environment() -> tuple[Any, Any]:
    """Return the C library and its FE_DFL_ENV; or (None, None), after a warning, if not found."""
    try:
        library = ctypes.CDLL("libm.so.6" if sys.platform == "linux" else None)
        library.fegetenv.argtypes = library.fesetenv.argtypes = [ctypes.c_void_p]
        if sys.platform == "darwin":
            default = ctypes.c_void_p(
                ctypes.addressof(ctypes.c_char.in_dll(library, "_FE_DFL_ENV"))
            )
        else:
            default = ctypes.c_void_p(-1)
    except (OSError, AttributeError, ValueError, TypeError):
        warnings.warn(
            "this thread flushes subnormal numbers to zero, so results may differ from those of "
            "other hosts where such numbers occur",
            RuntimeWarning,
            stacklevel=5,
        )
        return None, None
    return library, default
