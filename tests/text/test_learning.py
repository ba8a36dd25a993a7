"""Learning: what is frequent becomes a token, sizes are kept, memory is bounded."""

import subprocess
import sys
import time

import pytest

from charlm.errors import UsageError
from charlm.text import learning
from charlm.text.learning import learn_tokenizer

TEXT = ["the cat and the dog and the bird\n", "a cat, a dog: <eos> <unk>\n"] * 10


def learn(kind, **keywords):
    return learn_tokenizer(kind, lambda: TEXT, **keywords)


def test_characters_come_by_frequency_then_bytes_then_the_boundary():
    tokenizer = learn("char")
    distinct = len(set("".join(TEXT)))
    assert tokenizer.vocab_size == distinct + 257
    assert tokenizer.pieces[0] == b" "
    assert tokenizer.pieces[distinct : distinct + 256] == [bytes([b]) for b in range(256)]
    assert tokenizer.boundary_id == distinct + 256


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_a_vocabulary_is_never_larger_than_asked(kind):
    for size in (258, 262, 275):
        tokenizer = learn(kind, vocab_size=size)
        assert tokenizer.vocab_size <= size
        assert tokenizer.decode(tokenizer.encode("dog ж").tolist()) == "dog ж"


def test_a_text_with_few_pairs_gives_a_smaller_vocabulary():
    assert learn("bpe", vocab_size=4000).vocab_size < 400


@pytest.mark.parametrize("kind", ["char", "word", "bpe"])
def test_a_size_without_room_is_refused(kind):
    with pytest.raises(UsageError, match="too small"):
        learn(kind, vocab_size=257)


def test_all_types_of_the_closed_form_are_kept_unless_a_size_is_given():
    words = set("".join(TEXT).split()) - {"<eos>"}
    assert learn("word", unknown="unk").vocab_size == len(words | {"<eos>", "<unk>"})
    small = learn("word", unknown="unk", vocab_size=5)
    assert small.vocab_size == 5
    assert {b"<unk>", b"\n", b"the"} <= set(small.pieces)


def test_words_seen_once_are_spelled():
    tokenizer = learn_tokenizer("word", lambda: ["once twice twice"])
    assert b" twice" in tokenizer.pieces and b"once" not in tokenizer.pieces


def test_the_same_text_gives_the_same_tokenizer():
    for kind in ("char", "word", "bpe"):
        assert learn(kind).sha256() == learn(kind).sha256()


def test_how_the_text_is_cut_makes_no_difference():
    whole = "".join(TEXT)
    cut = [whole[i : i + 7] for i in range(0, len(whole), 7)]
    for kind, unknown in (("char", "spell"), ("word", "spell"), ("word", "unk")):
        ours = learn_tokenizer(kind, lambda: cut, unknown=unknown)
        assert ours.sha256() == learn_tokenizer(kind, lambda: [whole], unknown=unknown).sha256()


def test_byte_pairs_are_learned_from_an_even_sample(monkeypatch):
    monkeypatch.setattr(learning, "BPE_SAMPLE", 1000)
    texts = [f"{i:04}" * 25 for i in range(100)]
    sample = list(learning._sample(lambda: texts, 10_000))
    assert 900 <= sum(map(len, sample)) <= 1000
    places = [texts.index(text) for text in sample]
    assert places[0] < 15 and places[-1] > 85


@pytest.mark.parametrize(
    "folder, names, tokens, types",
    [
        ("ptb", "ptb.{}.txt", (929_589, 73_760, 82_430), 10_000),
        ("wikitext-2", "{}.txt", (2_088_628, 217_646, 245_569), 33_278),
    ],
)
def test_the_published_counts_are_reached_exactly(shared_data, folder, names, tokens, types):
    texts = [
        (shared_data / folder / names.format(part)).read_bytes().decode()
        for part in ("train", "valid", "test")
    ]
    tokenizer = learn_tokenizer("word", lambda: texts[:1], unknown="unk")
    assert tokenizer.vocab_size == types
    assert tuple(len(tokenizer.encode(text)) for text in texts) == tokens


def test_an_endless_word_is_unknown_and_no_part_of_the_vocabulary():
    texts = ["a b a\n", *["x" * 900] * 10, " a\n"]
    tokenizer = learn_tokenizer("word", lambda: texts, unknown="unk")
    assert sorted(tokenizer.pieces) == sorted([b"a", b"b", b"<unk>", b"\n"])
    assert tokenizer.encode("".join(texts)).tolist().count(tokenizer.unknown_id) == 1


def test_byte_pairs_of_text_that_never_repeats_are_learned_from_its_beginning(monkeypatch):
    monkeypatch.setattr(learning, "MAX_DISTINCT", 1000)
    varied = [" ".join(str(i) for i in range(k, k + 50)) for k in range(10_000, 11_000, 50)]
    assert 3 <= len(list(learning._not_too_varied(varied))) < len(varied)
    assert list(learning._not_too_varied(TEXT * 100)) == TEXT * 100


PEAK = """
import random, resource
from charlm.text.learning import learn_tokenizer

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

text = " ".join(f"{random.getrandbits(40):x}" for _ in range(200_000))
before = peak()
learn_tokenizer("bpe", lambda: [text], vocab_size=500)
print(peak() - before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for memory")
def test_learning_byte_pairs_of_much_text_takes_the_memory_of_another_process():
    command = [sys.executable, "-c", PEAK]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    here, there = map(float, done.stdout.split())
    assert there > 80 and here < 40


STOPPED = """
import random, signal, sys
from charlm.text.learning import learn_tokenizer

class Stopped(BaseException): pass
def stop(number, frame): raise Stopped
def texts():
    for _ in range(300):
        yield " ".join(f"{random.getrandbits(40):x}" for _ in range(8000))
    print("ready", flush=True)

signal.signal(signal.SIGTERM, stop)
try:
    learn_tokenizer("bpe", texts, vocab_size=8000)
except Stopped:
    sys.exit(143)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_signal_ends_the_training_of_byte_pairs_at_once():
    command = [sys.executable, "-c", STOPPED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"  # the text was walked over for its size
        time.sleep(2)
        assert process.poll() is None, "there was nothing left to interrupt"
        start = time.monotonic()
        process.terminate()
        assert process.wait(timeout=30) == 143
        assert time.monotonic() - start < 1
