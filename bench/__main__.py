"""Entry point of `python -m bench`."""

from bench.commands import main

if __name__ == "__main__":
    main(prog_name="python -m bench")
