"""Give back the file that compress was given, with the same model, checked byte for byte."""

import argparse
import json
import sys
import time

from charlm.cli.packing import add_files, check_output, output, progress, read_data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_files(parser, "what compress wrote")


def run(arguments: argparse.Namespace) -> int:
    """Decompress, and say what came of it."""
    check_output(arguments)
    packed = read_data(arguments.file)
    where = "standard input" if arguments.file == "-" else arguments.file
    from charlm.language.compressing import claimed_length, decompress
    from charlm.language.handle import load

    size = claimed_length(packed, where)
    model = load(arguments.model)
    began = time.perf_counter()
    with progress(size) as passed, output(arguments.out) as write:
        data = decompress(model, packed, passed, where)
        write(data)
    seconds = round(time.perf_counter() - began, 3)
    facts = {"bytes": len(data), "compressed_bytes": len(packed), "seconds": seconds}
    if arguments.json:
        print(json.dumps(facts))
    else:
        print(f"{len(packed):,} -> {len(data):,} bytes", file=sys.stderr)
    return 0
