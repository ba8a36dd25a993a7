"""Models to use: those named, or a character and a BPE model trained now."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from charlm.benchmark.options import BenchOptions
from charlm.language.fit import fit
from charlm.language.request import TrainRequest
from charlm.runs.dialogue import Tell

MINUTES = 2.0  # as `charlm train` takes
KINDS = (TrainRequest(tokenizer="char"), TrainRequest(tokenizer="bpe"))


def models_for(
    corpora: Sequence[str], options: BenchOptions, threads: int, folder: Path, tell: Tell
) -> list[str]:
    """Give the directories of the models that the options name, or train two into a folder.

    They learn from the first corpus, or from the built-in text, for `options.minutes` each.
    """
    if options.models:
        return options.models
    made = []
    for request in KINDS:
        out = str(folder / str(request.tokenizer))
        request = replace(request, out=out, threads=threads)
        if options.quick:
            request = replace(request, steps=5, hidden=8, embed=8, batch=4, bptt=16)
        else:
            request = replace(request, minutes=options.minutes or MINUTES)
        tell(f"training a model: {request.tokenizer}")
        fit(corpora[:1], request)
        made.append(out)
    return made
