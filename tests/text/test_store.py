"""The token store: what was written is there, with its boundaries and its counts."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from charlm import storage
from charlm.errors import CorpusError
from charlm.text.documents import Piece
from charlm.text.learning import learn_tokenizer
from charlm.text.store import PartWriter, id_type, open_part
from charlm.text.units import count_units

DOCUMENTS = ["the cat sat\n", "é and a dog", "", "\n\n", "the end\n"]
KINDS = [("byte", "spell"), ("char", "spell"), ("word", "spell"), ("word", "unk"), ("bpe", "spell")]


def written(tmp_path, tokenizer, pieces):
    with storage.new_directory(tmp_path / "store") as directory:
        writer = PartWriter(directory, "part", tokenizer)
        for piece in pieces:
            writer.add(piece)
        info = writer.finish()
    return open_part(tmp_path / "store", "part", info, CorpusError)


def tokenizer_of(kind, unknown):
    return learn_tokenizer(kind, lambda: DOCUMENTS, unknown=unknown)


@pytest.mark.parametrize("kind, unknown", KINDS)
def test_documents_stand_between_boundaries(tmp_path, kind, unknown):
    tokenizer = tokenizer_of(kind, unknown)
    part = written(tmp_path, tokenizer, [Piece(text, True) for text in DOCUMENTS])
    assert part.ids[0] == part.ids[-1] == tokenizer.boundary_id
    assert len(part.boundaries) == len(DOCUMENTS) + 1
    assert (part.ids[part.boundaries] == tokenizer.boundary_id).all()
    for text, start, row in zip(DOCUMENTS, part.boundaries, part.documents, strict=False):
        units = count_units(text)
        assert tuple(row[1:5]) == (units.bytes, units.characters, units.words, units.lines)
        ids = part.ids[start + 1 : start + 1 + row[5]].tolist()
        assert ids == tokenizer.encode(text).tolist()


def test_the_closed_form_needs_no_second_boundary(tmp_path):
    tokenizer = tokenizer_of("word", "unk")
    part = written(tmp_path, tokenizer, [Piece("the cat\n", True), Piece("the end\n", True)])
    assert len(part.ids) == 1 + 3 + 3
    assert part.boundaries.tolist() == [0, 3, 6]


@pytest.mark.parametrize("kind, unknown", KINDS)
def test_pieces_of_one_document_are_one_text(tmp_path, kind, unknown):
    tokenizer = tokenizer_of(kind, unknown)
    pieces = [Piece("the c", True), Piece("at s", False), Piece("at\nthe e", False)]
    part = written(tmp_path, tokenizer, pieces)
    whole = tokenizer.encode("the cat sat\nthe e").tolist()
    assert part.ids[1 : 1 + len(whole)].tolist() == whole
    assert part.counts().documents == 1 and part.counts().words == 5


def test_unknown_words_are_counted_by_document(tmp_path):
    tokenizer = tokenizer_of("word", "unk")
    pieces = [Piece("the zzz\n", True), Piece("qqq zzz\n", True)]
    part = written(tmp_path, tokenizer, pieces)
    assert part.documents[:-1, 6].tolist() == [1, 2]
    assert part.counts().unknown_tokens == 3


def test_a_part_longer_than_the_buffer_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("charlm.text.store.BUFFER", 10)
    tokenizer = tokenizer_of("byte", "spell")
    data = bytes(range(256)) * 3
    part = written(tmp_path, tokenizer, [Piece(data[i : i + 7], i == 0) for i in range(0, 768, 7)])
    assert part.ids[1:-1].astype(np.uint8).tobytes() == data


@pytest.mark.parametrize("size, name", [(256, "|u1"), (257, "<u2"), (65536, "<u2"), (65537, "<u4")])
def test_ids_take_as_little_room_as_they_can(size, name):
    assert id_type(size).str == name


def test_a_part_that_is_too_short_for_its_description_is_refused(tmp_path):
    part = written(tmp_path, tokenizer_of("byte", "spell"), [Piece(b"abc", True)])
    assert len(part.ids) == 5
    with pytest.raises(CorpusError, match="does not fit"):
        open_part(
            tmp_path / "store", "part", {"type": "<u2", "ids": 99, "documents": 1}, CorpusError
        )


RELEASING = """
import pathlib, sys
from charlm.errors import CorpusError
from charlm.text.store import open_part

def resident():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024

part = open_part(pathlib.Path(sys.argv[1]), "part", eval(sys.argv[2]), CorpusError)
before, first = resident(), int(part.ids.sum())
read = resident()
part.release()
assert int(part.ids[:1000].sum()) > 0
print(read - before, resident() - before)
assert int(part.ids.sum()) == first
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for memory")
def test_pages_that_were_read_can_be_given_back(tmp_path):
    with storage.new_directory(tmp_path / "store") as directory:
        writer = PartWriter(directory, "part", tokenizer_of("byte", "spell"))
        for i in range(16):
            writer.add(Piece(bytes([i + 1]) * (1 << 20), i == 0))
        info = writer.finish()
    command = [sys.executable, "-c", RELEASING, str(tmp_path / "store"), repr(info)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    read, released = map(float, done.stdout.split())
    assert read > 30 and released < 4  # megabytes; the ids take two bytes each
