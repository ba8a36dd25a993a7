"""Learning a tokenizer from text: counting what it holds, choosing what becomes a token.

Memory is bounded whatever the text: counts are, and byte pairs are learned from an evenly spaced
sample.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from charlm.errors import UsageError
from charlm.text.alphabets import make_byte_tokenizer, make_char_tokenizer
from charlm.text.counting import count_characters, count_pretokens, count_whole_words
from charlm.text.memory import return_freed_memory
from charlm.text.merges import learn_merges
from charlm.text.pretokens import find_pretokens
from charlm.text.symbols import BYTE_SYMBOLS, END_OF_LINE, UNKNOWN
from charlm.text.tokenizers import Kind, Tokenizer
from charlm.text.vocabularies import (
    make_bpe_tokenizer,
    make_closed_tokenizer,
    make_word_tokenizer,
)

Texts = Callable[[], Iterable[str]]  # the training text in pieces, as often as it is asked for
Tell = Callable[[str], None]

MAX_CHARACTERS = 5_000  # distinct characters that get an id of their own
BPE_SAMPLE = 32_000_000  # characters that byte pairs are learned from
MAX_DISTINCT = 4_000_000  # characters of its distinct pre-tokens; each takes about 90 bytes
WORDS = 20_000
WORD_MIN_COUNT = 2
BPE_SIZE = 4_096
FIXED = len(BYTE_SYMBOLS) + 1  # bytes and boundary, in every vocabulary


def learn_tokenizer(
    kind: Kind,
    texts: Texts,
    *,
    vocab_size: int | None = None,
    unknown: Literal["spell", "unk"] = "spell",
    tell: Tell = lambda line: None,
) -> Tokenizer:
    """Make a tokenizer for a text; with less to tell apart than `vocab_size` it is smaller.

    Where only a part of the text is looked at, `tell` is told. Raises UsageError for a size that
    leaves no room beside the bytes.
    """
    if kind == "byte":
        return make_byte_tokenizer()
    if kind == "word" and unknown == "unk":
        return _learn_closed(texts, vocab_size)
    if vocab_size is not None and vocab_size <= FIXED:
        raise UsageError(
            f"--vocab-size {vocab_size} is too small: 256 bytes and the boundary come first",
            f"give at least {FIXED + 1}, or --tokenizer byte",
        )
    if kind == "char":
        room = MAX_CHARACTERS if vocab_size is None else vocab_size - FIXED
        return make_char_tokenizer(_by_frequency(count_characters(texts()))[:room])
    if kind == "word":
        return _learn_open(texts, WORDS + FIXED if vocab_size is None else vocab_size)
    return _learn_bpe(texts, BPE_SIZE if vocab_size is None else vocab_size, tell)


def _learn_open(texts: Texts, vocab_size: int) -> Tokenizer:
    """Take the most frequent words, and the characters that the other words are spelled in."""
    room = vocab_size - FIXED
    characters = _by_frequency(count_characters(texts()))
    characters = characters[: min(MAX_CHARACTERS, room)]
    counts = count_pretokens(texts())
    words = [
        word for word in _by_frequency(counts) if len(word) > 1 and counts[word] >= WORD_MIN_COUNT
    ][: room - len(characters)]
    uses = Counter({word: counts[word] for word in words})
    uses.update(dict.fromkeys(characters, 0))
    chosen = set(words)
    for pretoken, count in counts.items():
        if pretoken not in chosen:
            for character in pretoken:
                if character in uses:
                    uses[character] += count
    return make_word_tokenizer(_by_frequency(uses))


def _learn_closed(texts: Texts, vocab_size: int | None) -> Tokenizer:
    """Take all white-space pieces, or the most frequent ones, with <unk> and <eos>."""
    if vocab_size is not None and vocab_size < 3:
        raise UsageError(f"--vocab-size {vocab_size} is too small", "<unk> and <eos> come first")
    counts = count_whole_words(texts())
    ends = counts.pop("\n", 0)
    unknown = counts.pop(UNKNOWN, 0) + counts.pop(END_OF_LINE, 0)  # no word may be a control
    words = _by_frequency(counts)
    if vocab_size is not None:
        words = words[: vocab_size - 2]
    kept = Counter({word: counts[word] for word in words})
    unknown += counts.total() - kept.total()
    kept.update({END_OF_LINE: ends, UNKNOWN: unknown})
    return make_closed_tokenizer(_by_frequency(kept))


def _learn_bpe(texts: Texts, vocab_size: int, tell: Tell) -> Tokenizer:
    total = sum(len(text) for text in texts())
    sample = list(_not_too_varied(_sample(texts, total)))
    size = sum(map(len, sample))
    if size < total:
        tell(f"byte pairs are learned from {size:,} of {total:,} characters")
    merges = learn_merges(sample, vocab_size)
    return_freed_memory()  # other processes will now help to encode
    return make_bpe_tokenizer(merges)


def _sample(texts: Texts, total: int) -> Iterator[str]:
    """Give the whole text, or evenly spaced pieces of it that add up to `BPE_SAMPLE`."""
    share = min(1.0, BPE_SAMPLE / max(total, 1))
    due = 0.0
    for text in texts():
        due += share * len(text)
        if due >= len(text):
            due -= len(text)
            yield text


def _not_too_varied(texts: Iterable[str]) -> Iterator[str]:
    """End a sample early where its distinct pre-tokens, all kept by the trainer, become too many.

    That takes text such as hexadecimal keys, in which nothing comes again.
    """
    seen: set[str] = set()
    size = 0
    for text in texts:
        yield text
        new = set(find_pretokens(text)) - seen
        size += sum(map(len, new))
        seen |= new
        if size > MAX_DISTINCT:
            return


def _by_frequency(counts: Counter[str]) -> list[str]:
    """Sort by falling count, then by code points: the same text gives the same ids anywhere."""
    return sorted(counts, key=lambda item: (-counts[item], item))
