"""``python -m flashwasm`` is the command ``flashwasm``."""

from flashwasm.cli import main

if __name__ == "__main__":
    main(prog_name="flashwasm")
