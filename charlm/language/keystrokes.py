"""Typing a text with a model's suggestions: the keys they would spare."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np

from charlm.evaluation.keystrokes import OFFERED, Keystrokes
from charlm.generation.lexicon import Lexicon
from charlm.generation.suggest import suggest
from charlm.predict.continued import continued
from charlm.predict.predictor import Predictor
from charlm.text.pretokens import WORD_PATTERN
from charlm.text.tokenizers import Tokenizer

MOST_TOKENS = 500_000  # of the text, whose words are typed


def keystrokes(
    predictor: Predictor,
    tokenizer: Tokenizer,
    documents: Iterable[Iterable[np.ndarray]],
    words: int,
) -> Keystrokes:
    """Type so many words of a text, evenly spaced over it, each after all that stands before it."""
    texts = list(_texts(tokenizer, documents))
    places = [list(WORD_PATTERN.finditer(text)) for text in texts]
    total = sum(map(len, places))
    chosen = set(np.linspace(0, total - 1, min(words, total)).round().astype(int).tolist())
    lexicon = None if tokenizer.closed else Lexicon(tokenizer)
    result, number = Keystrokes(), 0
    for text, found in zip(texts, places, strict=True):
        state, read = predictor.start(1), 0
        for place in found:
            if number in chosen:
                cut = place.start() - text[: place.start()].endswith(" ")
                ids = tokenizer.encode(text[read:cut])
                if len(ids):
                    _, state = predictor.score(ids[None].astype(np.int64), state)
                read, here = cut, continued(predictor, state)
                offers = partial(_offers, here, tokenizer, lexicon, text[cut : place.start()])
                result = result.add(place.group(), offers)
            number += 1
    return result


def _offers(
    predictor: Predictor, tokenizer: Tokenizer, lexicon: Lexicon | None, space: str, typed: str
) -> Sequence[str]:
    """Give the words that are offered after the space and the beginning of a word."""
    found = suggest(predictor, tokenizer, space + typed, OFFERED, lexicon)
    return [suggestion.word for suggestion in found.suggestions]


def _texts(tokenizer: Tokenizer, documents: Iterable[Iterable[np.ndarray]]) -> Iterator[str]:
    left = MOST_TOKENS
    for chunks in documents:
        decoder, pieces = tokenizer.decoder(), []
        for chunk in chunks:
            pieces.append(decoder.push(chunk[:left].tolist()))
            left -= len(chunk[:left])
        yield "".join([*pieces, decoder.flush()])
        if left <= 0:
            return
