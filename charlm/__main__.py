"""`python -m charlm` is the same as the command `charlm`."""

from charlm.cli.start import start

if __name__ == "__main__":
    start()
