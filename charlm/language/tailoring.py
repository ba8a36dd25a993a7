"""Tailoring a model to a text it has not learned from: how it adapts, and what it is mixed with."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from charlm.errors import CorpusError, UsageError
from charlm.language.adapting import PLAIN, Tuned, adapting, read_adaptation, write_tuned
from charlm.language.combination import ADAPTING, NETWORK, combine
from charlm.language.evaluating import DocumentReader
from charlm.predict.adaptation import Adaptation, Rule
from charlm.text.finding import open_corpus, standard_input
from charlm.text.sources import ReadOptions

if TYPE_CHECKING:
    from charlm.language.handle import LanguageModel

MOST_TOKENS = 20_000  # of a text: each rate that is tried reads them all
FEWEST_TOKENS = 500
STEP = 2.0  # between two rates, and two decays, that are tried
STEPS = 8  # in one direction, at most


@dataclass(frozen=True)
class Tailoring:
    """What was found, on how many tokens, and the nats per token of each combination there."""

    tuned: Tuned
    tokens: int
    nats_per_token: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold."""
        adaptation, found = self.tuned.adaptation, self.tuned.combination
        return {
            "rule": adaptation.rule,
            "rate": adaptation.rate,
            "decay": adaptation.decay,
            "segment": adaptation.segment,
            "tokens": self.tokens,
            "best": NETWORK if found is None else found.best,
            "nats_per_token": self.nats_per_token,
        }


def tailor(
    model: "LanguageModel",
    paths: Sequence[str] = (),
    options: ReadOptions | None = None,
    tell: Callable[[str], None] = lambda line: None,
    rule: Rule = "rms",
) -> Tailoring:
    """Tune how a model adapts, its cache and its mixtures, and keep what was found with it.

    rule: of adaptation; where a model has not kept what "rms" needs, it is "sgd" all the same

    On a text given, at most its first 20,000 tokens, or on the last part of the training text that
    network and counts were not made from. The weights stay as they are.
    """
    ids = _reserve(model) if not paths else _ids_of(model, paths, options, tell)
    if len(ids) < FEWEST_TOKENS:
        few = f"too few to tune on: {FEWEST_TOKENS} tokens are needed"
        if paths:
            where = ", ".join(paths[:3])
            raise CorpusError(f"{where}: {len(ids):,} tokens are {few}", "pass a longer text")
        raise UsageError(
            f"the {len(ids):,} tokens that training kept back are {few}",
            "pass a FILE that the model has not learned from",
        )
    network = model.parts.reader
    cost = float(network.score(ids[None], network.start(1))[0].mean())
    found, adapted_cost = _best_adaptation(model, ids, rule, tell)
    combination, nats = None, {NETWORK: cost, ADAPTING[0]: adapted_cost}
    if model.combination is not None:
        adapted = adapting(model.directory, network, found)
        combination = combine(network, model.parts.counts, ids, adapted=adapted)
        nats = combination.nats_per_token
    tuned = Tuned(found, combination)
    write_tuned(model.directory, tuned)
    return Tailoring(tuned, len(ids), nats)


def _best_adaptation(
    model: "LanguageModel", ids: np.ndarray, rule: Rule, tell: Callable[[str], None]
) -> tuple[Adaptation, float]:
    """Climb to the rate, and then to the decay, at which the text costs least."""
    tried: dict[Adaptation, float] = {}

    def cost(adaptation: Adaptation) -> float:
        if adaptation not in tried:
            predictor = adapting(model.directory, model.parts.reader, adaptation)
            nats = float(predictor.score(ids[None], predictor.start(1))[0].mean())
            tried[adaptation] = nats if math.isfinite(nats) else math.inf
            told = f"{nats:.4f} nats per token" if math.isfinite(nats) else "diverged"
            tell(f"rate {adaptation.rate:.2g}, decay {adaptation.decay:.2g}: {told}")
        return tried[adaptation]

    begin = PLAIN if rule == "sgd" else None
    best = adapting(model.directory, model.parts.reader, begin).adaptation
    for times_rate, times_decay in ((STEP, 1.0), (1 / STEP, 1.0), (1.0, STEP), (1.0, 1 / STEP)):
        for _ in range(STEPS):
            other = replace(best, rate=best.rate * times_rate, decay=best.decay * times_decay)
            if cost(other) >= cost(best):
                break
            best = other
    return best, cost(best)


def _reserve(model: "LanguageModel") -> np.ndarray:
    found = read_adaptation(model.directory, model.parts.shape.parameter_shapes())
    return np.zeros(0, np.int64) if found is None else found[1].astype(np.int64)


def _ids_of(
    model: "LanguageModel",
    paths: Sequence[str],
    options: ReadOptions | None,
    tell: Callable[[str], None],
) -> np.ndarray:
    """Give the first ids of files, (N,), their documents one after the other."""
    pieces, count = list[np.ndarray](), 0
    raw = model.tokenizer.kind == "byte"
    options = replace(options or ReadOptions(), raw=raw)
    with open_corpus(list(paths), options, standard_input()) as corpus:
        for chunks in DocumentReader(model.tokenizer, corpus.pieces()).documents():
            for chunk in chunks:
                pieces.append(chunk)
                count += len(chunk)
                if count >= MOST_TOKENS:
                    tell(f"tuning on the first {MOST_TOKENS:,} tokens")
                    return np.concatenate(pieces)[:MOST_TOKENS].astype(np.int64)
        for line in corpus.report().lines():
            tell(line)
        if not count:
            raise corpus.nothing_in_it()
    return np.concatenate(pieces).astype(np.int64)
