"""The row of a kind of file, as the tests of crashes and full disks go through them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import flashwasm as fw

# All numbers that a row is asked to write are below this one.
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
        Function of a folder and a number, which it writes. The number is acknowledged when it
        returns.
    read : callable
        Function of a folder. It returns the numbers that are there, and raises an error if
        something is there that is not whole.
    grows : bool
        True if every number stays; False if the last one replaces the others.
    cache : bool
        True if nobody is told when a number cannot be written.
    most : int
        How many different numbers stay.
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
