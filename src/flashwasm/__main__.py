"""The program ``flashwasm``, also as ``python -m flashwasm``."""

from __future__ import annotations

import sys
from importlib import import_module

__all__ = ["main"]

# Exit status of an interrupted command: 128 plus the number of SIGINT, as shells expect.
_INTERRUPTED = 130


def main() -> None:
    """Run the command line; end with one line if it is interrupted, even during its imports."""
    try:
        import_module("flashwasm.cli").main(prog_name="flashwasm")
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
