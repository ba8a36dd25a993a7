"""Compare two models on the same text: which is better, by how much, and how sure that is.

Their tokenizers may differ. Each is asked by the best of its predictors, or by --predictor. Without
FILE it is the text that both have held out, if that is the same.
"""

import argparse
import json
import sys

from charlm.cli.arguments import add_device, add_predictor, predictor_name


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("first", metavar="MODEL", help="a directory that train wrote")
    parser.add_argument("second", metavar="OTHER", help="another")
    add_device(parser)
    add_predictor(parser, "best")
    parser.add_argument("files", nargs="*", metavar="FILE", help="as CORPUS for train")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--encoding", default="utf-8", metavar="NAME", help="encoding of the text")
    parser.add_argument(
        "--strict", action="store_true", help="refuse any invalid byte or broken row"
    )
    parser.add_argument(
        "--text-column", default="text", metavar="NAME", help="column of a table with the text"
    )


def run(arguments: argparse.Namespace) -> int:
    """Score both, and say which is better."""
    from charlm.language.comparing import compare
    from charlm.language.handle import load

    names = (arguments.first, arguments.second)
    device, threads = arguments.device, arguments.threads
    models = [load(name, device=device, threads=threads) for name in names]
    found = compare(
        models[0],
        models[1],
        arguments.files,
        predictor=predictor_name(arguments),
        encoding=arguments.encoding,
        strict=arguments.strict,
        text_column=arguments.text_column,
        tell=lambda line: print(line, file=sys.stderr),
    )
    if arguments.json:
        print(json.dumps(found.to_json(), ensure_ascii=False))
        return 0
    measure = "bits per byte" if found.lossless else "word perplexity"
    width = max(map(len, names))
    for name, predictor, score in zip(names, found.predictors, found.scores(), strict=True):
        print(f"{name:{width}}  {predictor:22}{score:>12.4f} {measure}")
    print(found.verdict())
    return 0
