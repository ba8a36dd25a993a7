"""Compress any file, losslessly, by what a model expects: the size is the proof of its score.

Decoding needs the same model, on the same kind of machine with the same build of NumPy, and takes
as long as compressing. It shows what a model knows; for keeping files there are xz and zstd.
"""

import argparse
import json
import sys
import time

from charlm.cli.arguments import add_predictor, predictor_name
from charlm.cli.packing import add_files, check_output, output, progress, read_data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_files(parser, "any file at all")
    add_predictor(parser, "best", adapts=False)


def run(arguments: argparse.Namespace) -> int:
    """Compress, and say what came of it."""
    check_output(arguments)
    data = read_data(arguments.file)
    from charlm.language.compressing import Compressed, compress, left_out, model_bytes
    from charlm.language.handle import load

    model = load(arguments.model, predictor=predictor_name(arguments))
    began = time.perf_counter()
    with progress(len(data)) as passed, output(arguments.out) as write:
        packed = compress(model, data, passed)
        write(packed)
    name = model.name
    seconds = time.perf_counter() - began
    if told := left_out(model):
        print(told, file=sys.stderr)
    result = Compressed(len(data), len(packed), model_bytes(model, name), name, seconds)
    if arguments.json:
        print(json.dumps(result.to_json()))
    else:
        print(result.line(), file=sys.stderr)
    return 0
