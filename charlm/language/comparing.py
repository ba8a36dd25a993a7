"""Two models on one text, paired: how far apart they are, and how sure that is.

The nats of both are summed over the same stretches of the text, and these are resampled
(`charlm.evaluation.bootstrap`): what makes one hard for a model mostly makes it hard for the other,
and so the difference is far surer than each score. A token belongs to the stretch in which its
first byte stands, whatever the tokenizer.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charlm.errors import UsageError
from charlm.evaluation.bootstrap import Stretches, intervals
from charlm.evaluation.metrics import perplexity
from charlm.evaluation.scoring import Score, score_stream
from charlm.language.combination import BEST, check_name
from charlm.language.evaluating import documents_of, units_of
from charlm.language.handle import LanguageModel
from charlm.text.finding import open_corpus, paths_of, standard_input
from charlm.text.sources import Corpus, ReadOptions


@dataclass(frozen=True)
class Comparison:
    """Two scores of one text, and the second less the first; units are bytes, or closed words.

    nats: of each; predictors: their names; interval: of the difference in nats per unit, 95 %;
    None for a text too short to say
    """

    models: tuple[str, str]
    predictors: tuple[str, str]
    nats: tuple[float, float]
    units: int
    lossless: bool
    interval: tuple[float, float] | None

    @property
    def difference(self) -> float:
        """Give the difference in nats per byte, or per word of the closed form."""
        return (self.nats[1] - self.nats[0]) / self.units

    def scores(self) -> list[float]:
        """Give the bits per byte of each, or the perplexity of the closed form."""
        each = [nats / self.units for nats in self.nats]
        if self.lossless:
            return [nats / math.log(2) for nats in each]
        return [perplexity(nats, 1) or 0.0 for nats in each]

    def verdict(self) -> str:
        """Say in a sentence which is better, and how sure that is."""
        if self.difference == 0:
            return "the two score alike"
        second, unit = self.difference < 0, "bits per byte" if self.lossless else "nats per word"
        better = f"{self.models[second]} is better by {abs(self._told(self.difference)):.4f} {unit}"
        if self.interval is None:
            return f"{better}, on a text too short to tell how sure that is"
        sign = -1 if self.difference < 0 else 1  # so that what is better counts as more than none
        low, high = sorted(sign * self._told(edge) for edge in self.interval)
        reach = f"{better} ({low:.4f} to {high:.4f})"
        if low <= 0 <= high:
            return f"no difference can be told on this text: {reach}, which may be chance"
        return reach

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold."""
        measure = "bits_per_byte" if self.lossless else "word_perplexity"
        told = "difference_in_bits_per_byte" if self.lossless else "difference_in_nats_per_word"
        interval = None if self.interval is None else [self._told(edge) for edge in self.interval]
        each = zip(self.models, self.predictors, self.nats, self.scores(), strict=True)
        return {
            "models": [
                {"model": model, "predictor": predictor, "nats": nats, measure: score}
                for model, predictor, nats, score in each
            ],
            "bytes" if self.lossless else "words": self.units,
            told: self._told(self.difference),
            "interval": interval,
            "verdict": self.verdict(),
        }

    def _told(self, nats: float) -> float:
        return nats / math.log(2) if self.lossless else nats


def compare(
    first: LanguageModel,
    second: LanguageModel,
    paths: str | Path | Sequence[str | Path] = (),
    predictor: str = BEST,
    encoding: str = "utf-8",
    strict: bool = False,
    text_column: str = "text",
    tell: Callable[[str], None] = lambda line: None,
) -> Comparison:
    """Score files by two models, or without any the text that both have held out.

    predictor: of both, by default the best of each. Raises UsageError where one predicts the text
    and the other the closed word form, and where they have held out different texts.
    """
    models = (first, second)
    if first.tokenizer.lossless != second.tokenizer.lossless:
        raise UsageError(
            "one of the models has the closed word form, which does not predict the text itself",
            "compare it with another such model",
        )
    if not first.tokenizer.lossless and first.tokenizer.sha256() != second.tokenizer.sha256():
        raise UsageError(
            "the models have the closed word form with different vocabularies: other words are "
            "<unk> to each",
            "compare models of one vocabulary",
        )
    names = tuple(check_name(predictor, model.combination) for model in models)
    raw = all(model.tokenizer.kind == "byte" for model in models)
    sums = []
    with ExitStack() as files:
        corpus = None
        if paths:
            options = ReadOptions(encoding, strict, raw=raw, text_column=text_column)
            opened = open_corpus(paths_of(paths), options, standard_input())
            corpus = files.enter_context(opened)
        else:
            _must_hold_out_the_same(first, second)
        for model, name in zip(models, names, strict=True):
            sums.append(_sums(model, name, corpus))
        if corpus is not None:
            for line in corpus.report().lines():
                tell(line)
            if not sums[0].units:
                raise corpus.nothing_in_it()
    if sums[0].units != sums[1].units:
        raise UsageError("the models read the text differently, and cannot be compared on it")
    (nats, units), (other, _) = (each.sums() for each in sums)
    found = intervals(other - nats, units)
    return Comparison(
        models=(str(first.directory), str(second.directory)),
        predictors=(names[0], names[1]),
        nats=(float(nats.sum()), float(other.sum())),
        units=sums[0].units,
        lossless=first.tokenizer.lossless,
        interval=None if found is None else (float(found[0, 0]), float(found[0, 1])),
    )


def _sums(model: LanguageModel, name: str, corpus: Corpus | None) -> Stretches:
    """Sum the nats of each stretch of a corpus, or of the held-out text."""
    predictor = model.parts.predictor(name, model.parts.reader)
    score = Score(sizes=units_of(model.tokenizer))
    for chunks in documents_of(model, corpus):
        score_stream(predictor, chunks, score)
    return score.stretches


def _must_hold_out_the_same(*models: LanguageModel) -> None:
    """Raise UsageError unless the models have held out the same documents."""
    texts = [
        [model.tokenizer.decode(ids.tolist()) for (ids,) in documents_of(model, None)]
        for model in models
    ]
    if not texts[0] or texts[0] != texts[1]:
        raise UsageError(
            "the models have not held out the same text",
            "pass a FILE that neither has learned from",
        )
