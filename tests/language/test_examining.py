"""eval --html and --plot: files written whole or not at all, by any predictor of any tokenizer."""

import errno
import json
import re
import sys

import pytest

from charlm import load
from charlm.cli.main import main
from charlm.errors import DiskError
from charlm.evaluation import page as pages
from charlm.language import examining as module
from charlm.language.examining import Examined, Wanted, examine
from charlm.storage import system
from tests.pictures import Reader, size_of

LINES = "the cat sat on the mat, née in 1999\n"
SMALL = ["--steps", "20", "--hidden", "16", "--embed", "8", "--batch", "4", "--bptt", "12"]
SMALL += ["--lr", "0.01", "--threads", "1"]


def trained(folder, *words):
    (folder / "book.txt").write_text(LINES * 60)
    assert (
        main(["train", str(folder / "book.txt"), "--out", str(folder / "run"), *SMALL, *words]) == 0
    )
    return folder / "run"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("pictures"), "--tokenizer", "byte")


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    words = ["--tokenizer", "word", "--unknown", "unk", "--documents", "line"]
    return trained(tmp_path_factory.mktemp("closed"), *words)


@pytest.fixture
def say(capsys):
    def run(*words):
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


def text_of(path):
    return "".join(Reader(path.read_text("utf-8")).text)


def test_the_page_shows_the_text_and_the_plot_is_a_png(say, model, tmp_path):
    pytest.importorskip("matplotlib")
    text = "a née <b> cat\r\nsat\t\n"
    (tmp_path / "new.txt").write_bytes(text.encode())
    html, plot = tmp_path / "page.html", tmp_path / "plot.png"
    html.write_text("the old page")
    plain = say("eval", model, tmp_path / "new.txt", "--json")
    drawn = say("eval", model, tmp_path / "new.txt", "--html", html, "--plot", plot, "--json")
    assert drawn == plain and plain[0] == 0
    assert text_of(html) == text
    source = html.read_text()
    assert f"bits per byte<dd>{json.loads(plain[1])['bits_per_byte']:.4f}" in source
    assert "new.txt</bdi>, as read by <bdi>run" in source
    (wide, _), _ = size_of(plot.read_bytes())
    (model_alone := tmp_path / "alone").mkdir()
    for file in model.iterdir():
        if file.is_file() and file.name != "metrics.jsonl":
            (model_alone / file.name).write_bytes(file.read_bytes())
    assert say("eval", model_alone, tmp_path / "new.txt", "--plot", plot)[0] == 0
    assert size_of(plot.read_bytes())[0][0] == wide / 2
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [
        "new.txt", "page.html", "plot.png"
    ]  # fmt: skip


def test_the_tokens_on_the_page_cost_what_the_text_costs(model, tmp_path):
    for predictor in ("network", "counts", "network+counts+cache"):
        lm = load(model)
        (tmp_path / "a.txt").write_text(LINES)
        page = tmp_path / "page.html"
        found = examine(lm, [str(tmp_path / "a.txt")], Wanted(html=page), predictor=predictor)
        assert found.evaluation.predictor == predictor
        titles = [values["title"] for values, _ in Reader(page.read_text()).tokens]
        bits = sum(float(re.match(r"[\d.]+", title).group()) for title in titles)
        assert bits == pytest.approx(found.evaluation.nats / 0.6931472, abs=0.006 * len(titles))


def test_without_a_file_it_is_the_held_out_text(say, closed, tmp_path):
    assert say("eval", closed, "--html", tmp_path / "page.html", "--predictor", "best")[0] == 0
    source = (tmp_path / "page.html").read_text()
    assert "held-out text</bdi>, as read by" in source and "bits per byte" not in source
    text = text_of(tmp_path / "page.html")
    assert text.count("\n") == source.count("class=next") + 1 > 3
    assert text.startswith("the cat sat on the mat, née in 1999\n")


def test_several_files_are_several_texts(say, model, tmp_path):
    names = [tmp_path / f"{name}.txt" for name in "abcd"]
    for name in names:
        name.write_text(name.stem * 3)
    assert say("eval", model, *names, "--html", tmp_path / "page.htm")[0] == 0
    assert text_of(tmp_path / "page.htm") == "aaabbbcccddd"
    assert "a.txt, b.txt, c.txt and 1 more" in (tmp_path / "page.htm").read_text()


def test_a_plot_counts_what_a_page_has_no_room_for(say, model, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    seen = []
    monkeypatch.setattr(pages, "MOST_TOKENS", 5)
    plot = module.evaluation_plot
    monkeypatch.setattr(module, "evaluation_plot", lambda *a: seen.append(a[0]) or plot(*a))
    (tmp_path / "a.txt").write_text(LINES)
    words = ["--html", tmp_path / "a.html", "--plot", tmp_path / "a.png"]
    assert say("eval", model, tmp_path / "a.txt", *words)[0] == 0
    assert seen[0].total == len(LINES.encode())
    assert len(Reader((tmp_path / "a.html").read_text()).tokens) == 5


def test_a_name_that_is_no_pictures_is_refused(say, model, tmp_path):
    book = tmp_path / "book.txt"
    book.write_text("precious")
    for option, ending in (("--html", ".html"), ("--plot", ".png")):
        code, out, err = say("eval", model, option, book)
        assert (code, out) == (2, "") and ending in err and "book.txt" in err
    assert book.read_text() == "precious"
    assert say("eval", model, "--html", "")[0] == 2


def test_without_matplotlib_nothing_is_begun(say, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = say("eval", model, "--plot", tmp_path / "a.png")
    assert (code, out) == (2, "")
    assert "pip install 'charlm-toolkit[plot]'" in err


def test_what_cannot_be_written_is_5_and_leaves_nothing(say, model, tmp_path, monkeypatch):
    (tmp_path / "folder.html").mkdir()
    for name in ("folder.html", "none/page.html"):
        code, out, err = say("eval", model, "--html", tmp_path / name)
        assert (code, out) == (5, "") and "cannot write" in err
    page = tmp_path / "page.html"
    page.write_text("old")

    def full(stream, data, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(system, "write", full)
    code, out, err = say("eval", model, "--html", page)
    assert (code, out) == (5, "") and "No space left" in err
    assert page.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"folder.html", "page.html"}


def test_interrupted_on_the_way_it_leaves_the_old_page(model, tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    page.write_text("old")

    def stop(*rest):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "token_scores", stop)
    with pytest.raises(KeyboardInterrupt):
        examine(load(model), [], Wanted(html=page))
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert page.read_text() == "old"


def test_a_link_stays_one_and_a_device_is_no_file(model, tmp_path):
    (tmp_path / "link.html").symlink_to(tmp_path / "page.html")
    examine(load(model), [], Wanted(html=tmp_path / "link.html"))
    assert (tmp_path / "link.html").is_symlink() and (tmp_path / "page.html").is_file()
    (tmp_path / "null.html").symlink_to("/dev/null")
    with pytest.raises(DiskError, match="not a file"):
        examine(load(model), [], Wanted(html=tmp_path / "null.html"))


def test_a_damaged_log_is_told_before_the_work(say, model, tmp_path):
    pytest.importorskip("matplotlib")
    log = model / "metrics.jsonl"
    before = log.read_bytes()
    try:
        log.write_text("what is this\n")
        code, out, err = say("eval", model, "--plot", tmp_path / "a.png")
    finally:
        log.write_bytes(before)
    assert (code, out) == (4, "") and "metrics.jsonl, line 1" in err


def test_rows_add_up_to_the_evaluation(say, model, tmp_path):
    (tmp_path / "new.txt").write_text(LINES * 3)
    for by, number in (("token", len(LINES.encode()) * 3), ("line", 3), ("document", 1)):
        code, out, err = say("eval", model, tmp_path / "new.txt", "--by", by, "--json")
        found = json.loads(out)
        assert code == 0 and err == "" and len(found["by"]) == number
        total = sum(row["nats"] for row in found["by"])
        assert total == pytest.approx(found["nats"], rel=1e-4)
    code, out, err = say("eval", model, tmp_path / "new.txt", "--by", "line", "--predictor", "best")
    assert out.splitlines()[0].split("\t")[0] == "line" and len(out.splitlines()) == 4
    assert "bits per byte" in err


@pytest.mark.parametrize("rows", [[{"token": "é"}, {"token": "b"}, {"token": "c"}], []])
def test_rows_are_out_before_the_next_one_comes_also_in_json(
    say, model, tmp_path, monkeypatch, capsys, rows
):
    plain, out = json.loads(say("eval", model, "--json")[1]), []

    def examine(model, paths, wanted, *, emit, **keywords):
        for row in rows:
            emit(row)
            out.append(capsys.readouterr().out)
        return Examined(model.evaluate())

    monkeypatch.setattr(module, "examine", examine)
    end = say("eval", model, "--by", "token", "--json")[1]
    assert [json.loads(piece[piece.index('{"t') :]) for piece in out] == rows
    assert json.loads("".join([*out, end])) == plain | {"by": rows}


def test_accuracy_and_keystrokes_stand_under_the_table_and_in_the_json(say, model, closed):
    plain = json.loads(say("eval", model, "--json")[1])
    code, out, _ = say("eval", model, "--accuracy", "--keystrokes", 1, "--json")
    found = json.loads(out)
    assert code == 0 and {name: found[name] for name in plain} == plain
    assert 0 < found["top1_accuracy"] < found["top5_accuracy"] < 1 and found["entropy"] > 0
    assert found["keystrokes_saved"] < 1 and found["words_typed"] == 1
    out = say("eval", closed, "--accuracy", "--keystrokes", 2, "--predictor", "best")[1]
    assert "top-5 accuracy" in out and "keystrokes saved" in out


def test_wrong_options_are_told(say, model):
    assert say("eval", model, "--by", "word")[0] == 2
    assert say("eval", model, "--keystrokes", 0)[0] == 2
