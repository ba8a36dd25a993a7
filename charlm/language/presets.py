"""Presets: the options of published recipes, each as a function with its source and its figure.

A figure in a docstring is the publication's, not charlm's: `scripts/reproduce` says which of them
were run. What a publication does and charlm does not is told where it matters.
"""

from collections.abc import Callable
from typing import Any

from charlm.errors import UsageError
from charlm.options import did_you_mean

Values = dict[str, Any]
PUBLISHED = {"tokenizer": "word", "unknown": "unk", "cutoffs": "none", "init": "uniform"}


def awd_ptb() -> Values:
    """AWD-LSTM on the words of Penn Treebank, without the second run that fine-tunes it.

    Merity et al. 2018 (arXiv 1708.02182), with the options of their repository's README
    (salesforce/awd-lstm-lm), whose figure is about 61.2 validation and 58.8 test perplexity; the
    paper's own, fine-tuned, is 60.0 and 57.3. As there: 24,221,600 parameters, a last layer of 400
    units that the tied embedding reads as they are, first weights, decay of all weights, dropout,
    windows and the rate of each, penalties, and weights averaged from where a pass scores worse
    than one more than five before it.

    What differs: the end of the training text, 6,000 words, is kept to tune mixtures on; each pass
    but the first begins at another place, and a stream begins anew after about 6,400 words; lengths
    of windows are rounded, where theirs are cut to whole ones; the temporal penalty is a mean over
    70 steps, of which the first costs nothing, theirs over the other 69; their averaging leaves out
    its first step, and from there on gives a window the rate of the one before it. Products are in
    bfloat16 where the machine has it; `--precision fp32` is theirs.
    """
    rates = {"input_dropout": 0.4, "layer_dropout": 0.25}
    return _awd_words(epochs=500, batch=20, validate_every=1 / 500, **rates)


def awd_wikitext2() -> Values:
    """AWD-LSTM on the words of WikiText-2, without the second run that fine-tunes it.

    As `awd_ptb`, of 33,556,078 parameters; the README's figure is about 68.7 validation and 65.6
    test perplexity, the paper's, fine-tuned, 68.6 and 65.8. What averages and keeps weights is the
    score of the first 120,000 words of the validation text, theirs that of all 217,646.
    """
    rates = {"input_dropout": 0.65, "layer_dropout": 0.2}
    return _awd_words(epochs=750, batch=80, validate_every=1 / 750, **rates)


def zaremba_small() -> Values:
    """Train the small network of Zaremba et al. 2014 (arXiv 1409.2329), on Penn Treebank's words.

    They call it the non-regularised LSTM: 120.7 validation and 114.5 test perplexity.
    """
    return _zaremba(hidden=200, bptt=20, dropout=0.0, epochs=13, falls_after=4, by=2.0, clip=5.0)


def zaremba_medium() -> Values:
    """Train the medium network of Zaremba et al. 2014: 86.2 validation and 82.7 test perplexity."""
    return _zaremba(hidden=650, bptt=35, dropout=0.5, epochs=39, falls_after=6, by=1.2, clip=5.0)


def zaremba_large() -> Values:
    """Train the large network of Zaremba et al. 2014: 82.2 validation and 78.4 test perplexity."""
    sizes = {"hidden": 1500, "bptt": 35}
    return _zaremba(**sizes, dropout=0.65, epochs=55, falls_after=14, by=1.15, clip=10.0)


def char_ptb() -> Values:
    """AWD-LSTM on the characters of Penn Treebank: 1.175 bits per character on the test text.

    Merity et al. 2018, "An Analysis of Neural Language Modeling at Multiple Scales" (arXiv
    1803.08240), with the options of their repository's README. The text is Mikolov's, its
    characters parted by blanks: each is a word of the closed form, so that bits per character are
    log2 of the perplexity. That has <unk> among its 51 symbols, theirs has not: the 13,787,851
    parameters are 201 more than theirs. What else differs is told at `awd_ptb`, but for
    penalties and averages, of which there are none; of the validation text the first 120,000
    characters choose the weights that are kept.
    """
    return PUBLISHED | {
        "cell": "lstm", "layers": 3, "hidden": 1000, "embed": 200, "last_hidden": 200,
        "dropout": 0.1, "input_dropout": 0.1, "layer_dropout": 0.25, "weight_dropout": 0.5,
        "epochs": 500, "batch": 128, "bptt": 150, "random_windows": True,
        "optimizer": "adam", "lr": 2e-3, "weight_decay": 1.2e-6, "clip_norm": 0.25,
        "schedule": "step", "warmup": 0.0, "validate_every": 1 / 500,
        "lr_step_from": 0.6, "lr_step_every": 0.2, "lr_step_factor": 0.1,
    }  # fmt: skip


def tinyshakespeare() -> Values:
    """Characters, eight passes, one layer of 608 units: what the plan chose for two minutes.

    That was on a fast processor with two cores (docs/benchmarks.md, machine D). In passes, and not
    in minutes, every machine trains the same. The plan chooses the rest: windows that grow,
    dropout, weight decay and a rate that falls to zero. Beside it: nanoGPT on a GPU reaches 1.4697
    nats per character (its README), by windows of 256 characters.
    """
    return {"tokenizer": "char", "layers": 1, "hidden": 608, "epochs": 8.0}


def _awd_words(**own: Any) -> Values:  # noqa: ANN401
    return PUBLISHED | own | {
        "cell": "lstm", "layers": 3, "hidden": 1150, "embed": 400, "last_hidden": 400,
        "dropout": 0.4, "embed_dropout": 0.1, "weight_dropout": 0.5,
        "activation_penalty": 2.0, "temporal_penalty": 1.0,
        "bptt": 70, "random_windows": True,
        "optimizer": "sgd", "lr": 30.0, "weight_decay": 1.2e-6, "clip_norm": 0.25,
        "schedule": "constant", "warmup": 0.0, "average": "triggered",
    }  # fmt: skip


def _zaremba(
    *, hidden: int, bptt: int, dropout: float, epochs: int, falls_after: int, by: float, clip: float
) -> Values:
    """Turn the paper's numbers into ours.

    Its loss is the sum over a window's steps, ours the mean: so a rate of 1 is one of `bptt`, and
    a gradient's norm is clipped at 1 / `bptt` of theirs. Its dropout is drawn anew at each step,
    ours once for a window (Gal & Ghahramani 2016). Its weights begin within 0.1, 0.05 and 0.04.
    """
    return PUBLISHED | {
        "cell": "lstm", "layers": 2, "hidden": hidden, "embed": hidden, "tie": False,
        "dropout": dropout, "epochs": float(epochs), "batch": 20, "bptt": bptt,
        "optimizer": "sgd", "lr": float(bptt), "weight_decay": 0.0, "clip_norm": clip / bptt,
        "schedule": "step", "warmup": 0.0, "validate_every": 1 / epochs,
        "lr_step_from": falls_after / epochs, "lr_step_every": 1 / epochs, "lr_step_factor": 1 / by,
    }  # fmt: skip


FUNCTIONS = (
    awd_ptb, awd_wikitext2, zaremba_small, zaremba_medium, zaremba_large, char_ptb, tinyshakespeare,
)  # fmt: skip
PRESETS: dict[str, Callable[[], Values]]
PRESETS = {function.__name__.replace("_", "-"): function for function in FUNCTIONS}


def preset_options(name: str) -> Values:
    """Give a preset's options; raise UsageError where there is none of that name."""
    if name not in PRESETS:
        hint = did_you_mean(name, PRESETS) or f"there are {', '.join(PRESETS)}"
        raise UsageError(f"there is no preset '{name}'", hint)
    return PRESETS[name]()
