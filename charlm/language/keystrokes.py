"""Typing a text with a model's suggestions: the keys they would spare, and how true they are."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from charlm.evaluation.calibration import Calibration, calibration
from charlm.evaluation.keystrokes import OFFERED, Keystrokes
from charlm.generation.lexicon import Lexicon
from charlm.generation.session import Session
from charlm.predict.continued import continued
from charlm.predict.predictor import Predictor
from charlm.text.pretokens import WORD_PATTERN
from charlm.text.tokenizers import Tokenizer

SUGGESTED = 5  # words, whose probabilities are compared with how often they come
BINS = 10
MOST_TOKENS = 500_000  # of the text, whose words are typed


def keystrokes(
    predictor: Predictor,
    tokenizer: Tokenizer,
    documents: Iterable[Iterable[np.ndarray]],
    words: int,
    passed: Callable[[int], object] = lambda total: None,
) -> tuple[Keystrokes, Calibration]:
    """Type so many words of a text, evenly spaced over it, each after all that stands before it.

    A word is looked for before each of its first 40 letters; of a longer one the rest is typed.

    Gives the keys, and how often the words came that were suggested before a word's first letter,
    beside the probabilities given to them.

    passed: is told after each word how many there are
    """
    texts = list(_texts(tokenizer, documents))
    places = [list(WORD_PATTERN.finditer(text)) for text in texts]
    total = sum(map(len, places))
    chosen = set(np.linspace(0, total - 1, min(words, total)).round().astype(int).tolist())
    lexicon = None if tokenizer.closed else Lexicon(tokenizer)
    result, number = Keystrokes(), 0
    given, came = list[float](), list[bool]()
    for text, found in zip(texts, places, strict=True):
        state, read = predictor.start(1), 0
        for place in found:
            if number in chosen:
                cut = place.start() - text[: place.start()].endswith(" ")
                ids = tokenizer.encode(text[read:cut])
                if len(ids):
                    _, state = predictor.score(ids[None].astype(np.int64), state)
                read, here = cut, continued(predictor, state)
                word, space = place.group(), text[cut : place.start()]
                session = Session(here, tokenizer, lexicon)

                def among_the_best(
                    typed: str, session: Session = session, word: str = word, space: str = space
                ) -> bool:
                    return session.offers(space + typed, word, OFFERED)

                for suggestion in session.suggest(space, SUGGESTED).suggestions:
                    given.append(suggestion.probability)
                    came.append(suggestion.word == word)
                result = result.add(word, among_the_best)
                passed(len(chosen))
            number += 1
    return result, calibration(np.array(given), np.array(came, dtype=bool), BINS)


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
