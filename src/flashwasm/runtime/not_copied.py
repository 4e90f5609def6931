"""The base of all objects in linear memory, which cannot be copied or pickled."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["NotCopied"]


class NotCopied:
    """Base class of objects in linear memory, which cannot be copied or pickled.

    The modules copy and pickle would copy the object's addresses, not the memory behind them. Two
    objects would then write to the same memory.
    """

    # The way to get another such object.
    _instead = "make one in each process"

    def __reduce__(self) -> NoReturn:
        """Raise TypeError, because the object cannot be copied or pickled.

        Raises
        ------
        TypeError
            Always.
        """
        name = type(self).__name__
        instead = self._instead
        if hasattr(self, "save"):
            instead += ", or use its methods save and load"
        message = f"{name} objects cannot be pickled or copied, because of their memory: {instead}"
        raise TypeError(message)
