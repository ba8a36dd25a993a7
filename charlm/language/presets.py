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
    paper's own, fine-tuned, is 60.0 and 57.3. Their last layer has 400 units, which the tied
    embedding takes as they are; here it has 1,150 and a linear layer to 400 behind it.
    """
    rates = {"input_dropout": 0.4, "layer_dropout": 0.25}
    return _awd_words(epochs=500, batch=20, validate_every=1 / 500, **rates)


def awd_wikitext2() -> Values:
    """AWD-LSTM on the words of WikiText-2, without the second run that fine-tunes it.

    As `awd_ptb`; the README's figure is about 68.7 validation and 65.6 test perplexity, the
    paper's, fine-tuned, 68.6 and 65.8.
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
    log2 of the perplexity. They train with Adam; AdamW here has less momentum (0.6 and 0.99).
    """
    return PUBLISHED | {
        "cell": "lstm", "layers": 3, "hidden": 1000, "embed": 200,
        "dropout": 0.1, "input_dropout": 0.1, "layer_dropout": 0.25, "weight_dropout": 0.5,
        "epochs": 500, "batch": 128, "bptt": 150, "random_windows": True,
        "optimizer": "adamw", "lr": 2e-3, "weight_decay": 1.2e-6, "clip_norm": 0.25,
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
        "cell": "lstm", "layers": 3, "hidden": 1150, "embed": 400,
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
