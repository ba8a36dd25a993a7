"""What compress and decompress share: FILE and OUT, standard streams among them, and progress."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from charlm import storage
from charlm.errors import CorpusError, UsageError

STANDARD = "-"


def add_files(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare MODEL, FILE, OUT and what may be done with OUT."""
    parser.add_argument("model", metavar="MODEL", help="a directory that train wrote")
    parser.add_argument("file", metavar="FILE", help=f"{what}; - reads standard input")
    parser.add_argument("out", metavar="OUT", help="the file to write; - standard output")
    parser.add_argument("-f", "--force", action="store_true", help="replace OUT if it is there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def check_output(arguments: argparse.Namespace) -> None:
    """Raise UsageError where OUT must not be written, DiskError where it cannot, in good time."""
    out = arguments.out
    if out == STANDARD:
        if arguments.json:
            raise UsageError("--json and OUT - both want standard output")
    elif os.path.isdir(out):
        raise UsageError(f"{out} is a directory; OUT is a file")
    elif os.path.exists(out) and not os.path.isfile(out):
        raise UsageError(f"{out} is no regular file", "pass - for standard output")
    elif os.path.lexists(out) and not arguments.force:
        raise UsageError(f"{out} is already there", "--force replaces it")
    else:
        storage.must_have_directory(Path(out))


def read_data(name: str) -> bytes:
    """Read a whole file, or standard input; raise CorpusError where that cannot be."""
    try:
        if name != STANDARD:
            return Path(name).read_bytes()
        if sys.stdin is None:  # closed
            raise CorpusError("there is no standard input to read here")
        return sys.stdin.buffer.read()
    except OSError as fault:
        where = "standard input" if name == STANDARD else name
        raise CorpusError(f"cannot read {where}: {fault.strerror}") from fault
    except ValueError as fault:  # a zero byte in the name
        raise CorpusError(f"cannot read {name!r}: {fault}") from fault


@contextmanager
def output(name: str) -> Iterator[Callable[[bytes], object]]:
    """Give what writes all of OUT; a file is there as a whole in the end, or not at all."""
    if name == STANDARD:
        yield sys.stdout.buffer.write
    else:
        with storage.new_file(Path(name)) as stream:
            yield stream.write


@contextmanager
def progress(size: int) -> Iterator[Callable[[int], object]]:
    """Show how many bytes of `size` are done, on standard error where that is a terminal.

    To be entered before `output`: a signal while a module is imported leaves without unwinding.
    """
    from tqdm import tqdm

    terminal = sys.stderr is not None and sys.stderr.isatty()
    with tqdm(
        total=size,
        unit="B",
        unit_scale=True,
        disable=not terminal,
        file=sys.stderr,
        dynamic_ncols=True,
        leave=False,
    ) as bar:
        yield bar.update
