"""Rows: each is a document, a broken one is skipped and told, and nothing else is lost."""

import csv
import gzip
import io
import json
import lzma

import pyarrow
import pyarrow.parquet
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from charlm.errors import CorpusError, UsageError
from charlm.text import hub, rows
from charlm.text.documents import Piece
from charlm.text.finding import open_corpus
from charlm.text.formats import format_of
from charlm.text.rows import cut_lines, json_rows
from charlm.text.sources import ReadOptions
from charlm.text.tables import csv_rows

TEXTS = ["One line.\n", 'Two, "quoted"\nlines\u2028here.', "Привет 🎉\r\n", "\ttab; and comma,"]


def walk(*paths, **options):
    with open_corpus([str(p) for p in paths], ReadOptions(**options)) as corpus:
        return list(corpus.pieces()), corpus.report()


def texts(*paths, **options):
    return [piece.text for piece in walk(*paths, **options)[0]]


def refusal(*paths, **options):
    with pytest.raises(CorpusError) as caught:
        walk(*paths, **options)
    return f"{caught.value.message} / {caught.value.hint}"


def jsonl(values, column="text"):
    return "".join(json.dumps({"id": i, column: v}) + "\n" for i, v in enumerate(values)).encode()


def separated(values, column="text", **dialect):
    buffer = io.StringIO()
    writer = csv.writer(buffer, **dialect)
    writer.writerow(["id", column])
    writer.writerows([i, value] for i, value in enumerate(values))
    return buffer.getvalue().encode()


def parquet(values, column="text", **options):
    buffer = io.BytesIO()
    table = pyarrow.table({"id": range(len(values)), column: values})
    pyarrow.parquet.write_table(table, buffer, **options)
    return buffer.getvalue()


FORMS = {
    "a.jsonl": jsonl,
    "a.ndjson": jsonl,
    "a.csv": separated,
    "a.tsv": lambda values, column="text": separated(values, column, delimiter="\t"),
    "a.parquet": parquet,
}
COMPRESSIONS = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


@pytest.fixture
def file(tmp_path):
    def make(data, name):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return make


@pytest.mark.parametrize("ending", COMPRESSIONS)
@pytest.mark.parametrize("name", FORMS)
def test_each_row_is_a_document_whatever_the_form_and_compression(file, name, ending):
    path = file(COMPRESSIONS[ending](FORMS[name](TEXTS)), name + ending)
    pieces, report = walk(path)
    assert pieces == [Piece(text, True) for text in TEXTS]
    assert (report.rows, report.broken_rows) == (len(TEXTS), 0) and report.lines() == []


@pytest.mark.parametrize("name", FORMS)
def test_another_column_is_named_by_the_option(file, name):
    path = file(FORMS[name](TEXTS, "body"), name)
    assert texts(path, text_column="body") == TEXTS
    assert "no column 'text'" in refusal(path) and "id, body" in refusal(path)
    assert "--text-column" in refusal(path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_the_only_column_of_strings_is_named_in_the_hint(file, name):
    assert "--text-column body" in refusal(file(FORMS[name](TEXTS, "body"), name))


def test_a_text_column_needs_a_name():
    with pytest.raises(UsageError, match="text_column"):
        ReadOptions(text_column="")


@pytest.mark.parametrize("documents", ["line", "blank"])
def test_a_row_is_split_further_on_request(file, documents):
    path = file(jsonl(["a\n\nb\n", "c"]), "a.jsonl")
    pieces = walk(path, documents=documents)[0]
    assert "".join(piece.text for piece in pieces) == "a\n\nb\nc"
    starts = [piece.text for piece in pieces if piece.starts_document]
    assert starts == (["a\n", "\n", "b\n", "c"] if documents == "line" else ["a\n\n", "b\n", "c"])


@pytest.mark.parametrize("name", FORMS)
def test_raw_reading_leaves_a_table_as_it_is(file, name):
    data = FORMS[name](TEXTS)
    assert b"".join(texts(file(data, name), raw=True)) == data


def test_tables_and_texts_mix_in_a_directory(file, tmp_path):
    file(jsonl(["from json"]), "d/a.jsonl")
    file(parquet(["from parquet"]), "d/b.parquet")
    file("from text", "d/c.txt")
    file(separated(["from csv"]), "d/d.CSV")
    expected = ["from json", "from parquet", "from text", "from csv"]
    assert texts(tmp_path / "d") == expected
    assert sorted(texts(tmp_path / "d" / "*")) == sorted(expected)


@pytest.mark.parametrize(
    "name, form",
    [("a.txt", "text"), ("a.JSONL.gz", "jsonl"), ("b.csv.xz", "csv"), ("c.gz", "text")],
)
def test_the_form_is_told_from_the_name(name, form):
    assert format_of(name) == form


def test_parquet_is_recognised_by_its_magic_too(file):
    assert texts(file(parquet(TEXTS), "table.dat")) == TEXTS


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=20), min_size=1, max_size=8), st.integers(1, 9))
def test_where_the_pieces_end_makes_no_difference(values, size):
    for read, data in ((json_rows, jsonl(values)), (csv_rows, separated(values))):
        if read is csv_rows and any("\0" in value for value in values):
            continue
        whole = data.decode("utf-8")
        pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
        assert [row.text for row in read(pieces, "x", "text")] == values


def test_lines_are_cut_as_a_split_would():
    assert list(cut_lines(["a\nb", "c\n\n", "d"])) == ["a", "bc", "", "d"]


@pytest.mark.parametrize(
    "line, why",
    [
        ("nonsense", "not JSON"),
        ('{"text": "x"', "not JSON"),
        ('{"id": 1}', "no field 'text'"),
        ('{"text": null}', "'text' is null"),
        ('{"text": 3}', "'text' is a number, not a string"),
        ('{"text": {"a": 1}}', "'text' is an object, not a string"),
        ("[1, 2]", "a list, not an object"),
        ('"text"', "a string, not an object"),
        ("[" * 100_000, "nested too deeply"),
        ('{"text": "\\ud83d"}', "surrogate pair, U+D83D"),
        ('{"text": "a\0b"}', "not JSON"),
    ],
)
def test_a_broken_line_of_json_is_skipped_and_placed(file, line, why):
    path = file(jsonl(["good"]) + line.encode() + b"\r\n\n" + jsonl(["better"]), "a.jsonl")
    pieces, report = walk(path)
    assert [piece.text for piece in pieces] == ["good", "better"]
    assert (report.rows, report.broken_rows) == (3, 1)
    assert "a.jsonl:2: " in report.lines()[0] and why in report.lines()[0]
    assert "a.jsonl:2: " in refusal(path, strict=True) and why in refusal(path, strict=True)


def test_numbers_of_any_length_do_no_harm(file):
    path = file('{"n": ' + "9" * 10_000 + ', "text": "good"}\n', "a.jsonl")
    assert texts(path) == ["good"]


def test_of_a_field_given_twice_the_last_counts(file):
    assert texts(file('{"text": "a", "text": "b"}\n', "a.jsonl")) == ["b"]


@pytest.mark.parametrize("size", [7, 64, 1000])
def test_a_row_that_is_too_long_is_skipped(monkeypatch, size):
    monkeypatch.setattr(rows, "MAX_ROW", 300)
    whole = jsonl(["a", "x" * 400, "b"]).decode()
    pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
    found = list(json_rows(pieces, "x", "text"))
    assert [row.text for row in found] == ["a", None, "b"] and "longer than" in found[1].why
    whole = separated(["a", "x" * 400, "b"]).decode()
    pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
    found = list(csv_rows(pieces, "x", "text"))
    assert [(row.number, row.text) for row in found] == [(2, "a"), (3, None), (4, "b")]


def test_many_broken_rows_are_counted_and_a_few_named(file):
    report = walk(file(b"x\n" * 9 + jsonl(["good"]), "a.jsonl"))[1]
    assert report.broken_rows == 9 and len(report.broken) == 3
    assert "9 broken of 10 rows" in report.lines()[0] and "and 6 more" in report.lines()[0]


def test_a_file_without_one_good_row_is_refused(file):
    said = refusal(file("plain text\nby another name\n", "a.jsonl"))
    assert "not one of the 2 rows" in said and "a.jsonl:1" in said


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_marks_line_ends_and_invalid_bytes_are_as_in_any_text(file, name):
    good = ["good"] * 500
    data = b"\xef\xbb\xbf" + FORMS[name](good).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    pieces, report = walk(file(data + FORMS[name](["caf\xe9"])[-3:], name))
    assert [piece.text for piece in pieces[:500]] == good and report.byte_order_marks == 1
    broken = data.replace(b"good", b"go\xffd", 1)
    pieces, report = walk(file(broken, name))
    assert pieces[0].text == "go\ufffdd" and report.invalid_bytes == 1


def test_tables_in_other_encodings_are_read_with_the_option(file):
    path = file(separated(["Größe"] * 20).decode().encode("latin-1"), "a.csv")
    assert "--encoding" in refusal(path)
    assert texts(path, encoding="latin-1") == ["Größe"] * 20


def test_csv_rows_that_do_not_fit_the_header_are_skipped(file):
    path = file("id,text\n1,a\n\n2\n3,b,c\n4,d\0e\n5,\n6," + "f" * 100 + "\n", "a.csv")
    pieces, report = walk(path)
    assert [piece.text for piece in pieces] == ["a", "f" * 100] and report.broken_rows == 3
    assert "a.csv:4: 1 field where the header has 2" in report.broken[0]
    assert "a.csv:5: 3 fields" in report.broken[1] and "a.csv:6: a NUL" in report.broken[2]


def test_a_row_of_csv_is_numbered_by_its_first_line(file):
    path = file('id,text\n1,"a\nb\nc"\n2\n3,d\n', "a.csv")
    assert "a.csv:5: " in walk(path)[1].broken[0]


def test_a_quote_never_closed_is_told_with_what_it_took(file):
    pieces, report = walk(file('id,text\n1,a\n2,"b\n3,c\n4,d\n', "a.csv"))
    assert [piece.text for piece in pieces] == ["a"]
    assert "a.csv:3: a quote is not closed; it took all up to the last line, 5" in report.broken[0]


@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_the_separator_is_the_one_with_which_the_header_has_the_column(file, separator):
    path = file(separated(["a", "b, c"], delimiter=separator), "a.csv")
    assert texts(path) == ["a", "b, c"]


def test_old_line_ends_and_a_header_in_quotes_are_read(file):
    assert texts(file('"id","text"\r1,a\r2,b\r', "a.csv")) == ["a", "b"]


def test_an_empty_table_holds_no_text(file):
    assert texts(file("id,text\n", "a.csv"), file("", "b.jsonl"), file("", "c.csv")) == []


def test_parquet_values_that_are_no_text_are_skipped(file):
    report = walk(file(parquet(["a", None, "b"]), "a.parquet"))[1]
    assert report.broken_rows == 1 and "a.parquet:2: 'text' is null" in report.broken[0]
    broken = pyarrow.array([b"good", b"\xff\xfe"]).view(pyarrow.string())
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": broken}), buffer)
    report = walk(file(buffer.getvalue(), "b.parquet"))[1]
    assert "b.parquet:2: 'text' is not UTF-8" in report.broken[0]


def test_parquet_dictionaries_and_large_strings_are_texts(file):
    for values in (
        pyarrow.array(TEXTS).dictionary_encode(),
        pyarrow.array(TEXTS, pyarrow.large_string()),
    ):
        buffer = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table({"text": values}), buffer, row_group_size=3)
        assert texts(file(buffer.getvalue(), "a.parquet")) == TEXTS


def test_a_parquet_column_of_numbers_is_no_text(file):
    said = refusal(file(parquet(["a"], "body"), "a.parquet"), text_column="id")
    assert "holds int64" in said and "body" in said


def test_a_local_dataset_is_read_through_the_library(file, tmp_path, monkeypatch):
    file(jsonl(TEXTS), "d/train.jsonl")
    assert texts(f"hf:{tmp_path / 'd'}") == TEXTS
    monkeypatch.chdir(tmp_path)
    pieces, report = walk("hf:./d")
    assert all(piece.starts_document for piece in pieces) and report.rows == len(TEXTS)
    assert texts("hf:./d", raw=True) == [text.encode() for text in TEXTS]
    before = open_corpus(["hf:./d"]).fingerprint()
    file(jsonl(["other"]), "d/train.jsonl")
    assert open_corpus(["hf:./d"]).fingerprint() != before


def test_a_saved_dataset_is_read_too(tmp_path):
    import datasets

    datasets.Dataset.from_dict({"text": TEXTS}).save_to_disk(tmp_path / "saved")
    assert texts(f"hf:{tmp_path / 'saved'}") == TEXTS


@pytest.mark.parametrize(
    "words, told",
    [
        ("hf:", "names no dataset"),
        ("hf:a:b:c:d", "names no dataset"),
        ("hf:./nothing", "no directory"),
        ("hf:{}:nope", "nope"),
        ("hf:{}::validation", "validation"),
    ],
)
def test_a_dataset_that_is_not_there_is_one_sentence(file, tmp_path, words, told):
    file(jsonl(TEXTS), "d/train.jsonl")
    assert told in refusal(words.format(tmp_path / "d"))


def test_a_hub_out_of_reach_is_one_sentence(monkeypatch):
    import huggingface_hub

    def unreachable(self, name, timeout):
        assert timeout == hub.SECONDS
        raise OSError("Name or service not known")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", unreachable)
    said = refusal("hf:somebody/something")
    assert "cannot reach the Hub" in said and "HF_HUB_OFFLINE" in said


def test_a_dataset_of_the_hub_is_pinned_to_its_revision(file, tmp_path, monkeypatch):
    import datasets
    import huggingface_hub

    class Info:
        sha = "abc"

    asked = []

    def load(path, config, **options):
        asked.append((path, config, options))
        return datasets.Dataset.from_dict({"text": TEXTS}).to_iterable_dataset()

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: Info())
    monkeypatch.setattr(datasets, "load_dataset", load)
    with open_corpus(["hf:some/thing:cfg:test"]) as corpus:
        assert [piece.text for piece in corpus.pieces()] == TEXTS
        assert [piece.text for piece in corpus.pieces()] == TEXTS
        assert "abc" in str(corpus.fingerprint())
    options = {"split": "test", "revision": "abc", "streaming": True}
    assert asked == [("some/thing", "cfg", options)]
