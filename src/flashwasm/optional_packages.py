"""Optional packages, which are imported when an operation needs them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from flashwasm.errors import CapabilityError

__all__ = ["check_modules", "optional_module"]


def optional_module(
    name: str, package: str | None = None, *, extra: str | None = "qe"
) -> ModuleType:
    """Import a module of an optional package.

    Parameters
    ----------
    name : str
        Name of the module, such as ``jinja2``.
    package : str, optional
        Name of the package for the error message. None means the module's name.
    extra : str or None, default "qe"
        Name of the extra that installs the package. None means that flashwasm always requires the
        package, so that a failure means a broken installation.

    Raises
    ------
    CapabilityError
        If the module cannot be imported; the message says how to install the package.
    """
    try:
        return import_module(name)
    except ImportError as error:
        get_it = f'get it with: pip install "flashwasm[{extra}]"'
        if extra is None:
            get_it = f"install it again with: pip install --force-reinstall {name}"
        message = f"{package or name} cannot be imported ({error}); {get_it}"
        raise CapabilityError(message) from error


def check_modules(*names: str) -> None:
    """Raise CapabilityError unless all modules can be found, without importing them.

    Parameters
    ----------
    names : str
        Names of modules. Each package has the same name as its module.

    Raises
    ------
    CapabilityError
        If a module cannot be found, with the message of `optional_module`.
    """
    for name in names:
        try:
            found = find_spec(name) is not None
        except ImportError:
            found = False
        if not found:
            optional_module(name)
