"""Loading: every kind comes back as it was; damage and foreign files are named, never executed."""

import json
from contextlib import suppress

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models

from charlm.errors import ModelError
from charlm.text.learning import learn_tokenizer
from charlm.text.loading import load_tokenizer, tokenizer_from_json

TEXT = ["The cat sat on the mat, and the dog didn't.\n"] * 5
KINDS = [("byte", "spell"), ("char", "spell"), ("word", "spell"), ("word", "unk"), ("bpe", "spell")]
MADE = {pair: learn_tokenizer(pair[0], lambda: TEXT, unknown=pair[1]) for pair in KINDS}


@pytest.mark.parametrize("pair", KINDS)
def test_a_tokenizer_comes_back_as_it_was(pair, tmp_path):
    made = MADE[pair]
    (tmp_path / "tokenizer.json").write_text(made.to_json(), encoding="utf-8")
    loaded = load_tokenizer(tmp_path / "tokenizer.json")
    assert (loaded.kind, loaded.closed, loaded.vocab_size) == (
        made.kind,
        made.closed,
        made.vocab_size,
    )
    assert loaded.sha256() == made.sha256()
    assert loaded.encode(TEXT[0]).tolist() == made.encode(TEXT[0]).tolist()
    assert (loaded.boundary_id, loaded.unknown_id) == (made.boundary_id, made.unknown_id)


def change(pair, path, value):
    tree = json.loads(MADE[pair].to_json())
    spot = tree
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = value
    return json.dumps(tree)


BAD = {
    "empty": "",
    "half": MADE["char", "spell"].to_json()[:500],
    "a list": "[]",
    "a number": "7",
    "deep": "[" * 100_000,
    "another's": tokenizers.Tokenizer(models.Unigram()).to_str(),
    "added tokens": change(
        ("char", "spell"),
        ["added_tokens"],
        [
            {
                "id": 3,
                "content": "e",
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
        ],
    ),
    "a gap in the ids": change(("char", "spell"), ["model", "vocab", "t"], 90_000),
    "two with one id": change(("char", "spell"), ["model", "vocab", "t"], 0),
    "a negative id": change(("word", "unk"), ["model", "vocab", "the"], -1),
    "an id that is text": change(("word", "unk"), ["model", "vocab", "the"], "x"),
    "no boundary": MADE["bpe", "spell"].to_json().replace("<|endoftext|>", "<|else|>"),
    "no bytes": MADE["char", "spell"].to_json().replace("<0x41>", "<0xZZ>"),
    "no <unk>": MADE["word", "unk"].to_json().replace("<unk>", "<nix>"),
    "other cuts": MADE["word", "spell"].to_json().replace("{1,64}", "{1,63}"),
    "a merge of nothing": change(("bpe", "spell"), ["model", "merges"], [["q", "zzzz"]]),
    "no pre-tokenizer": change(("bpe", "spell"), ["pre_tokenizer"], None),
    "vocab as list": change(("bpe", "spell"), ["model", "vocab"], []),
    "a truncation": change(("char", "spell"), ["truncation"], {"max_length": 2}),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused(name):
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        tokenizer_from_json(BAD[name], "tokenizer.json")


@pytest.mark.parametrize("pair", KINDS)
def test_what_another_version_of_the_library_writes_is_read_and_keeps_its_name(pair):
    tree = json.loads(MADE[pair].to_json())
    tree["model"].pop("ignore_merges", None)  # a field that older versions did not write
    if pair == ("word", "spell"):
        tree["model"]["ignore_merges"] = True
    text = json.dumps(tree)
    loaded = tokenizer_from_json(text, "x")
    assert loaded.encode(TEXT[0]).tolist() == MADE[pair].encode(TEXT[0]).tolist()
    assert loaded.to_json() == text


@settings(max_examples=60)
@given(st.data())
def test_random_damage_never_escapes_as_anything_else(data):
    pair = data.draw(st.sampled_from(KINDS))
    text = MADE[pair].to_json()
    at = data.draw(st.integers(0, len(text) - 1))
    junk = data.draw(st.text(max_size=4))
    with suppress(ModelError):
        tokenizer_from_json(text[:at] + junk + text[at + len(junk) + 1 :], "x")


def test_missing_and_unreadable_files_are_named(tmp_path):
    with pytest.raises(ModelError, match="No such file"):
        load_tokenizer(tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match="not UTF-8"):
        load_tokenizer(tmp_path / "tokenizer.json")
