"""The command line: exit codes, one-sentence errors, clean output, and no traceback ever."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from charlm import load
from charlm.cli.commands import NAMES
from charlm.cli.main import main, make_parser

SMALL = ["--steps", "30", "--hidden", "24", "--embed", "12", "--batch", "8"]
SMALL += ["--bptt", "16", "--lr", "0.01", "--threads", "1"]


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    (folder / "book.txt").write_text("the cat sat on the mat and the dog sat too\n" * 60)
    out = str(folder / "run")
    assert main(["train", str(folder / "book.txt"), "--out", out, *SMALL]) == 0
    return out


@pytest.fixture
def say(capsys):
    """Run a command line; give exit code, standard output and standard error."""

    def run(*words):
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


def refused(result, code, *words):
    got, out, err = result
    assert got == code, err
    assert out == ""
    lines = [line for line in err.splitlines() if line]
    assert 1 <= len(lines) <= 5 and any(line.startswith("error: ") for line in lines)
    for word in words:
        assert word in err
    assert "usage:" not in err


def test_training_prints_a_table_a_sample_and_the_model(say, text_file, tmp_path):
    code, out, err = say("train", text_file, "--out", tmp_path / "run", *SMALL)
    assert code == 0
    for word in ("bits per byte", "word perplexity", "sample", str(tmp_path / "run")):
        assert word in out
    assert "prepared" in err and "bits per byte" in err


def test_json_is_one_object_and_nothing_else(say, text_file, tmp_path, model):
    _, out, _ = say("train", text_file, "--out", tmp_path / "run", "--json", *SMALL)
    assert json.loads(out)["held_out"]["bits_per_byte"] > 0
    _, out, _ = say("eval", model, text_file, "--json")
    value = json.loads(out)
    assert value["documents"] == 1
    for scores in (value, *value["by_predictor"].values()):
        low, high = scores["bits_per_byte_interval"]
        assert low < scores["bits_per_byte"] < high
    _, out, _ = say("generate", model, "the ", "--json", "--samples", 2, "--max-tokens", 5)
    value = json.loads(out)
    assert value["prompt"] == "the " and value["tokens_per_second"] > 0
    assert set(value["samples"][0]) == {"text", "tokens", "nats", "stopped_by"}
    _, out, _ = say("suggest", model, "the c", "--json")
    value = json.loads(out)
    assert value["text"] == "the c" and 0 <= value["unexplored"] <= 1
    assert set(value["suggestions"][0]) == {"word", "completion", "probability"}
    _, out, _ = say("info", model, "--json", "--verify")
    assert json.loads(out)["verified"] is True


def test_generate_prints_prompt_and_text(say, model, tmp_path):
    code, out, _ = say("generate", model, "the cat", "--max-tokens", 20, "--seed", 1)
    assert code == 0 and out.startswith("the cat") and out.endswith("\n")
    (tmp_path / "prompt.txt").write_text("the dog")
    assert say("generate", model, f"@{tmp_path / 'prompt.txt'}")[1].startswith("the dog")
    assert say("generate", model, "a", "--samples", 3)[1].count("---") == 6


def test_the_same_seed_prints_the_same(say, model):
    first, second = (say("generate", model, "the", "--seed", 7)[1] for _ in range(2))
    assert first == second


def test_suggest_prints_words_with_probabilities(say, model):
    code, out, _ = say("suggest", model, "the c", "-k", 2)
    assert code == 0 and len(out.splitlines()) == 2 and "%" in out


def test_prepare_makes_a_corpus_for_train(say, text_file, tmp_path):
    code, out, _ = say("prepare", text_file, "--out", tmp_path / "store", "--tokenizer", "bpe")
    assert code == 0 and "held out" in out and "tokens" in out
    assert say("train", tmp_path / "store", "--out", tmp_path / "run", *SMALL)[0] == 0
    refused(say("prepare", text_file, "--out", tmp_path / "store"), 2, "already there", "--force")
    assert say("prepare", text_file, "--out", tmp_path / "store", "--force")[0] == 0


@pytest.mark.parametrize(
    "words, hint",
    [
        (["train", "--learning-rat", "3"], ""),
        (["train", "--minuts", "3"], "did you mean '--minutes'?"),
        (["train", "x.txt", "--hidden=ten"], "--hidden"),
        (["train", "--tokenizer", "chars"], "--tokenizer"),
        (["trian"], "did you mean 'train'?"),
        (["generate", "m", "--temperture", "1"], "did you mean '--temperature'?"),
        (["generate", "m", "--temperature"], "--temperature"),
        (["eval"], "MODEL"),
        (["train", "--minutes", "1", "--steps", "2"], "--minutes"),
        (["train", "--minutes", "-1"], "--minutes"),
        (["suggest", "m", "x", "-k", "0"], "-k must be from 1 to 1000, not 0"),
        (["suggest", "m", "x", "-k", "1000000"], "-k must be from 1 to 1000"),
        (["type", "m", "-k", "1001"], "-k must be from 1 to 1000"),
        (["generate", "m", "x", "--samples", "0"], "--samples"),
    ],
)
def test_a_wrong_option_is_2_and_says_what_was_meant(say, words, hint):
    refused(say(*words), 2, hint)


def test_a_wrong_corpus_is_3(say, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "binary.bin").write_bytes(bytes(range(256)) * 99)
    (tmp_path / "latin.txt").write_bytes("Größe\n".encode("latin-1") * 99)
    out = ["--out", tmp_path / "run", *SMALL]
    refused(say("train", tmp_path / "empty.txt", *out), 3, "no text in", "empty.txt")
    refused(say("train", tmp_path / "nothing", *out), 3, "no text file")
    refused(say("train", tmp_path / "nothng", *out), 3, "did you mean")
    refused(say("train", tmp_path / "binary.bin", *out), 3, "binary", "--tokenizer byte")
    refused(say("train", tmp_path / "latin.txt", *out), 3, "--encoding latin-1")
    assert say("train", tmp_path / "binary.bin", "--tokenizer", "byte", *out)[0] == 0


def test_a_wrong_model_is_4(say, tmp_path, text_file):
    for command in ("eval", "generate", "suggest", "info"):
        refused(say(command, tmp_path / "none"), 4, "there is no model at")
        refused(say(command, tmp_path), 4, "MANIFEST.json")
        refused(say(command, text_file), 4, "is a file")


def test_a_place_that_cannot_be_written_is_5(say, text_file, tmp_path):
    (tmp_path / "file").write_text("")
    refused(say("train", text_file, "--out", tmp_path / "file" / "run", *SMALL), 5, "cannot write")


def test_debug_shows_the_traceback():
    with pytest.raises(Exception, match="there is no model"):
        main(["eval", "/nowhere", "--debug"])


def test_every_command_has_help_for_every_option(capsys):
    _, commands = make_parser()
    assert set(commands) == set(NAMES)
    for name, parser in commands.items():
        with pytest.raises(SystemExit) as left:
            main([*name.split(), "--help"])
        assert left.value.code == 0
        assert capsys.readouterr().out.startswith("usage: charlm")
        for action in parser._actions:
            assert action.help, f"{name}: {action.dest} has no help"


def charlm(*words, **keywords):
    command = [sys.executable, "-m", "charlm", *[str(word) for word in words]]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **keywords
    )


def test_help_and_version_are_quick():
    for word in ("--help", "--version"):
        charlm(word).communicate()  # warm the file cache
        began = time.perf_counter()
        out, err = charlm(word).communicate()
        assert "charlm" in out and err == ""
        assert time.perf_counter() - began < 0.8, "0.3 s on a quiet machine"


@pytest.mark.parametrize("name, code", [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_while_training_saves_what_was_learned(text_file, tmp_path, name, code):
    words = ["train", text_file, "--out", tmp_path / "run", "--minutes", 5, *SMALL[2:]]
    with charlm(*words) as process:
        deadline = time.monotonic() + 60
        log = tmp_path / "run" / "metrics.jsonl"
        while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert "Traceback" not in err and name in err
    assert "stopped before the end" in out and f"--resume --out {tmp_path / 'run'}\n" in out
    assert main(["generate", str(tmp_path / "run"), "the", "--max-tokens", "3"]) == 0


def test_a_closed_pipe_is_no_traceback(model):
    with charlm("generate", model, "the", "--max-tokens", 20000) as process:
        process.stdout.read(5)
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=60)
    assert "Traceback" not in err and "Error" not in err


def test_standard_input_and_any_locale(tmp_path, model):
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0"}
    words = ["generate", model, "-", "--max-tokens", 3, "--seed", 1]
    command = [sys.executable, "-m", "charlm", *map(str, words)]
    done = subprocess.run(
        command, input="naïve 🎉".encode(), capture_output=True, env=environment, check=True
    )
    assert done.stdout.decode().startswith("naïve 🎉")


def test_a_text_from_standard_input_is_scored_like_its_file(tmp_path, model):
    text = b"one two three\n" * 9
    (tmp_path / "text.txt").write_bytes(text)
    scores = []
    for words, given in (["-", text], [tmp_path / "text.txt", b""]):
        command = [sys.executable, "-m", "charlm", "eval", str(model), str(words), "--json"]
        done = subprocess.run(command, input=given, capture_output=True, check=True)
        scores.append(json.loads(done.stdout)["nats"])
    assert scores[0] == scores[1]


def test_score_gives_a_line_for_each_line(say, model, tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"the cat sat\r\n\nxq zz\nthe dog")
    code, out, err = say("score", model, path)
    rows = [row.split("\t") for row in out.splitlines()]
    assert (code, err) == (0, "")
    assert [text for _, text in rows] == ["the cat sat", "", "xq zz", "the dog"]
    costs = [float(nats) for nats, _ in rows]
    assert costs[1] == 0 and costs[2] > costs[3]
    lm = load(model)
    assert costs[0] == pytest.approx(lm.score("the cat sat"), abs=1e-3)
    _, out, _ = say("score", model, path, "--json", "--predictor", "counts")
    values = [json.loads(line) for line in out.splitlines()]
    assert [value["bytes"] for value in values] == [11, 0, 5, 7]
    assert values[1]["bits_per_byte"] is None and values[0]["bits_per_byte"] > 0


def test_many_lines_are_scored_as_few(say, model, tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"the cat sat {number}\n" for number in range(300)))
    _, out, _ = say("score", model, path)
    first = float(out.split("\t")[0])
    assert len(out.splitlines()) == 300
    assert first == pytest.approx(load(model).score("the cat sat 0"), abs=1e-3)


def test_score_answers_line_after_line(model):
    with charlm("score", model, stdin=subprocess.PIPE) as process:
        for line in ("the cat\n", "the dog\n"):
            process.stdin.write(line)
            process.stdin.flush()
            assert process.stdout.readline().endswith(line)
        process.stdin.close()
        assert process.wait() == 0


def test_a_model_of_bytes_scores_lines_of_any(say, tmp_path):
    (tmp_path / "book.txt").write_bytes(b"\xff\xfe na\xefve\n" * 300)
    small = ["--steps", "5", "--hidden", "16", "--embed", "8", "--threads", "1"]
    run = tmp_path / "run"
    assert say("train", tmp_path / "book.txt", "--tokenizer", "byte", "--out", run, *small)[0] == 0
    (tmp_path / "lines").write_bytes(b"na\xefve\r\n\n\xff")
    _, out, _ = say("score", run, tmp_path / "lines", "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert [(each["text"], each["bytes"]) for each in found] == [("na�ve", 5), ("", 0), ("�", 1)]
    assert found[0]["nats"] > found[2]["nats"] > 0


def test_what_cannot_be_scored_is_3(say, model, tmp_path):
    refused(say("score", model, tmp_path / "nowhere.txt"), 3, "nowhere.txt")
    path = tmp_path / "latin.txt"
    path.write_bytes("caf\u00e9\n".encode("latin-1"))
    refused(say("score", model, path), 3, "UTF-8", "line 1, byte offset 3", "--encoding latin-1")
    refused(say("score", model, path, "--encoding", "latin-9000"), 2, "latin-9000")


def test_options_may_stand_anywhere_after_the_command(say, model):
    one = say("generate", model, "the ", "--seed", "1", "--max-tokens", "5")
    other = say("generate", "--max-tokens", "5", model, "--seed", "1", "the ")
    assert one == other and one[0] == 0
    refused(say("generate", model, "--sede", "1", "the "), 2, "--seed")
    refused(say("suggest"), 2, "MODEL")


def test_a_predictor_is_asked_by_name(say, model):
    names = ("network", "counts", "network+counts", "network+cache", "best")
    scores = {name: say("eval", model, "--json", "--predictor", name)[1] for name in names}
    values = {name: json.loads(out) for name, out in scores.items()}
    assert values["network"]["predictor"] == "network"
    assert values["network"]["nats"] != values["counts"]["nats"]
    assert "network+cache" in values["network+cache"]["by_predictor"]
    assert say("eval", model, "--json", "--ngram")[1] == scores["network+counts"]
    _, out, _ = say("eval", model, "--json", "--cache", "--ngram")
    assert json.loads(out)["predictor"] == "network+counts+cache"
    _, out, _ = say("eval", model)
    assert "predictor" in out and "network+counts" in out
    refused(say("eval", model, "--predictor", "count"), 2, "counts")
    assert say("suggest", model, "the c", "--predictor", "counts")[0] == 0
