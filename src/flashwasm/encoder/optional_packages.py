"""Packages that only the sentence encoder needs, imported when a model is loaded."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from flashwasm.errors import CapabilityError

__all__ = ["optional_module"]


def optional_module(name: str) -> ModuleType:
    """Import a package that is installed only with ``flashwasm[qe]``.

    Raises
    ------
    CapabilityError
        If the package cannot be imported; the message says how to install it.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise CapabilityError(
            f"the sentence encoder needs {name}, which cannot be imported ({error}); "
            "get it with: pip install 'flashwasm[qe]'"
        ) from error
