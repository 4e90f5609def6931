"""A row of the table of bad input, and the function that the row calls."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import flashwasm as fw
from flashwasm import distributed, qe

# Public packages inside the package, by their names.
PACKAGES = {"distributed": distributed, "qe": qe}


@dataclass(frozen=True)
class Row:
    """One call with arguments that are unusual or wrong, and its outcome.

    Attributes
    ----------
    case : str
        The unusual thing, in words.
    argument : str
        The argument that it is about. The message of an error names it.
    given : callable
        Returns the arguments that replace those of the plain call. They are made anew for each
        call, because some of them are written to.
    raises : type, optional
        Class of the error. None means that the result has the bytes of the plain call's.
    named : bool
        False if the error is about no argument: a closed runtime, or a time that is up.
    gives : object, optional
        The right result, if it is not the plain call's.
    """

    case: str
    argument: str
    given: Callable[[], Mapping[str, Any]]
    raises: type[Exception] | None = None
    named: bool = True
    gives: Any = None


def row(
    case: str,
    argument: str,
    value: Any,
    raises: type[Exception] | None = None,
    *,
    gives: Any = None,
) -> Row:
    """Return the row that replaces one argument by a value."""
    return Row(case, argument, lambda: {argument: value}, raises, gives=gives)


def unnamed(case: str, argument: str, value: Any, raises: type[Exception]) -> Row:
    """Return the row of a value that leads to an error about no argument."""
    return Row(case, argument, lambda: {argument: value}, raises, named=False)


@dataclass(frozen=True)
class Subject:
    """A public function, a plain call of it, and the rows that change the call.

    Attributes
    ----------
    name : str
        Name of the function below `flashwasm`, such as "softmax", "FlatIndex.add" or "qe.collect".
    arguments : mapping
        Arguments of the plain call.
    rows : list of Row
        The rows.
    run : callable, optional
        Takes a runtime and the arguments, and returns the result. None calls the function itself
        with ``runtime=``. A method's `run` makes its object first, so that each row finds a new
        one.
    once : bool
        True to walk the rows on one variant only: of a function that makes a runtime of its own,
        whose variant nobody can choose, or that runs no kernel.
    """

    name: str
    arguments: Mapping[str, Any]
    rows: list[Row] = field(default_factory=list)
    run: Callable[..., Any] | None = None
    once: bool = False

    @property
    def function(self) -> Any:
        """The public function, method or class."""
        found = fw
        for part in self.name.split("."):
            found = PACKAGES.get(part) or getattr(found, part)
        return found

    def call(self, runtime: fw.Runtime, given: Mapping[str, Any]) -> Any:
        """Return the result of the plain call with some arguments replaced."""
        arguments = {**self.arguments, **given}
        if self.run is not None:
            return self.run(runtime, **arguments)
        return self.function(**{"runtime": runtime, **arguments})
