"""The command line as ``python -m dynprop``."""

from dynprop.cli import run

if __name__ == "__main__":
    run()
