"""Lazy imports: a package's public names are imported when they are first used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["attach"]


def attach(
    package: str, homes: Mapping[str, Sequence[str]], packages: Sequence[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return a package's ``__getattr__`` and ``__dir__`` (PEP 562), and its public names.

    ``dir`` lists only the public names, whether imported or not, so that editors and notebooks
    complete only these.

    Parameters
    ----------
    package : str
        Name of the package, its ``__name__``.
    homes : mapping of str to sequence of str
        The public names that each module defines.
    packages : sequence of str, default ()
        Names of public packages inside the package.
    """
    home_of = {name: home for home, names in homes.items() for name in names}
    public = [*home_of, *packages]

    def get(name: str) -> Any:
        """Import a name and store it in the package, so that this is called only once per name."""
        if name in packages:
            return importlib.import_module(f"{package}.{name}")
        if name not in home_of:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message)
        value = getattr(importlib.import_module(home_of[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        """Return ``__all__`` in alphabetical order."""
        return sorted(sys.modules[package].__all__)

    return get, names, public
