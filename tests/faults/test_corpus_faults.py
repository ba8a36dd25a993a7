"""Corpora that are empty, broken, hostile or changing: one sentence, or the text as it was."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import tracemalloc
import unicodedata
import zipfile
from collections import Counter

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import charlm
from charlm.errors import CharlmError, CorpusError
from charlm.text import learning, preparation, reading, rows, sources
from charlm.text.finding import corpus_from_text, open_corpus
from charlm.text.learning import learn_tokenizer
from charlm.text.parquet import parquet_rows
from charlm.text.preparation import TokenizerChoice, prepare
from charlm.text.pretokens import find_pretokens
from charlm.text.sources import ReadOptions
from charlm.text.store import open_store
from charlm.text.symbols import to_byte_level

SMALL = ["--hidden", 8, "--embed", 8, "--batch", 4, "--bptt", 12, "--lr", 0.01, "--threads", 1]
PROSE = "the cat sat on the mat and the dog sat on the log, né?\nso it goes\n\n" * 20
KINDS = {
    "byte": ["--tokenizer", "byte"],
    "char": ["--tokenizer", "char"],
    "word": ["--tokenizer", "word"],
    "bpe": ["--tokenizer", "bpe", "--vocab-size", 300],
    "closed": ["--tokenizer", "word", "--unknown", "unk"],
}
LOSSLESS = [name for name in KINDS if name != "closed"]
LEGIBLE = st.characters(exclude_categories=["Cc", "Cs"])  # much of the others makes no text


def learn(kind, text):
    if kind == "closed":
        return learn_tokenizer("word", lambda: [text], unknown="unk")
    return learn_tokenizer(kind, lambda: [text])


def parts_of(store):
    return [store.train] if store.valid is None else [store.train, store.valid]


def text_of(store):
    """Give the text of a store, learned and held out, as bytes."""
    ids = [token for part in parts_of(store) for token in part.ids.tolist()]
    return store.tokenizer.decode_bytes(ids)


def is_one_sentence(log):
    return "Traceback" not in log and log.startswith("error: ") and len(log.splitlines()) <= 5


@pytest.fixture
def file(tmp_path):
    def make(data, name="a.txt"):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return make


@pytest.fixture
def prepared(forge, tmp_path):
    """Prepare a corpus that is sound; give its store, and what was said."""

    def run(path, *options):
        words = ["prepare", path, *options, "--out", tmp_path / "store", "--force"]
        code, log, _ = forge.run(*words)
        assert code == 0 and "Traceback" not in log, log
        return open_store(tmp_path / "store"), log

    return run


@pytest.fixture
def refused(forge, tmp_path):
    """Prepare a corpus that is not; give what was said."""

    def run(path, *options, code=3):
        given, log, _ = forge.run("prepare", path, *options, "--out", tmp_path / "store")
        assert given == code and is_one_sentence(log), log
        assert not (tmp_path / "store").exists()
        return log

    return run


@pytest.fixture
def checked(forge):
    """Check a corpus; give what `--json` says."""

    def run(path, *options):
        code, log, _ = forge.run("check", path, *options, "--json")
        assert code == 0, log
        return json.loads(log)

    return run


@pytest.fixture(scope="session")
def model(forge):
    out = forge.folder / "model-corpus-faults"
    code, log, _ = forge.run("train", forge.folder / "book.txt", *SMALL, "--steps", 2, "--out", out)
    assert code == 0, log
    return out


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    """Give a folder to laws whose examples each write there."""
    return tmp_path_factory.mktemp("scratch")


@pytest.mark.parametrize("command", ["train", "prepare", "check", "eval"])
@pytest.mark.parametrize(
    "data", [b"", b"\xef\xbb\xbf", b" \n\t \r\n"], ids=["none", "bom", "blank"]
)
def test_a1_no_text_is_told(forge, model, file, tmp_path, command, data):
    path = file(data)
    words = {"train": [path, "--out", tmp_path / "x"], "prepare": [path, "--out", tmp_path / "x"]}
    code, log, _ = forge.run(command, *words.get(command, [model, path][command == "check" :]))
    if command == "eval" and data.isspace():
        assert code == 0  # blanks are nothing to learn from, but they can be scored
        return
    assert code == 3 and is_one_sentence(log) and f"there is no text in {path}" in log, log
    assert not (tmp_path / "x").exists()


def test_a1_no_text_is_told_before_torch_is_loaded(file, tmp_path):
    code = (
        "import sys\nfrom charlm.cli.main import main\n"
        f"code = main(['train', {str(file(''))!r}, '--out', {str(tmp_path / 'run')!r}])\n"
        "sys.exit('torch' if 'torch' in sys.modules else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 3 and is_one_sentence(done.stderr)


@pytest.mark.parametrize("text", ["x", "a b\nc\nd\ne\n"])
def test_a2_a_tiny_corpus_trains_and_generates(forge, file, tmp_path, text):
    out = tmp_path / "run"
    code, log, _ = forge.run("train", file(text), *SMALL, "--steps", 2, "--out", out)
    assert code == 0 and "too small for a held-out score" in log, log
    assert forge.run("generate", out, "--max-tokens", 3)[0] == 0
    code, log, _ = forge.run("eval", out)
    assert code == 2 and is_one_sentence(log) and "pass a FILE" in log


@pytest.mark.parametrize("line", [1, 77, 200])
def test_a3_an_invalid_byte_is_replaced_and_placed(prepared, refused, file, line):
    lines = [b"good line\n"] * 200
    lines[line - 1] = b"bad \xff byte\n"
    path, place = file(b"".join(lines)), f"line {line}, byte offset {10 * line - 6}"
    assert place in refused(path, "--strict")
    store, log = prepared(path)
    assert "1 invalid bytes" in log and place in log
    assert text_of(store) == b"".join(lines).replace(b"\xff", "\ufffd".encode())


def test_a3_one_byte_in_a_thousand_may_be_invalid(prepared, refused, file):
    assert "1 invalid" in prepared(file(b"x" * 999 + b"\xff"))[1]
    shutil.rmtree(file(b"").parent / "store")
    told = refused(file(b"x" * 998 + b"\xff"))
    assert "byte offset 998" in told and "--encoding" in told


WIDE = ["utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize("encoding", [*WIDE, "cp1251", "latin-1"])
def test_a4_the_encoding_that_is_named_gives_the_text(prepared, refused, file, encoding):
    text = "Größe, naïve café\n" if encoding == "latin-1" else "Привет, мир. Как дела?\n"
    path = file((text * 30).encode(encoding))
    named = re.findall(r"--encoding (\S+)", refused(path))
    assert encoding in named
    store, _ = prepared(path, "--encoding", encoding)
    assert text_of(store).decode() == text * 30


LINES = "one\r\ntwo\rthree\nfour\u2028five\x85six\n" * 10


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a5_the_mark_is_dropped_and_every_line_end_kept(prepared, file, kind):
    data = b"\xef\xbb\xbf" + LINES.encode()
    store, _ = prepared(file(data), *KINDS[kind])
    assert text_of(store) == (data if kind == "byte" else LINES.encode())


def test_a5_line_ends_and_marks_are_reported(checked, file):
    value = checked(file(b"\xef\xbb\xbf" + LINES.encode()))
    assert value["line_ends"] == {"lf": 20, "crlf": 10, "cr": 10, "other": 20}
    assert value["byte_order_marks"] == 1 and "line ends are mixed" in " ".join(value["warnings"])


CONTROLS = "".join(map(chr, [*range(9), 11, 12, *range(14, 32), 127]))


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a6_control_characters_come_back(prepared, file, kind):
    text = PROSE * 2 + CONTROLS + PROSE
    store, log = prepared(file(text), *KINDS[kind])
    assert text_of(store) == text.encode()
    assert kind == "byte" or "1 NUL characters are in the text" in log


def test_a6_control_characters_are_counted(checked, file):
    value = checked(file(PROSE + 2 * CONTROLS + PROSE))
    assert value["nul_characters"] == 2
    assert value["control_characters"] == 2 * (len(CONTROLS) - 1)


def test_a7_half_of_a_surrogate_pair_is_named_with_its_index(model):
    lm = charlm.load(model)
    for use in (lm.generate, lm.suggest, lm.score, lm.evaluate, corpus_from_text):
        with pytest.raises(CharlmError, match=r"U\+D83D, at index 5"):
            use("a cat\ud83d")


@pytest.mark.parametrize("command", ["generate", "suggest"])
def test_a7_a_prompt_that_is_no_unicode_is_one_sentence(forge, model, command):
    code, log, _ = forge.run(command, model, "a\udcff")
    assert code == 3 and "Traceback" not in log and "U+DCFF, at index 1" in log, log


PEAK = (
    "import re, sys\nfrom pathlib import Path\nfrom charlm.cli.main import main\n"
    "code, status = main(sys.argv[1:]), Path('/proc/self/status').read_text()\n"
    "print('peak', int(re.search(r'VmHWM:\\s*(\\d+)', status)[1]) // 1024)\nsys.exit(code)"
)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for memory")
@pytest.mark.parametrize("kind", ["char", "closed"])
def test_a8_a_line_without_end_takes_the_memory_of_a_short_one(tmp_path, kind):
    peaks = []
    for megabytes in (1, 16):
        (tmp_path / "line.txt").write_bytes("жx".encode() * (megabytes * 1_000_000 // 3))
        words = ["prepare", tmp_path / "line.txt", *KINDS[kind], "--out", tmp_path / "s", "--force"]
        command = [sys.executable, "-c", PEAK, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 12  # megabytes


@pytest.mark.parametrize("kind", KINDS)
def test_a8_no_more_than_a_few_pieces_are_held(file, monkeypatch, kind):
    monkeypatch.setattr(reading, "PIECE", 4096)
    tokenizer, path = learn(kind, PROSE), file("né" * 300_000)
    tracemalloc.start()
    with open_corpus([str(path)]) as corpus:
        encoder = tokenizer.encoder()
        tokens = sum(len(encoder.push(piece.text)) for piece in corpus.pieces())
    tokens += len(encoder.flush())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tokens >= 1 and peak < path.stat().st_size / 2


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5, deadline=None)
@given(text=st.text(LEGIBLE, max_size=12).map(lambda text: f"né 日本 🎉{text}"))
def test_a9_where_a_character_is_cut_makes_no_difference(kind, text):
    tokenizer = TOKENIZERS[kind]
    whole = tokenizer.encode(text).tolist()
    with pytest.MonkeyPatch.context() as patch:
        for size in range(1, len(text.encode()) + 1):
            patch.setattr(reading, "PIECE", size)
            encoder, ids = tokenizer.encoder(), []
            for piece in corpus_from_text(text).pieces():
                ids += encoder.push(piece.text).tolist()
            assert ids + encoder.flush().tolist() == whole


TOKENIZERS = {kind: learn(kind, PROSE) for kind in KINDS}


@pytest.mark.parametrize(
    "name, why",
    [
        ("/dev/null", "not a file"),
        ("loop", "symbolic links"),
        ("socket", "not a file"),
        ("missing.txt", "No such file"),
        ("book.txt/x", "Not a directory"),
        ("x" * 300, "name too long"),
        ("empty", "no text file in the directory"),
        ("*.nothing", "no file matches"),
    ],
)
@pytest.mark.parametrize("command", ["train", "check"])
def test_a10_what_is_no_file_is_one_sentence(forge, file, tmp_path, command, name, why):
    file(PROSE, "book.txt")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "empty").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "socket"))
        words = [tmp_path / name] + (["--out", tmp_path / "run"] if command == "train" else [])
        code, log, _ = forge.run(command, *words)
    assert code == 3 and is_one_sentence(log) and why in log, log


def test_a10_a_directory_of_odd_things_gives_its_texts(prepared, file, tmp_path):
    (tmp_path / "d").mkdir()
    file(PROSE, "d/a.txt")
    os.mkfifo(tmp_path / "d" / "pipe")
    (tmp_path / "d" / "again").symlink_to(tmp_path / "d")
    (tmp_path / "d" / "loop").symlink_to(tmp_path / "d" / "loop")
    store, log = prepared(tmp_path / "d")
    assert text_of(store) == PROSE.encode() and "skipped 2" in log


@pytest.mark.parametrize("text", ["", PROSE])
def test_a10_a_pipe_is_read_to_its_end(forge, tmp_path, text):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(text,))
    writer.start()
    code, log, _ = forge.run("prepare", tmp_path / "pipe", "--out", tmp_path / "store")
    writer.join()
    assert code == (0 if text else 3), log
    assert not text or text_of(open_store(tmp_path / "store")) == text.encode()


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="there is no /proc here")
def test_a10_a_file_whose_first_bytes_cannot_be_read_is_one_sentence(refused):
    assert "cannot read /proc/self/mem: Input/output error" in refused("/proc/self/mem")


AS_NOBODY = (
    "import os, sys, charlm.cli.check, charlm.language.checking, charlm.language.fit\n"
    "from charlm.cli.main import main\n"
    "if os.geteuid() == 0: os.setuid(65534)\n"
    "sys.exit(sum(main(['check', path]) == 3 for path in sys.argv[1:]))"
)


def test_a10_what_may_not_be_read_is_one_sentence_each(file, tmp_path):
    tmp_path.chmod(0o755)
    for name, mode in (("hidden", 0o000), ("listed", 0o644)):
        (tmp_path / name).mkdir()
        file(PROSE, f"{name}/book.txt")
        (tmp_path / name).chmod(mode)
    file(PROSE, "locked.txt").chmod(0)
    paths = ["locked.txt", "hidden", "hidden/book.txt", "listed", "listed/book.txt"]
    command = [sys.executable, "-c", AS_NOBODY, *paths]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    for name in ("hidden", "listed"):
        (tmp_path / name).chmod(0o755)
    told = done.stderr.splitlines()
    assert done.returncode == len(told) == len(paths) and done.stdout == "", done.stderr
    for path, line in zip(paths, told, strict=True):
        assert line.startswith("error: ") and path in line


@pytest.mark.parametrize("name", [b"caf\xe9.txt", "naïve 🎉\n.txt".encode()])
def test_a10_a_file_may_have_any_name(forge, tmp_path, name):
    path, out = tmp_path / os.fsdecode(name), tmp_path / os.fsdecode(b"run-" + name)
    path.write_text(PROSE)
    words = ["train", path, *SMALL, "--steps", 3, "--save-every", 1, "--out", out]
    fault = {"at": "step", "number": 3, "does": "kill"}
    assert forge.run(*words, fault=fault)[0] == 137
    code, log, _ = forge.run(*words)
    assert code == 0 and "going on from step 2" in log, log
    for command in (["eval", out, path], ["info", out, "--json"]):
        code, log, _ = forge.run(*command)
        assert code == 0, log


def test_a10_a_name_that_a_terminal_would_obey_is_escaped(refused, tmp_path):
    told = refused(tmp_path / "a\n\n\n\n\nb\x1b[31m.txt")
    assert "\x1b" not in told and r"a\n\n\n\n\nb\x1b[31m.txt" in told


def as_zip(data):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", data)
    return buffer.getvalue()


def as_parquet(texts):
    buffer = io.BytesIO()
    table = pyarrow.table({"id": range(len(texts)), "text": pyarrow.array(texts, "string")})
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data, name",
    [
        (as_zip(PROSE), "a zip archive"),
        (bz2.compress(PROSE.encode()), "a bzip2 file"),
        (b"%PDF-1.7\n" + PROSE.encode(), "a PDF document"),
        (gzip.compress(as_zip(PROSE)), "a zip archive"),
        (gzip.compress(gzip.compress(PROSE.encode())), "a binary file"),
        (gzip.compress(os.urandom(3000))[:2000], "ended before"),
        (b"\x1f\x8b" + PROSE.encode(), "cannot read"),
    ],
)
def test_a11_what_a_foreign_file_is_is_told(refused, file, data, name):
    told = refused(file(data))
    assert name in told and "codec" not in told


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, lambda data: as_parquet([data])])
def test_a11_what_can_be_read_is_recognised_whatever_its_name(prepared, file, pack):
    store, _ = prepared(file(pack(PROSE.encode())))
    assert text_of(store) == PROSE.encode()


def grow(path):
    with path.open("a") as stream:
        stream.write("and more of it\n")


def shrink(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    os.truncate(path, 0)


def replace(path):
    path.with_suffix(".new").write_text(path.read_text().swapcase())
    os.utime(path.with_suffix(".new"), (1, 1))
    path.with_suffix(".new").replace(path)


CHANGES = [grow, shrink, empty, replace]


def changing(monkeypatch, path, change, walk):
    """Change a file in the middle of the given walk over it."""
    read, walks = sources.read_bytes, iter(range(1, 100))

    def read_bytes(stream, where):
        now = next(walks)
        for number, data in enumerate(read(stream, where)):
            yield data
            if now == walk and number == 0:
                change(path)

    monkeypatch.setattr(reading, "PIECE", 100)
    monkeypatch.setattr(sources, "read_bytes", read_bytes)


@pytest.mark.parametrize("walk", [1, 2, 3])
@pytest.mark.parametrize("change", CHANGES)
def test_a12_a_change_during_a_walk_is_told(charlm_here, file, tmp_path, monkeypatch, change, walk):
    path = file(PROSE)
    changing(monkeypatch, path, change, walk)
    code, told = charlm_here("prepare", path, "--out", tmp_path / "store")
    assert code == 3 and is_one_sentence(told) and f"{path} changed while it was read" in told
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("change", CHANGES)
def test_a12_a_change_between_two_walks_is_told(charlm_here, file, tmp_path, monkeypatch, change):
    path, learn = file(PROSE), preparation.learn_tokenizer

    def learn_and_change(*arguments, **options):
        tokenizer = learn(*arguments, **options)
        change(path)
        return tokenizer

    monkeypatch.setattr(preparation, "learn_tokenizer", learn_and_change)
    code, told = charlm_here("train", path, "--out", tmp_path / "run")
    assert code == 3 and is_one_sentence(told) and str(path) in told, told
    assert os.listdir(os.environ["CHARLM_CACHE"]) == []


def test_a12_a_file_that_is_gone_is_told(charlm_here, file, tmp_path, monkeypatch):
    path = file(PROSE)
    changing(monkeypatch, path, os.unlink, 2)
    code, told = charlm_here("prepare", path, "--out", tmp_path / "store")
    assert code == 3 and is_one_sentence(told) and str(path) in told, told


@pytest.mark.parametrize("change", [grow, replace])
def test_a12_a_change_before_resuming_is_told(forge, file, tmp_path, change):
    path, out = file(PROSE), tmp_path / "run"
    words = ["train", path, *SMALL, "--steps", 4, "--save-every", 1, "--out", out]
    fault = {"at": "step", "number": 3, "does": "kill"}
    assert forge.run(*words, fault=fault)[0] == 137
    change(path)
    code, log, _ = forge.run(*words, "--resume")
    assert code == 3 and "Traceback" not in log and f"began with: {path}" in log, log
    file(PROSE)
    code, log, _ = forge.run(*words, "--resume")
    assert code == 0 and "going on from step 2" in log, log


def test_a12_a_prepared_corpus_replaced_before_resuming_is_told(forge, prepared, file, tmp_path):
    prepared(file(PROSE))
    words = ["train", tmp_path / "store", *SMALL, "--steps", 4, "--save-every", 1]
    fault = {"at": "step", "number": 3, "does": "kill"}
    assert forge.run(*words, "--out", tmp_path / "run", fault=fault)[0] == 137
    prepared(file(PROSE.swapcase()))
    code, log, _ = forge.run(*words, "--out", tmp_path / "run", "--resume")
    assert code == 3 and is_one_sentence(log) and str(tmp_path / "store") in log, log


BROKEN_LINES = [
    "nonsense",
    '{"text": "never closed',
    '{"id": 1}',
    '{"text": null}',
    '{"text": ["a"]}',
    '{"text": "a", "text": 1}',
    '{"text": "\\ud800"}',
    "[" * 3000,
    "[]",
    "7",
]
json_lines = st.lists(
    st.one_of(
        st.text(min_size=1).map(lambda text: (text, json.dumps({"text": text}))),
        st.sampled_from(BROKEN_LINES).map(lambda line: (None, line)),
        st.just(("", "")),
    ),
    max_size=12,
)


def walk(path, **options):
    with open_corpus([str(path)], ReadOptions(**options)) as corpus:
        return [piece.text for piece in corpus.pieces()], corpus.report()


def holds_of_rows(path, good, broken):
    """Check that the good rows are given, and the broken ones counted, named and refused."""
    texts, report = walk(path)
    assert texts == good and report.broken_rows == len(broken)
    if broken:
        assert f"{path}:{broken[0]}: " in report.broken[0]
        with pytest.raises(CorpusError) as caught:
            walk(path, strict=True)
        assert caught.value.message.startswith(f"{path}:{broken[0]}: ")
    else:
        assert walk(path, strict=True)[0] == good


@settings(max_examples=30, deadline=None)
@given(lines=json_lines)
def test_a13_broken_lines_cost_nothing_but_themselves(scratch, lines):
    lines = [("first", '{"text": "first"}'), *lines]
    path = scratch / "rows.jsonl"
    path.write_text("".join(line + "\n" for _, line in lines))
    good = [text for text, _ in lines if text]
    holds_of_rows(path, good, [n for n, (text, _) in enumerate(lines, 1) if text is None])


def test_a13_a_line_too_long_to_hold_is_skipped(charlm_here, file, tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MAX_ROW", 2000)
    lines = [json.dumps({"text": text}) for text in (PROSE[:1000], "x" * 10_000, PROSE[:1000])]
    path = file("\n".join(lines), "rows.jsonl")
    code, told = charlm_here("prepare", path, "--out", tmp_path / "store")
    assert code == 0 and f"{path}:2: longer than" in told
    assert text_of(open_store(tmp_path / "store")) == 2 * PROSE[:1000].encode()


def test_a13_a_broken_line_is_told_or_refused(prepared, refused, file):
    path = file('{"text": "good"}\n{"text": nope}\n', "rows.jsonl")
    assert f"{path}:2: not JSON" in refused(path, "--strict")
    assert "skipped 1 broken of 2 rows" in prepared(path)[1]


csv_rows = st.lists(
    st.one_of(
        st.text(st.one_of(LEGIBLE, st.sampled_from('\n\r\t",;')), min_size=1).map(
            lambda text: (text, ["1", text])
        ),
        st.sampled_from([["1"], ["1", "a", "b"]]).map(lambda row: (None, row)),
        st.just(("", [])),
    ),
    max_size=12,
)


@settings(max_examples=30, deadline=None)
@given(table=csv_rows)
def test_a14_rows_that_do_not_fit_cost_nothing_but_themselves(scratch, table):
    path, buffer, broken = scratch / "rows.csv", io.StringIO(newline=""), []
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["id", "text"])
    writer.writerow(["0", "first"])
    for text, row in table:
        if text is None:
            broken.append(buffer.getvalue().count("\n") + 1)
        writer.writerow(row)
    path.write_bytes(buffer.getvalue().encode())
    holds_of_rows(path, ["first"] + [text for text, _ in table if text], broken)


@pytest.mark.parametrize(
    "table, why",
    [
        ("id,body\n1,a\n", "no column 'text'"),
        ('id,text\n1,"a\n2,b\n', ":2: a quote is not closed"),
        ("id,text\n1\n", ":2: 1 field where the header has 2"),
        ('"id\n', ":1: the header is not readable"),
        ("text\n", "no text"),
    ],
)
def test_a14_a_table_without_text_is_one_sentence(refused, file, table, why):
    assert why in refused(file(table, "a.csv"))


def test_a15_a_table_cut_anywhere_is_refused():
    whole = as_parquet(["one", "two", "né"])
    for size in range(len(whole)):
        with pytest.raises(CorpusError, match="the table"):
            list(parquet_rows(io.BytesIO(whole[:size]), "the table", "text"))


@settings(max_examples=60, deadline=None)
@given(place=st.integers(min_value=0), flip=st.integers(1, 255))
def test_a15_a_table_damaged_anywhere_is_read_or_refused(place, flip):
    data = bytearray(as_parquet(["one", "two", "né"]))
    data[place % len(data)] ^= flip
    try:
        list(parquet_rows(io.BytesIO(data), "the table", "text"))
    except CorpusError as error:
        assert "the table" in error.message and len(error.message) < 500


@pytest.mark.parametrize(
    "data, why",
    [
        (as_parquet(["one"])[:-8], "a damaged Parquet table"),
        (b"PAR2" + as_parquet(["one"])[4:], "not a Parquet table, for all its name"),
        (as_parquet([]), "no rows"),
        (as_parquet([None]), "not one of the 1 rows"),
    ],
)
def test_a15_a_table_that_is_none_is_one_sentence(refused, file, data, why):
    assert why in refused(file(data, "a.parquet"))


@settings(max_examples=6, deadline=None)
@given(shared=st.integers(0, 40), own=st.integers(1, 40))
def test_a16_the_share_of_held_out_lines_in_the_corpus_is_told(forge, scratch, shared, own):
    (scratch / "train.txt").write_text("".join(f"line number {n}\n" for n in range(40)))
    held_out = [f"line number {n}\n" for n in range(shared)] + [f"other {n}\n" for n in range(own)]
    (scratch / "valid.txt").write_text("".join(held_out))
    words = ["check", scratch / "train.txt", "--valid", scratch / "valid.txt", "--json"]
    value = json.loads(forge.run(*words)[1])
    assert value["overlap"] == pytest.approx(shared / (shared + own))
    assert bool(shared) == any("held-out lines are in" in line for line in value["warnings"])


def test_a16_a_corpus_of_one_line_over_and_over_is_told(forge, file):
    code, log, _ = forge.run("check", file("same\n" * 500))
    assert code == 0 and "100% of the lines stood in the text before" in log


FORGERIES = "<eos> <unk> <|endoftext|> <0x41> x<eos>y <|endoftext|><eos>\n<eos>\n\n <unk>\n"


@pytest.mark.parametrize("kind", KINDS)
def test_a17_text_that_looks_like_a_control_symbol_is_text(prepared, file, kind):
    text = FORGERIES * 100
    store, _ = prepared(file(text), *KINDS[kind])
    boundaries = [int((part.ids == store.tokenizer.boundary_id).sum()) for part in parts_of(store)]
    if kind != "closed":
        assert boundaries == [2, 2] and text_of(store) == text.encode()
        return
    assert sum(boundaries) == text.count("\n") + 2
    unknown = sum(part.counts().unknown_tokens for part in parts_of(store))
    assert unknown == sum(word in ("<unk>", "<eos>") for word in text.split())


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(
    text=st.lists(st.one_of(st.text(max_size=3), st.sampled_from(FORGERIES.split()))).map("".join)
)
def test_a17_no_text_makes_a_boundary(kind, text):
    tokenizer = FORGED[kind]
    ids = tokenizer.encode(text).tolist()
    assert ids.count(tokenizer.boundary_id) == (text.count("\n") if kind == "closed" else 0)


FORGED = {kind: learn(kind, FORGERIES * 100) for kind in KINDS}

ODD = [
    "e\u0301", "\u00e9", "n\u0303", "\u00f1", "\u1112\u1161\u11ab", "\ud55c", "\u212b", "\u00c5",
    "👩\u200d👩\u200d👧", "🇩🇪", "👍🏽", "שָׁלוֹם", "مرحبا", "\u202e", "ก็", "ﬁ", "ß", "İ", "\u0345",
    "𝔘", "\ufeff", "\ufffd", "\U0010ffff",
]  # fmt: skip
odd_texts = st.lists(st.one_of(st.sampled_from(ODD), st.text(LEGIBLE, max_size=3))).map("".join)


@settings(max_examples=6, deadline=None)
@given(text=st.lists(odd_texts, min_size=5).map(" ".join))
def test_a18_any_script_comes_back_from_byte_pairs(scratch, text):
    corpus = corpus_from_text(f"a{text}")
    store = prepare(corpus, TokenizerChoice("bpe", 300), scratch / "store", replace=True)
    assert text_of(store).decode() == f"a{text}"


@pytest.mark.parametrize("kind", LOSSLESS)
@settings(max_examples=40, deadline=None)
@given(text=odd_texts)
def test_a18_forms_that_look_alike_stay_apart(kind, text):
    ids = [TOKENIZERS[kind].encode(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")]
    same = unicodedata.normalize("NFC", text) == unicodedata.normalize("NFD", text)
    assert (ids[0].tolist() == ids[1].tolist()) == same


def test_a19_byte_pairs_are_learned_from_a_sample_and_that_is_said(
    charlm_here, file, tmp_path, monkeypatch
):
    seen, train = [], learning.learn_merges

    def learn_merges(sample, vocab_size):
        seen.extend(sample)
        return train(sample, vocab_size)

    monkeypatch.setattr(reading, "PIECE", 500)
    monkeypatch.setattr(learning, "BPE_SAMPLE", 5000)
    monkeypatch.setattr(learning, "learn_merges", learn_merges)
    text = "".join(f"{PROSE[:67]}{n}\n" for n in range(400))
    words = ["prepare", file(text), *KINDS["bpe"], "--out", tmp_path / "store"]
    code, told = charlm_here(*words)
    assert code == 0 and 4500 <= sum(map(len, seen)) <= 5000
    assert f"from {sum(map(len, seen)):,} of " in told
    assert text.index(seen[0]) < 0.2 * len(text) < 0.7 * len(text) < text.index(seen[-1])


def test_a19_no_count_of_a_pair_outgrows_32_bits():
    assert 4 * learning.BPE_SAMPLE < 2**31


@settings(max_examples=50, deadline=None)
@given(text=st.text("abcé \n", min_size=4, max_size=300))
def test_a19_the_most_frequent_pair_is_merged_first(text):
    pairs = Counter(
        symbols[i : i + 2]
        for symbols in map(to_byte_level, find_pretokens(text))
        for i in range(len(symbols) - 1)
    )
    merges = learning.learn_merges([text], 258)
    if not pairs or max(pairs.values()) < 2:
        assert merges == []
    else:
        assert pairs["".join(merges[0])] == max(pairs.values())


@pytest.mark.parametrize(
    "kind, size",
    [("char", 10**30), ("word", 10**6), ("closed", 10**6), ("bpe", 10**30)],
)
def test_a20_a_vocabulary_is_no_larger_than_the_text_allows(forge, checked, tmp_path, kind, size):
    book, out = forge.folder / "book.txt", tmp_path / "run"
    options = [*KINDS[kind], "--vocab-size", size]
    code, log, _ = forge.run("train", book, *options, *SMALL, "--steps", 1, "--out", out)
    assert code == 0, log
    config = json.loads((out / "config.json").read_text())
    lm = charlm.load(out)
    assert config["vocab_size"] == lm.tokenizer.vocab_size < 400
    assert lm.predictor.prediction(lm.predictor.start(1)).log_probs().shape == (
        1,
        lm.tokenizer.vocab_size,
    )
    assert checked(book, *options)["training"]["vocab_size"] == lm.tokenizer.vocab_size


@pytest.mark.parametrize("kind, size", [("char", 257), ("word", 1), ("bpe", 257), ("closed", 2)])
def test_a20_a_vocabulary_without_room_is_a_mistake(refused, file, kind, size):
    assert "too small" in refused(file(PROSE), *KINDS[kind], "--vocab-size", size, code=2)


@pytest.mark.parametrize("command", ["train", "check", "eval"])
def test_a_prepared_directory_is_never_read_as_text(forge, model, tmp_path, command):
    prepared, book = tmp_path / "texts" / "prepared", forge.folder / "book.txt"
    assert forge.run("prepare", book, "--tokenizer", "char", "--out", prepared)[0] == 0
    words = [command, model] if command == "eval" else [command, book]
    code, log, _ = forge.run(*words, prepared)
    assert code == 2 and "is prepared already" in log, log
    code, log, _ = forge.run(command, *words[1:][: command == "eval"], tmp_path / "texts")
    assert code == 3 and "is prepared already" in log, log


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a9_text_without_the_mark_that_its_encoding_begins_with(forge, tmp_path, encoding):
    (tmp_path / "a.txt").write_bytes(b"plain text, and some more of it\n" * 20)
    code, log, _ = forge.run("check", tmp_path / "a.txt", "--encoding", encoding)
    assert code == 3 and f"is not {encoding.upper()}" in log and "Traceback" not in log, log


def test_a_flipped_byte_of_a_prepared_corpus_is_noticed(forge, tmp_path):
    prepared = tmp_path / "prepared"
    words = ["prepare", forge.folder / "book.txt", "--tokenizer", "char", "--out", prepared]
    assert forge.run(*words)[0] == 0
    data = bytearray((prepared / "train.bin").read_bytes())
    data[100] ^= 1
    (prepared / "train.bin").write_bytes(data)
    words = ["train", prepared, *SMALL, "--steps", 2, "--out", tmp_path / "run"]
    code, log, _ = forge.run(*words)
    assert code == 3 and "train.bin is damaged" in log, log
