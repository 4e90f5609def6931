"""What a peer is: a library that may be installed, and how it is handed a case."""

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
    """Close what needs no closing."""


@dataclass(frozen=True)
class Contender:
    """One library, ready to run one case on data that it holds.

    Attributes
    ----------
    result : callable
        Computes once and returns the result as a NumPy array.
    seconds : callable
        Takes a number of calls and returns the seconds that they took.
    close : callable
        Gives back what it holds.
    note : str
        What was run, where there is a choice.
    """

    result: Callable[[], Array]
    seconds: Timer
    close: Callable[[], None] = _nothing
    note: str = ""


class Peer(ABC):
    """A library to measure beside.

    Attributes
    ----------
    name : str
        What reports call it.
    about : str
        What is run of it.
    wasm : bool
        Whether it computes in WebAssembly.
    """

    name: str
    about: str
    wasm = False

    @abstractmethod
    def version(self) -> str:
        """Return its version.

        Raises
        ------
        CapabilityError
            If it is not installed; the message says what is missing.
        """

    @abstractmethod
    def prepare(self, case: Case, inputs: Inputs, threads: int) -> Contender | None:
        """Return a contender, or None where the peer is not measured on this case."""

    def threads(self, threads: int) -> int:
        """Return how many threads it uses where so many are asked for."""
        return threads


def installed_module(name: str) -> ModuleType:
    """Import a peer's module.

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
    """Return the version that a module states of itself."""
    module: Any = installed_module(name)
    return str(module.__version__)
