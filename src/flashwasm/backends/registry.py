"""The backends by name. Each is imported and created when it is first used."""

from __future__ import annotations

import os
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from flashwasm.errors import CapabilityError
from flashwasm.validation import choice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flashwasm.backends.backend import Backend, Operation

__all__ = [
    "BACKENDS",
    "OTHER_BACKENDS",
    "SANDBOX",
    "BackendName",
    "backend_named",
    "check_options",
    "checked_backend",
    "checked_name",
]

BackendName: TypeAlias = Literal["wasm-simd", "native", "gpu", "hybrid"]
BACKENDS: tuple[BackendName, ...] = get_args(BackendName)
# The sandbox, which is the default backend.
SANDBOX: BackendName = "wasm-simd"

# Module and class of each backend outside the sandbox. "hybrid" is not listed, because it only
# chooses one of the others.
_CLASSES: Mapping[str, tuple[str, str]] = {
    "native": ("flashwasm.backends.native.backend", "NativeBackend"),
    "gpu": ("flashwasm.backends.gpu.backend", "GpuBackend"),
}
OTHER_BACKENDS = tuple(_CLASSES)


class _Made:
    """The backends that this process has created, and the lock for creating them."""

    def __init__(self) -> None:
        self.backends: dict[str, Backend] = {}
        self.lock = threading.Lock()


_made = _Made()


def backend_named(name: str) -> Backend:
    """Return the process's backend of a name. The first call creates it.

    Parameters
    ----------
    name : {"native", "gpu"}
        Name of a backend outside the sandbox.

    Raises
    ------
    CapabilityError
        If the backend cannot run on this machine.
    """
    found = _made.backends.get(name)
    if found is not None:
        return found
    with _made.lock:
        if name not in _made.backends:
            module, kind = _CLASSES[name]
            try:
                made: Any = getattr(import_module(module), kind)
            except ModuleNotFoundError as error:
                if error.name is None or not error.name.startswith("flashwasm"):
                    raise
                raise CapabilityError(
                    f"backend: this build of flashwasm has no {name!r}; 'wasm-simd' runs everywhere"
                ) from error
            _made.backends[name] = made()
        return _made.backends[name]


def checked_name(name: BackendName, *, deterministic: bool) -> BackendName:
    """Return a backend's name; raise an error if the backend cannot run on this machine.

    Parameters
    ----------
    name, deterministic
        As in `checked_backend`.
    """
    checked = choice(name, "backend", BACKENDS)
    checked_backend(checked, deterministic=deterministic)
    return checked


def checked_backend(name: BackendName, *, deterministic: bool) -> Backend | None:
    """Return the backend of a name, or None for the sandbox and for "hybrid".

    Parameters
    ----------
    name : str
        One of `BACKENDS`.
    deterministic : bool
        True to accept only backends that guarantee the same bits on every machine.

    Raises
    ------
    CapabilityError
        If the backend cannot run on this machine, or if ``deterministic`` excludes it.
    """
    if name not in _CLASSES:
        return None
    backend = backend_named(name)
    if deterministic and not backend.bits_promised:
        raise CapabilityError(
            f"deterministic: the backend {name!r} promises no bits; "
            "expected 'wasm-simd', or 'hybrid', which then runs in the sandbox"
        )
    return backend


def check_options(backend: Backend, operation: Operation, used: Iterable[str]) -> None:
    """Raise CapabilityError, with the option's name, if a backend does not support an option.

    Parameters
    ----------
    backend : Backend
        The backend.
    operation : str
        The operation.
    used : iterable of str
        Names of the options that the call uses, as in `Backend.options`.
    """
    known = backend.options(operation)
    for option in used:
        if option not in known:
            raise CapabilityError(
                f"{option}: the backend {backend.name!r} does not support this option of "
                f"{operation}; 'wasm-simd' does"
            )


def _after_fork() -> None:
    """Drop the parent's backends, since a forked child lacks their devices and threads."""
    _made.backends.clear()
    _made.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
