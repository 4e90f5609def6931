"""The connection to a dask cluster."""

from __future__ import annotations

from typing import Any

from flashwasm.errors import CapabilityError
from flashwasm.optional_packages import optional_module

__all__ = ["connected"]

# Seconds to wait for the scheduler.
_PATIENCE = 10


def connected(address: str) -> Any:
    """Return a client for the scheduler at an address, which is a context manager.

    Raises
    ------
    CapabilityError
        If the package distributed is not installed, or no scheduler answers.
    """
    module = optional_module("dask.distributed", extra="dask")
    try:
        return module.Client(address, timeout=_PATIENCE)
    except (OSError, ValueError, TypeError) as error:
        raise CapabilityError(
            f"no dask scheduler answers at {address!r}; start one with `dask scheduler`, and give "
            f"the address that it prints ({error!s:.100})"
        ) from error
