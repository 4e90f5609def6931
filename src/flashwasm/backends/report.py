"""The backends that this machine has, in words."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flashwasm.backends.hybrid.chooser import choice_in_words
from flashwasm.backends.registry import BACKENDS, OTHER_BACKENDS, SANDBOX, backend_named
from flashwasm.errors import CapabilityError

if TYPE_CHECKING:
    from flashwasm.backends.registry import BackendName

__all__ = ["BackendStatus", "backend_statuses"]


@dataclass(frozen=True)
class BackendStatus:
    """One backend on this machine.

    Attributes
    ----------
    name : str
        Name that ``backend=`` takes.
    available : bool
        True if it can run here.
    description : str
        The library or device that computes; or what is missing, and the way to get it.
    """

    name: BackendName
    available: bool
    description: str


def backend_statuses(sandbox: str) -> list[BackendStatus]:
    """Return the status of each backend. The others than the sandbox are made for it.

    Parameters
    ----------
    sandbox : str
        Description of the sandbox.
    """
    return [_status(name, sandbox) for name in BACKENDS]


def _status(name: BackendName, sandbox: str) -> BackendStatus:
    """Return the status of one backend."""
    if name == SANDBOX:
        return BackendStatus(name, available=True, description=sandbox)
    if name not in OTHER_BACKENDS:
        return BackendStatus(name, available=True, description=choice_in_words())
    try:
        with warnings.catch_warnings():
            # What a backend warns of is in its description.
            warnings.simplefilter("ignore")
            text = backend_named(name).description()
    except CapabilityError as error:
        return BackendStatus(name, available=False, description=str(error))
    return BackendStatus(name, available=True, description=text)
