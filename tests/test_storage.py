"""Storage: a reader finds the old content or the new one, never something between."""

import errno
import os
from pathlib import Path

import pytest

from charlm import storage
from charlm.errors import DiskError, ModelError


def write_pair(target, first, second, **keywords):
    with storage.new_directory(target, **keywords) as directory:
        directory.write_text("a.txt", first)
        directory.write_json("deep/b.json", second)


def test_a_new_directory_verifies_against_its_manifest(tmp_path):
    write_pair(tmp_path / "model", "hello", {"x": 1})
    storage.verify(tmp_path / "model", ModelError, contents=True)
    assert storage.read_json(tmp_path / "model/deep/b.json", ModelError) == {"x": 1}


def test_a_failed_directory_leaves_nothing_behind(tmp_path):
    with pytest.raises(ZeroDivisionError), storage.new_directory(tmp_path / "model") as directory:
        directory.write_text("a.txt", "half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_failed_replacement_keeps_the_old_directory(tmp_path):
    write_pair(tmp_path / "model", "old", 1)
    with (
        pytest.raises(ZeroDivisionError),
        storage.new_directory(tmp_path / "model", replace=True) as directory,
    ):
        directory.write_text("a.txt", "new")
        raise ZeroDivisionError
    assert (tmp_path / "model/a.txt").read_text() == "old"


def test_a_replacement_takes_the_place_of_the_old_directory(tmp_path):
    write_pair(tmp_path / "model", "old", 1)
    write_pair(tmp_path / "model", "new", 2, replace=True)
    assert (tmp_path / "model/a.txt").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_an_existing_directory_has_no_manifest_until_all_is_written(tmp_path):
    write_pair(tmp_path / "run", "old", 1)
    with storage.existing_directory(tmp_path / "run") as directory:
        assert not (tmp_path / "run" / storage.MANIFEST).exists()
        directory.write_text("a.txt", "new")
    storage.verify(tmp_path / "run", ModelError, contents=True)


@pytest.mark.parametrize(
    "damage, words",
    [
        (lambda path: path.write_text("hellO"), "damaged"),
        (lambda path: path.write_text("hello!"), "bytes instead of"),
        (lambda path: path.unlink(), "missing"),
    ],
)
def test_damage_is_named(tmp_path, damage, words):
    write_pair(tmp_path / "model", "hello", {"x": 1})
    damage(tmp_path / "model/a.txt")
    with pytest.raises(ModelError, match=words):
        storage.verify(tmp_path / "model", ModelError, contents=True)


@pytest.mark.parametrize("name", ["../a.txt", "/etc/passwd"])
def test_a_manifest_cannot_point_outside_its_directory(tmp_path, name):
    write_pair(tmp_path / "model", "hello", 1)
    manifest = {"files": {name: {"size": 1, "sha256": ""}}}
    (tmp_path / "model" / storage.MANIFEST).write_bytes(storage.json_bytes(manifest))
    with pytest.raises(ModelError, match="bad entry"):
        storage.verify(tmp_path / "model", ModelError, contents=False)


@pytest.mark.parametrize("text", ["", "{", "[NaN]", "\x00", "[" * 100_000])
def test_bad_json_is_a_sentence_with_the_file(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=r"config\.json is not valid JSON"):
        storage.read_json(path, ModelError)


def test_a_full_disk_names_the_file_and_keeps_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "a.bin"
    storage.write_bytes(path, b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match=r"a\.bin \(3 bytes\): No space left"):
        storage.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_new_files_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        storage.write_bytes(tmp_path / "a", b"x")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_line_log_appends(tmp_path):
    for number in (1, 2):
        log = storage.LineLog(tmp_path / "metrics.jsonl")
        log.append({"step": number})
        log.close()
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n'


def test_writing_where_a_file_stands_is_a_disk_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="cannot write"):
        storage.write_bytes(Path(tmp_path / "file" / "a"), b"x")
