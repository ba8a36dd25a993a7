"""Continue a text, one token at a time, and print it as it comes."""

import argparse
import itertools
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from charlm.cli.arguments import (
    add_model,
    add_predictor,
    add_state,
    load_model,
    read_text,
    spare_threads,
)
from charlm.cli.lines import text_lines
from charlm.errors import CorpusError, UsageError
from charlm.generation.options import BeamOptions, SamplingOptions
from charlm.options import add_arguments as add_options
from charlm.runs.dialogue import teller

if TYPE_CHECKING:
    from charlm.language.handle import LanguageModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    add_predictor(parser, "best")
    add_state(parser)
    parser.add_argument(
        "prompt",
        nargs="?",
        default="",
        metavar="PROMPT",
        help="text to continue; - reads standard input, @FILE a file",
    )
    parser.add_argument("--max-tokens", type=int, metavar="N", help="length (default 200)")
    add_options(parser, SamplingOptions)
    parser.add_argument(
        "--words",
        metavar="FILE",
        help="write one of the words or phrases that are FILE's lines, after a space",
    )
    add_options(parser, BeamOptions)
    parser.add_argument(
        "--stop", action="append", default=[], metavar="S", help="end before this text; repeatable"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="same seed, same text")
    parser.add_argument(
        "-n", "--samples", type=int, default=1, metavar="N", help="samples (default 1)"
    )
    parser.add_argument(
        "--novelty",
        action="store_true",
        help="tell the longest run of each sample that stands verbatim in the training text",
    )
    parser.add_argument(
        "--training-text",
        action="append",
        default=[],
        metavar="CORPUS",
        help="the text the model learned from, where it is not prepared here any more; repeatable",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Generate: one sample streams as it goes, several are printed one after the other."""
    if arguments.samples < 1:
        raise UsageError(f"--samples must be 1 or more, not {arguments.samples}")
    spare_threads(arguments)
    model = load_model(arguments)
    prompt = read_text(arguments.prompt)
    given, names = vars(arguments), SamplingOptions.__dataclass_fields__
    rules = {name: value for name, value in given.items() if name in names}
    rules["words"] = None if arguments.words is None else words_of(arguments.words)
    beams = {k: v for k, v in given.items() if k in BeamOptions.__dataclass_fields__}
    keywords = rules | beams | {"seed": arguments.seed, "stop": arguments.stop}
    if arguments.max_tokens is not None:
        keywords["max_tokens"] = arguments.max_tokens
    (
        SamplingOptions(**rules),
        BeamOptions(**beams),
    )  # what is wrong with them is said before a text is looked for
    _find_training_text(model, arguments)
    if not arguments.json and arguments.samples == 1:
        pieces = model.stream(prompt, **keywords)
        first = next(pieces, "")  # what is wrong with the options is said before anything else
        sys.stdout.write(prompt)
        text = ""
        for piece in itertools.chain([first], pieces):
            text += piece
            sys.stdout.write(piece)
            sys.stdout.flush()
        sys.stdout.write("\n")
        sys.stdout.flush()
        _tell_unfinished(rules, prompt, [text])
        if arguments.novelty:
            teller(sys.stderr)(model.copied(text).describe())
        return 0
    began = time.perf_counter()
    samples = model.samples(prompt, count=arguments.samples, **keywords)
    seconds = time.perf_counter() - began
    copies = [model.copied(sample.text) for sample in samples] if arguments.novelty else []
    if arguments.json:
        speed = sum(sample.tokens for sample in samples) / max(seconds, 1e-9)
        told = [sample.to_json() for sample in samples]
        for one, copy in zip(told, copies, strict=False):
            one |= copy.to_json()
        value = {"prompt": prompt, "samples": told}
        print(json.dumps(value | {"tokens_per_second": round(speed, 1)}, ensure_ascii=False))
        return 0
    for number, sample in enumerate(samples, start=1):
        print(f"--- {number} ---\n{prompt}{sample.text}", flush=True)
    _tell_unfinished(rules, prompt, [sample.text for sample in samples])
    for number, copy in enumerate(copies, start=1):
        teller(sys.stderr)(f"{number}: {copy.describe()}")
    return 0


def _find_training_text(model: "LanguageModel", arguments: argparse.Namespace) -> None:
    """Find the text that copies are looked for in, before anything is written."""
    if arguments.novelty or getattr(arguments, "max_copy", None) is not None:
        model.find_training_text(arguments.training_text, teller(sys.stderr))
    elif arguments.training_text:
        raise UsageError("--training-text is for --novelty and --max-copy: give one of them")


def _tell_unfinished(rules: dict[str, Any], prompt: str, texts: list[str]) -> None:
    """Say so where a text is not what it had to be."""
    from charlm.generation.generator import language_of

    language = language_of(SamplingOptions(**rules), prompt)
    if language is not None and not all(map(language.holds, texts)):
        why = "it was cut off, or nothing goes on with it"
        teller(sys.stderr)(f"what was asked for is not complete: {why}")


def words_of(file: str) -> tuple[str, ...]:
    """Read the lines of a file, or of standard input for -; empty ones count for nothing."""
    lines = [line for some in text_lines(file) for line in some if line.strip()]
    if not lines:
        raise CorpusError(f"{file} holds no words", "write one a line")
    return tuple(lines)
