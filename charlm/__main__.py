"""`python -m charlm` is the same as the command `charlm`."""

from charlm.cli.main import entry_point

if __name__ == "__main__":
    entry_point()
