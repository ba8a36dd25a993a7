"""The ids to measure with: as unevenly frequent as those of text, in whole windows."""

import numpy as np
import pytest

from charlm.benchmark.ids import synthetic_ids, whole_windows
from charlm.benchmark.texts import text_ids


def test_synthetic_words_follow_zipf_and_characters_do_not():
    words = np.bincount(synthetic_ids("word", 1000).ids, minlength=1000)
    assert words[0] > words[9] > words[99] > words[900]
    assert words[0] / words[36] == pytest.approx((37 + 2.7) / (1 + 2.7), rel=0.15)
    characters = np.bincount(synthetic_ids("char", 20).ids)
    assert len(characters) == 20 and characters.max() < 1.1 * characters.min()
    assert np.array_equal(synthetic_ids("word", 99).ids, synthetic_ids("word", 99).ids)


def test_windows_are_whole_also_of_a_text_that_is_too_short():
    assert len(whole_windows(np.arange(1000), 4, 8)) == 31 * 32 + 1
    short = whole_windows(np.arange(10), 4, 8)
    assert len(short) == 33 and short[10] == 0


def test_a_text_gives_its_characters_or_its_words(text_file):
    text = text_file.read_text()
    characters, words = (text_ids(kind, str(text_file), print) for kind in ("char", "word"))
    assert characters.vocab_size >= len(set(text))
    assert words.vocab_size == len(set(text.split())) + 2  # <eos> and <unk>
    assert len(words.ids) < len(characters.ids) < len(text)


def test_with_a_held_out_text_beside_it_the_whole_text_is_learned_from(tmp_path):
    for name in ("a.train.txt", "a.valid.txt", "b.txt"):
        (tmp_path / name).write_text("one two three\n" * 99)
    beside, alone = (
        len(text_ids("word", str(tmp_path / name), print).ids) for name in ("a.train.txt", "b.txt")
    )
    assert beside > alone > 0.8 * beside
