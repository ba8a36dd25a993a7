"""Read a text, however long, and keep what the model remembers of it: a file of one size.

generate, suggest and eval go on from there with --state STATE, as if they had read the text
themselves; so does read. With --adapt the model learns from the text as it reads, and the weights
it came to are kept too: it goes on from them. A state that is there is replaced, no other file.
"""

import argparse
import json
import os
import sys

from charlm.cli.arguments import add_model, add_predictor, add_state, load_model
from charlm.text.sources import ReadOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    add_predictor(parser, "network")
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="as CORPUS for train, read in turn"
    )
    parser.add_argument(
        "--save-state", required=True, metavar="STATE", help="the file to keep it in"
    )
    add_state(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--encoding", default="utf-8", metavar="NAME", help="encoding of the text")


def run(arguments: argparse.Namespace) -> int:
    """Read, and write the state."""
    from charlm.language.memory import check_target

    check_target(arguments.save_state, arguments.files)
    model = load_model(arguments)
    memory = model.read(
        path=arguments.files,
        options=ReadOptions(arguments.encoding),
        tell=lambda line: print(line, file=sys.stderr),
    )
    memory.save(arguments.save_state)
    size = os.path.getsize(arguments.save_state)
    if arguments.json:
        print(json.dumps({"state": arguments.save_state, "tokens": memory.tokens, "bytes": size}))
    else:
        said = f"{memory.tokens:,} tokens read; {arguments.save_state} has {size:,} bytes"
        print(said, file=sys.stderr)
    return 0
