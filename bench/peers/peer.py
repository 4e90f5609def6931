"""The interface of a peer: a library that may be installed and can run cases."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flashwasm.errors import CapabilityError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flashwasm.benchmarks.case import Array, Case, Inputs
    from flashwasm.benchmarks.timing import Timer

# The command that installs every peer.
INSTALL = "make bench-peers"


def _nothing() -> None:
    """Do nothing: most contenders have nothing to release."""


@dataclass(frozen=True)
class Contender:
    """A library that is ready to run one case, with the data already loaded.

    Attributes
    ----------
    result : callable
        Function that computes once and returns the result as a NumPy array.
    seconds : callable
        Function that makes a number of calls and returns the seconds that they took.
    close : callable
        Function that releases memory and processes.
    note : str
        A few words on the form that runs, if there are several.
    """

    result: Callable[[], Array]
    seconds: Timer
    close: Callable[[], None] = _nothing
    note: str = ""


class Peer(ABC):
    """A library to compare with.

    Attributes
    ----------
    name : str
        Name of the library in reports.
    about : str
        A few words that say how the library is used.
    wasm : bool
        True if it computes in WebAssembly.
    """

    name: str
    about: str
    wasm = False

    @abstractmethod
    def version(self) -> str:
        """Return the version of the library.

        Raises
        ------
        CapabilityError
            If it is not installed. The message names the missing package.
        """

    @abstractmethod
    def prepare(self, case: Case, inputs: Inputs, threads: int) -> Contender | None:
        """Return a contender for a case, or None if this peer does not take part in it.

        Parameters
        ----------
        case : Case
            The case.
        inputs : tuple of numpy.ndarray
            Its inputs.
        threads : int
            Threads to use, if the library has threads.
        """

    def threads(self, threads: int) -> int:
        """Return the number of threads that the library uses.

        Parameters
        ----------
        threads : int
            Requested number of threads.
        """
        return threads


def installed_module(name: str) -> ModuleType:
    """Import and return a module of a peer.

    Parameters
    ----------
    name : str
        Name of the module.

    Raises
    ------
    CapabilityError
        If it cannot be imported.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise CapabilityError(f"{name} cannot be imported ({error})") from error


def module_version(name: str) -> str:
    """Return the version that a module states.

    Parameters
    ----------
    name : str
        Name of the module.
    """
    module: Any = installed_module(name)
    return str(module.__version__)
