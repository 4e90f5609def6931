"""The base of all objects in linear memory, which cannot be copied or pickled."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["NotCopied"]


class NotCopied:
    """Base class of objects in linear memory, which cannot be copied or pickled.

    The modules copy and pickle would copy the object's addresses, not the memory behind them. Two
    objects would then write to the same memory.
    """

    def __reduce__(self) -> NoReturn:
        """Raise TypeError, because the object cannot be copied or pickled.

        Raises
        ------
        TypeError
            Always.
        """
        message = (
            "a Runtime, or an object in its memory, cannot be pickled or copied: make one in "
            "each process, or use its methods save and load"
        )
        raise TypeError(message)
