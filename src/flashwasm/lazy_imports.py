"""Lazy imports: a package's public names are imported when they are first used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["attach"]


def attach(
    package: str, homes: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return a package's ``__getattr__`` and ``__dir__`` (PEP 562), and its public names.

    Parameters
    ----------
    package : str
        Name of the package, its ``__name__``.
    homes : mapping of str to sequence of str
        For each module the public names that it defines.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def get(name: str) -> Any:
        """Import a name, and store it in the package, so that this is called once for each name."""
        if name not in home_of:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message)
        value = getattr(importlib.import_module(home_of[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        """Return all names of the package, including those that are not imported yet."""
        return sorted({*home_of, *vars(sys.modules[package])})

    return get, names, list(home_of)
