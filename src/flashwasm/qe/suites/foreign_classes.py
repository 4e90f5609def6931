"""Known classes outside a suite that its classes may inherit from."""

from __future__ import annotations

import functools
import importlib
import sys
from contextlib import suppress

__all__ = ["adds_no_tests", "gives_constructor", "is_abstract_base", "is_test_case"]

# Packages whose classes add no tests to their subclasses.
_WITHOUT_TESTS = (
    "absl.testing",
    "aiohttp.test_utils",
    "asynctest",
    "channels.testing",
    "django",
    "flask_testing",
    "hypothesis",
    "parameterized",
    "pytest",
    "rest_framework.test",
    "six",
    "testtools",
    "tornado.testing",
    "twisted.trial",
    "typing_extensions",
    "werkzeug",
)
# Modules of the standard library with side effects at import.
_NOT_IMPORTED = {"__main__", "antigravity", "idlelib", "test", "this", "turtledemo"}
_ABSTRACT = {"ABC", "ABCMeta"}


def is_test_case(name: str) -> bool:
    """Return True if a dotted name is a subclass of ``unittest.TestCase``.

    All known frameworks use this ending for the names of such classes.
    """
    return name.endswith("TestCase")


def is_abstract_base(name: str) -> bool:
    """Return True if a base or metaclass of this name makes a class abstract."""
    return name.rpartition(".")[2] in _ABSTRACT


def adds_no_tests(name: str) -> bool:
    """Return True if a class outside the suite, by its dotted name, is known to add no tests."""
    first = name.partition(".")[0]
    return (
        first in sys.stdlib_module_names
        or first == "builtins"
        or any(name.startswith(f"{package}.") for package in _WITHOUT_TESTS)
    )


@functools.cache
def gives_constructor(name: str) -> bool:
    """Return True if a class of the standard library has a constructor.

    pytest does not collect classes with a constructor.

    Examples
    --------
    >>> gives_constructor("builtins.Exception"), gives_constructor("builtins.object")
    (True, False)
    """
    first = name.partition(".")[0]
    if first not in sys.stdlib_module_names or first in _NOT_IMPORTED:
        return False
    found: object = None
    with suppress(ImportError, AttributeError):
        module, _, rest = name.partition(".")
        found = importlib.import_module(module)
        for part in rest.split("."):
            if not hasattr(found, part):
                module = f"{module}.{part}"
                importlib.import_module(module)
            found = getattr(found, part)
    if not isinstance(found, type):
        # These act like base classes, and give a class a constructor.
        return name.rpartition(".")[2] in {"NamedTuple", "TypedDict"}
    return any(getattr(found, one) is not getattr(object, one) for one in ("__init__", "__new__"))
