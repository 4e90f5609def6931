"""The row of a kind of file in the table for tests of crashes and full disks."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import flashwasm as fw

# Tests make a row write only numbers below this one.
MOST = 400


@dataclass(frozen=True)
class Writer:
    """One kind of file that the package writes.

    Attributes
    ----------
    name : str
        Name of the kind.
    modules : tuple of str
        Modules of the package that write it, by their paths.
    write : callable
        Function of a folder and a number that writes the number. The number is acknowledged when
        the function returns.
    read : callable
        Function of a folder. It returns the stored numbers, and raises an error if a file is
        incomplete.
    grows : bool
        True if every number stays; False if the last one replaces the others.
    cache : bool
        True if a failed write raises no error.
    most : int
        Maximum count of different numbers that stay.
    """

    name: str
    modules: tuple[str, ...]
    write: Callable[[Path, int], None]
    read: Callable[[Path], set[int]]
    grows: bool = False
    cache: bool = False
    most: int = MOST


@cache
def runtime():
    """Return the runtime of this process."""
    return fw.Runtime(threads=1)


def if_there(name, read):
    """Return a function of a folder that reads one file in it, if there is one."""

    def found(folder):
        return {read(folder / name)} if (folder / name).exists() else set()

    return found
