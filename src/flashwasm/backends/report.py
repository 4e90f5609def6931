"""Descriptions of the backends on this machine."""

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
        Value of ``backend=`` that selects the backend.
    available : bool
        True if the backend can run on this machine.
    description : str
        The library or device that computes; or the missing part, and how to install it.
    """

    name: BackendName
    available: bool
    description: str


def backend_statuses(sandbox: str) -> list[BackendStatus]:
    """Return the status of each backend. To find out, all backends are created.

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
            # The description of a backend already includes its warnings.
            warnings.simplefilter("ignore")
            text = backend_named(name).description()
    except CapabilityError as error:
        return BackendStatus(name, available=False, description=str(error))
    return BackendStatus(name, available=True, description=text)
