"""Counts give the probabilities that KenLM gives: its figures are kept here, or it is asked.

kenlm.json was made by `lmplz -o ORDER < train` and `query` of KenLM 0.3.0 on the sentences below,
a line each: log10 p of each word of the second, and of the line's end.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from charlm.predict.kneser_ney import estimate
from charlm.predict.ngram import NgramPredictor

FIGURES = json.loads((Path(__file__).parent / "kenlm.json").read_text())
UNKNOWN = 1  # KenLM's <unk> is a word of the vocabulary too


def sentences(number, seed):
    """Make sentences of 3 to 14 words out of 2,000, low ones often, each likely after its last."""
    state = seed

    def below(limit):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % limit

    result = []
    for _ in range(number):
        word, sentence = below(1000) ** 3 // 500_000, []
        for _ in range(3 + below(12)):
            sentence.append(word)
            anew = below(3) == 0
            word = below(1000) ** 3 // 500_000 if anew else (word * 7 + below(3)) % 2000
        result.append(sentence)
    return result


def log10_probs(train, test, order):
    """Give log10 p of each word and line end by our counts, a line a document."""
    numbers = {word: i for i, word in enumerate(sorted({w for s in train for w in s}), 1)}
    ids, boundaries = [0], [0]
    for sentence in train:
        ids += [*(numbers[word] for word in sentence), 0]
        boundaries.append(len(ids) - 1)
    size = len(numbers) + 1 + UNKNOWN
    tables = estimate(np.array(ids), np.array(boundaries), size, order).tables
    ours = NgramPredictor(tables, boundary_id=0)
    for sentence in test:
        line = np.array([[*(numbers[word] for word in sentence), 0]])
        yield -ours.score(line, ours.start(1))[0][0] / np.log(10)


@pytest.mark.parametrize("order", [3, 5])
def test_each_words_probability_is_that_of_kenlm(order):
    test = sentences(20, seed=2)
    found = list(log10_probs(sentences(3_000, seed=1), test, order))
    assert [len(each) for each in found] == [len(sentence) + 1 for sentence in test]
    for ours, theirs in zip(found, FIGURES[str(order)], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


@pytest.mark.skipif(
    not (shutil.which("lmplz") and shutil.which("query")), reason="KenLM is not installed"
)
def test_penn_treebanks_words_have_the_probabilities_that_kenlm_gives_them(shared_data, tmp_path):
    train, test = (
        # KenLM has an <unk> of its own, and refuses the text's
        (shared_data / "ptb" / f"ptb.{part}.txt").read_text().replace("<unk>", "unknown-word")
        for part in ("train", "test")
    )
    build = ["lmplz", "-o", "5", "-S", "10%", "-T", tmp_path / "temporary"]
    options = {"capture_output": True, "text": True, "check": True}
    (tmp_path / "model").write_text(subprocess.run(build, input=train, **options).stdout)
    lines = test.splitlines()[:300]
    asked = subprocess.run(
        ["query", tmp_path / "model"], input="\n".join([*lines, ""]), **options
    ).stdout
    theirs = [
        [float(each) for each in re.findall(r"\S+=\d+ \d+ (-?[\d.e+-]+)", line)]
        for line in asked.splitlines()[: len(lines)]
    ]
    words = [[line.split() for line in text.splitlines()] for text in (train, "\n".join(lines))]
    for ours, each in zip(log10_probs(*words, order=5), theirs, strict=True):
        np.testing.assert_allclose(ours, each, atol=1e-3)
