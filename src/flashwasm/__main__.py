"""Run the command ``flashwasm`` as ``python -m flashwasm``."""

from flashwasm.cli import main

if __name__ == "__main__":
    main(prog_name="flashwasm")
