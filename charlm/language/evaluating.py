"""Evaluating a model: a corpus or the held-out text, by several predictors in one reading."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from charlm.evaluation.bootstrap import intervals
from charlm.evaluation.metrics import Evaluation
from charlm.evaluation.scoring import FOREVER, Score, Scorer, score_documents, score_stream
from charlm.language.directory import read_held_out
from charlm.text.documents import Piece
from charlm.text.finding import corpus_from_text, open_corpus, paths_of, standard_input
from charlm.text.sources import Corpus, ReadOptions
from charlm.text.store import TokenPart
from charlm.text.tokenizers import Tokenizer
from charlm.text.units import UnitCounter, Units, count_units

if TYPE_CHECKING:
    from charlm.language.handle import LanguageModel


class Evaluator:
    """Scores texts by the predictors of these names, which `scorer` gives in their order."""

    def __init__(self, tokenizer: Tokenizer, scorer: Scorer, names: Sequence[str]) -> None:
        self._tokenizer, self._scorer, self._names = tokenizer, scorer, list(names)
        self._sizes = units_of(tokenizer)

    def corpus(self, corpus: Corpus, tell: Callable[[str], None]) -> Evaluation:
        """Score each file as one stream, in pieces."""
        reader = DocumentReader(self._tokenizer, corpus.pieces())
        score, documents = Score(sizes=self._sizes), 0
        for chunks in reader.documents():
            score_stream(self._scorer, chunks, score)
            documents += 1
        for line in corpus.report().lines():
            tell(line)
        if score.tokens == 0:
            raise corpus.nothing_in_it()
        return self._evaluation(score, documents, reader.units, reader.unknown_tokens)

    def held_out(self, part: TokenPart, seconds: float = FOREVER) -> Evaluation | None:
        """Score documents that are ids already; None where there are none.

        After `seconds` the rest is left out, and the counts are those of what was scored.
        """
        texts, counts = held_out_documents(part), part.counts()
        score = score_documents(self._scorer, texts, seconds, self._sizes)
        if score.tokens == 0:
            return None
        if score.complete:
            units = Units(counts.bytes, counts.characters, counts.words, counts.lines)
            return self._evaluation(score, counts.documents, units, counts.unknown_tokens)
        text = "".join(self._tokenizer.decode(ids.tolist()) for ids in score.scored)
        unknown = sum(int((ids == self._tokenizer.unknown_id).sum()) for ids in score.scored)
        return self._evaluation(score, len(score.scored), count_units(text), unknown)

    def _evaluation(
        self, score: Score, documents: int, units: Units, unknown_tokens: int
    ) -> Evaluation:
        return Evaluation(
            documents=documents,
            bytes=units.bytes,
            characters=units.characters,
            words=units.words,
            lines=units.lines,
            tokens=score.tokens,
            unknown_tokens=unknown_tokens,
            nats=score.each[0],
            lossless=self._tokenizer.lossless,
            nats_by_predictor=dict(zip(self._names, score.each, strict=True)),
            intervals=self._intervals(score),
        )

    def _intervals(self, score: Score) -> dict[str, list[float]]:
        """Give the interval of each predictor's nats per byte, or per token of the closed form."""
        found = intervals(*score.stretches.sums())
        if found is None:
            return {}
        return dict(zip(self._names, found.tolist(), strict=True))


def units_of(tokenizer: Tokenizer) -> np.ndarray:
    """Give what each id counts in a ratio, (V,): its bytes, or one in the closed word form."""
    sizes = [len(piece) if tokenizer.lossless else 1 for piece in tokenizer.pieces]
    return np.array(sizes, dtype=np.int64)


def held_out_documents(part: TokenPart) -> Iterator[np.ndarray]:
    """Give the ids of each document, (N,), without the boundaries."""
    starts, lengths = part.boundaries[:-1] + 1, part.documents[:-1, 5]
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        yield part.ids[start : start + length]


def documents_of(model: "LanguageModel", corpus: Corpus | None) -> Iterable[Iterable[np.ndarray]]:
    """Give the documents of a corpus, or else of the held-out text, as chunks of ids."""
    if corpus is not None:
        return DocumentReader(model.tokenizer, corpus.pieces()).documents()
    part = read_held_out(model.directory, model.config)
    return [] if part is None else ([ids] for ids in held_out_documents(part))


class DocumentReader:
    """Turns pieces of text into documents of ids, in chunks, and counts them on the way."""

    def __init__(self, tokenizer: Tokenizer, pieces: Iterator[Piece]) -> None:
        self._tokenizer = tokenizer
        self._pieces = pieces
        self._next: Piece | None = next(pieces, None)
        self.units = Units()
        self.unknown_tokens = 0

    def documents(self) -> Iterator[Iterator[np.ndarray]]:
        """Give each document as chunks of ids; each must be read before the next is asked for."""
        while self._next is not None:
            yield self._chunks()

    def _chunks(self) -> Iterator[np.ndarray]:
        encoder, counter = self._tokenizer.encoder(), UnitCounter()
        piece, first = self._next, True
        while piece is not None and (first or not piece.starts_document):
            counter.add(piece.text)
            yield self._counted(encoder.push(piece.text))
            piece, first = next(self._pieces, None), False
        self._next = piece
        yield self._counted(encoder.flush())
        self.units += counter.total()

    def _counted(self, ids: np.ndarray) -> np.ndarray:
        if self._tokenizer.unknown_id is not None:
            self.unknown_tokens += int((ids == self._tokenizer.unknown_id).sum())
        return ids


def open_texts(
    text: str | bytes | None,
    path: str | Path | Sequence[str | Path] | None,
    options: ReadOptions,
) -> AbstractContextManager[Corpus]:
    """Open a text, or else files."""
    if text is not None:
        return corpus_from_text(text, options)
    return open_corpus(paths_of(path or ()), options, standard_input())
