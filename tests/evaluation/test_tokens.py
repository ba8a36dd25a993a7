"""What was predicted at each token: by hand for a bigram, in rows, in shares."""

import math

import numpy as np
import pytest

from charlm.evaluation.accuracy import Accuracy, AccuracyCounter
from charlm.evaluation.keystrokes import LETTERS, Keystrokes, press
from charlm.evaluation.rows import as_text, rows_as_they_pass
from charlm.evaluation.tokens import TokenScore, token_scores
from charlm.language.keystrokes import keystrokes
from charlm.text.alphabets import make_char_tokenizer
from charlm.text.learning import learn_tokenizer
from tests.predictors import Bigram

TOKENIZER = make_char_tokenizer(list("abc \n"))


def scores_of(texts, predictor=None):
    predictor = predictor or Bigram.random(TOKENIZER)
    documents = ([TOKENIZER.encode(part) for part in parts] for parts in texts)
    return list(token_scores(predictor, TOKENIZER, documents))


def rows_of(by, scores, lossless=True):
    rows = []
    assert list(rows_as_they_pass(by, scores, lossless, rows.append)) == scores
    return rows


def test_it_is_what_the_table_says():
    predictor = Bigram.random(TOKENIZER)
    before = TOKENIZER.boundary_id
    *scores, end = scores_of([["ab", "ca"]], predictor)
    assert end is None and b"".join(score.piece for score in scores) == b"abca"
    for score, token in zip(scores, TOKENIZER.encode("abca").tolist(), strict=True):
        row = predictor.table[before].astype(np.float64)
        assert score.nats == pytest.approx(-row[token], rel=1e-5)
        assert score.entropy == pytest.approx(-(np.exp(row) * row).sum(), rel=1e-4)
        assert score.rank == 1 + sorted(row, reverse=True).index(row[token])
        assert score.confidence == pytest.approx(np.exp(row.max()), rel=1e-5)
        before = token


def test_what_can_never_come_adds_nothing_to_the_entropy():
    table = np.full((TOKENIZER.vocab_size,) * 2, -np.inf)
    table[:, :2] = math.log(0.5)
    [score, _] = scores_of([["a"]], Bigram(table, TOKENIZER.boundary_id))
    assert score.entropy == pytest.approx(math.log(2)) and score.rank == 1


def test_each_document_is_read_from_the_start():
    first, second = scores_of([["ab"]]), scores_of([["cab"]])
    assert scores_of([["ab"], ["cab"]]) == first + second


def test_the_rows_of_tokens_are_the_tokens():
    scores = scores_of([["a\t", "b"]])
    rows = rows_of("token", scores)
    assert [row["token"] for row in rows] == ["a", *["\t"], "b"]
    assert [row["rank"] for row in rows] == [score.rank for score in scores[:-1]]
    assert as_text(rows[1], "token").startswith("\\t\t")


def test_a_line_has_the_nats_of_the_tokens_that_begin_in_it():
    scores = [
        TokenScore(b"one", 1.0, 0, 1, 1),
        TokenScore(b" two\n\nthr", 2.0, 0, 1, 1),
        TokenScore(b"ee\r\n", 4.0, 0, 1, 1),
        TokenScore(b"end", 8.0, 0, 1, 1),
        None,
        TokenScore(b"other\n", 16.0, 0, 1, 1),
        None,
    ]
    rows = rows_of("line", scores)
    told = [(row["line"], row["text"], row["bytes"], row["nats"]) for row in rows]
    assert told == [
        (1, "one two", 8, 3.0),
        (2, "", 1, 0.0),
        (3, "three", 7, 4.0),
        (4, "end", 3, 8.0),
        (5, "other", 6, 16.0),
    ]
    assert rows[0]["bits_per_byte"] == pytest.approx(3 / math.log(2) / 8)
    assert as_text(rows[4], "line") == f"5\t6\t1\t16.0000\t{16 / math.log(2) / 6:.4f}\tother"
    assert rows_of("line", scores, lossless=False)[0]["bits_per_byte"] is None


def test_rows_add_up_to_the_whole():
    scores = scores_of([["ab c\n", "a\nb"], ["c"], [""]])
    whole = sum(score.nats for score in scores if score is not None)
    for by in ("token", "line", "document"):
        assert sum(row["nats"] for row in rows_of(by, scores)) == pytest.approx(whole)
    documents = rows_of("document", scores)
    assert [row["bytes"] for row in documents] == [8, 1, 0]
    assert documents[2]["bits_per_byte"] is None and as_text(documents[2], "document")[-1] == "\t"


def test_first_guesses_are_counted():
    counter = AccuracyCounter()
    ranks = [1, 1, 2, 5, 6, 80]
    scores = [TokenScore(b"a", 1, 0.5, rank, 0.1) for rank in ranks]
    assert list(counter.watch([*scores, None])) == [*scores, None]
    assert counter.result.to_json() == {
        "top1_accuracy": 2 / 6,
        "top5_accuracy": 4 / 6,
        "entropy": 0.5,
    }
    assert set(Accuracy().to_json().values()) == {None}


@pytest.mark.parametrize("by", ["line", "document"])
def test_bytes_of_the_closed_form_are_those_of_the_text_as_it_writes_it(by):
    tokenizer = learn_tokenizer("word", lambda: ["née saw a cat\n"], unknown="unk")
    text = " née  saw an elephant \na cat\n née"
    scores = token_scores(Bigram.random(tokenizer), tokenizer, [[tokenizer.encode(text)]])
    rows = rows_of(by, list(scores), lossless=False)
    written = "née saw <unk> <unk>\na cat\nnée"
    assert tokenizer.decode(tokenizer.encode(text).tolist()) == written
    assert sum(row["bytes"] for row in rows) == len(written.encode())
    assert {row["bits_per_byte"] for row in rows} == {None}


def test_a_key_takes_the_word_that_is_offered():
    offered = {"": ["dog", "hat", "cow"], "c": ["cow", "car", "cut"], "ca": ["cat"]}

    def keys(word):
        return press(word, lambda typed: word in offered.get(typed, []))

    assert [keys(word) for word in ("dog", "cat", "car")] == [1, 3, 2]
    assert keys("cup") == 4  # letters, and what ends it


def test_a_word_as_long_as_a_line_is_looked_for_at_its_beginning_alone():
    asked = []

    def offered_after(letters):
        return lambda typed: asked.append(typed) or len(typed) == letters

    assert press("word" * 100, offered_after(LETTERS)) == 401  # typed, and what ends it
    assert asked == [("word" * 100)[:letters] for letters in range(LETTERS)]
    assert press("word" * 100, offered_after(LETTERS - 1)) == LETTERS


def test_keys_add_up():
    typed = Keystrokes().add("cat", lambda typed: True).add("dog", lambda typed: False)
    assert typed == Keystrokes(2, 8, 5) and typed.saved == 3 / 8
    assert Keystrokes().saved is None


def test_typing_goes_by_what_the_model_suggests():
    predictor = Bigram.of_text(TOKENIZER, "ab ab ab ab ab ab ab ab ab ab ab ab ")
    text = [[TOKENIZER.encode("ab ab ba ab"), TOKENIZER.encode(" ab")]]
    typed, suggested = keystrokes(predictor, TOKENIZER, text, words=100)
    assert typed == Keystrokes(words=5, keys=15, pressed=1 + 1 + 3 + 1 + 1)
    assert suggested.right.sum() == 4  # all but "ba" are what comes first
    first_and_last, _ = keystrokes(predictor, TOKENIZER, text, words=2)
    assert first_and_last == Keystrokes(2, 6, 2)
    nothing, none = keystrokes(predictor, TOKENIZER, [[]], words=9)
    assert nothing == Keystrokes() and none.total == 0


def test_words_come_as_often_as_their_probability_says():
    """Text drawn from a model, whose own suggestions are then calibrated."""
    random = np.random.default_rng(3)
    predictor = Bigram.of_text(TOKENIZER, "ab ba aab bb ab ab a aab ", smoothing=1e-9)
    ids = [TOKENIZER.encode("a")[0]]
    for _ in range(4000):
        shares = np.exp(predictor.table[ids[-1]].astype(np.float64))
        ids.append(int(random.choice(len(shares), p=shares / shares.sum())))
    drawn = [token for token in ids if token != TOKENIZER.boundary_id]
    _, suggested = keystrokes(predictor, TOKENIZER, [[np.array(drawn)]], words=600)
    assert suggested.total > 2000 and suggested.right.sum() > 300
    facts = suggested.to_json()
    assert facts["expected_error"] < 0.03
    assert sum(one["count"] for one in facts["bins"]) == facts["count"]
