"""Write a model anew with its weights in another form; everything else of it stays.

To int8: weights of a quarter of the size, and a little less exact. To float32: back again.
"""

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", metavar="MODEL", help="a directory that train wrote")
    parser.add_argument("--to", required=True, metavar="FORM", help="int8 or float32")
    parser.add_argument("--out", required=True, metavar="DIR", help="where the new model goes")
    parser.add_argument("--force", action="store_true", help="replace what is there")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Export, and tell what it came to."""
    from charlm.language.exporting import export

    done = export(arguments.model, arguments.to, arguments.out, force=arguments.force)
    print(json.dumps(done.to_json(), ensure_ascii=False) if arguments.json else done.line())
    return 0
