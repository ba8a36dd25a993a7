"""Options from a file: over a preset's, under the command line's, and every mistake a sentence."""

import json

import pytest

from charlm.cli.main import main
from charlm.errors import UsageError
from charlm.language.recipe import read_config, request_from
from charlm.language.request import TrainRequest


@pytest.fixture
def config(tmp_path):
    """Write a file of options; give its path."""

    def write(text):
        path = tmp_path / "run.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return write


def test_a_files_options_are_those_of_the_command_line(config):
    path = config(
        'tokenizer = "word"\nunknown = "unk"\nhidden = 40\nlr = 1\nweight-dropout = 0.3\n'
        'tie = false\nsave_every = 50\naverage = 0.2\nvalid = "other.txt"\n'
    )
    assert request_from({"config": path}) == TrainRequest(
        tokenizer="word", unknown="unk", hidden=40, lr=1, weight_dropout=0.3, tie=False,
        save_every="50", average="0.2", valid="other.txt",
    )  # fmt: skip


def test_the_command_line_counts_before_the_file_and_the_file_before_the_preset(config):
    path = config('preset = "awd-ptb"\nhidden = 40\nlayers = 2\nsteps = 9\ndropout = 0.1\n')
    request = request_from({"config": path, "layers": 1})
    assert (request.layers, request.hidden, request.embed) == (1, 40, 400)
    assert (request.steps, request.epochs) == (9, None)
    assert (request.dropout, request.input_dropout) == (0.1, None)
    request = request_from({"config": path, "preset": "zaremba-small", "epochs": 2.0})
    assert (request.hidden, request.embed, request.epochs) == (40, 200, 2.0)
    assert request.steps is None


def test_a_byte_order_mark_and_an_empty_file_are_no_mistakes(config):
    assert request_from({"config": config(b"\xef\xbb\xbfseed = 4\n")}).seed == 4
    assert request_from({"config": config("")}) == TrainRequest()


@pytest.mark.parametrize(
    "text, message, hint",
    [
        ("weight_dropot = 0.3", "no option 'weight_dropot'", "did you mean 'weight_dropout'?"),
        ("config = 'other.toml'", "no option 'config'", None),
        ("[network]\nhidden = 3", "no option 'network'", None),
        ("hidden = '3'", "option 'hidden' cannot be '3'", "a whole number"),
        ("hidden = 3.0", "option 'hidden' cannot be 3.0", "a whole number"),
        ("lr = 'fast'", "option 'lr' cannot be 'fast'", "a number"),
        ("tie = 1", "option 'tie' cannot be 1", "true or false"),
        ("cell = 'lstn'", "option 'cell' cannot be 'lstn'", "one of lstm, gru, rnn"),
        ("valid = 3", "option 'valid' cannot be 3", "a text"),
        ("seed = 2020-01-01", "option 'seed' cannot be", "a whole number"),
        ("preset = 3", "option 'preset' cannot be 3", "a text"),
        ("preset = 'awd'", "no preset 'awd'", None),
        ("lr = nan", "lr must be above 0", None),
        ("steps = 3\nminutes = 2", "minutes and steps cannot be given together", None),
        ("lr = 1\nl-r = 2", "no option 'l_r'", None),
        ("weight-dropout = 0.1\nweight_dropout = 0.2", "gives 'weight_dropout' twice", None),
        ("seed = \n", "is not TOML: Invalid value .at line 1", None),
        pytest.param("seed = " + "9" * 5000, "is not TOML", None, id="a long number"),
        (b"seed = 1 # \xff", "is not UTF-8: invalid byte at offset 11", None),
        pytest.param("x = " + "[" * 100_000, "is not TOML", None, id="a deep list"),
    ],
)
def test_every_mistake_in_a_file_is_a_sentence(config, text, message, hint):
    with pytest.raises(UsageError, match=message) as caught:
        request_from({"config": config(text)})
    assert hint is None or hint in caught.value.hint


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(UsageError, match="cannot read"):
            read_config(path)


def test_commands_take_presets_and_files(config, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CHARLM_CACHE", str(tmp_path / "cache"))
    book, out = tmp_path / "book.txt", tmp_path / "run"
    book.write_text("the cat sat on the mat\n" * 90)
    small = (
        'preset = "char-ptb"\nhidden = 12\nembed = 8\nlayers = 1\nbatch = 4\nbptt = 8\nsteps = 9'
    )
    words = ["--config", config(small + "\nthreads = 1\n")]
    assert main(["check", str(book), "--json", *words]) == 0
    assert json.loads(capsys.readouterr().out)["training"]["hidden"] == 12
    assert main(["prepare", str(book), "--out", str(tmp_path / "store"), *words]) == 0
    assert main(["train", str(book), "--out", str(out), "--seed", "7", *words]) == 0
    run = json.loads((out / "config.json").read_text())["run"]
    assert (run["steps"], run["request"]["seed"]) == (9, 7)
    capsys.readouterr()
    assert main(["train", "--config", config("hiden = 3")]) == 2
    error = capsys.readouterr().err
    assert "no option 'hiden'" in error and "did you mean 'hidden'?" in error
