"""The command `charlm bench`."""

import json

import pytest
import torch

from charlm.cli.main import main

QUICK = ["bench", "--quick", "--threads", "1"]
ALL = ["ceilings", "throughput", "cells", "contest", "memory", "writing"]
NONE = {
    "typing": [],
    "starts": [],
    "scoring": [],
    "serving": [],
    "targets": [],
    "aims": [],
}  # of what was not asked for


@pytest.fixture(autouse=True)
def threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_json_is_one_object_with_every_part_and_the_machine(capsys):
    assert main([*QUICK, "--json"]) == 0
    out, err = capsys.readouterr()
    value = json.loads(out)
    assert out.count("\n") == 1
    assert set(value) == {"machine", "options", *ALL, *NONE}
    assert value["machine"]["threads"] == 1 and value["machine"]["processor"]
    assert value["ceilings"]["matrix_fp32"] > 0 and value["ceilings"]["bandwidth"] > 0
    assert (value["ceilings"]["matrix_bf16"] is not None) == value["machine"]["bf16"]
    assert len(value["throughput"]) == 3 and len(value["cells"]) == 3
    for one in (*value["cells"], *value["contest"]):
        assert one["own"] > 0 and one["other"] > 0 and one["ratio"] > 0
    for one in value["throughput"]:
        assert one["tokens_per_second"] > 0 and set(one) == {
            "name",
            "tokens_per_second",
            "flops",
            "share",
        }
    [memory] = value["memory"]
    assert memory["ratio"] == pytest.approx(memory["own"] / memory["other"])
    assert {name: value[name] for name in NONE} == NONE
    assert [one["ways"][0]["way"] for one in value["writing"]] == ["NumPy"], "it is everywhere"
    assert all(part in err for part in ALL)


def test_the_table_shows_only_the_parts_asked_for(capsys):
    assert main([*QUICK, "--only", "ceilings,contest"]) == 0
    out, err = capsys.readouterr()
    first, *tables = out.split("\n\n")
    assert "1 thread" in first and "PyTorch" in first
    assert [table.split(",")[0].split("  ")[0] for table in tables] == ["ceiling", "training"]
    assert "GFLOP/s" in tables[0] and "textbook" in tables[1]
    widths = {len(line) for line in tables[1].strip().splitlines()}
    assert len(widths) == 1, "the columns are aligned"
    assert "cells" not in err


def test_a_corpus_gives_the_ids_and_so_the_vocabulary(capsys, text_file):
    assert main([*QUICK, str(text_file), "--only", "contest", "--json"]) == 0
    [tied, untied] = json.loads(capsys.readouterr().out)["contest"]
    words = set(text_file.read_text().split())
    assert f" {len(words) + 2} words, tied" in tied["name"] and "untied" in untied["name"]


@pytest.mark.slow
def test_generation_is_measured_with_models_trained_for_it(capsys, text_file):
    assert main([*QUICK, "--rounds", "1", str(text_file), "--generate"]) == 0
    out, err = capsys.readouterr()
    for word in ("textbook loop", "charlm, NumPy", "reading", "char, ", "bpe, ", "--help", "lines"):
        assert word in out
    assert "wanted" not in out, "tiny sizes are held to nothing"
    assert err.count("training a model") == 2 and "contest" not in err


def test_a_model_named_is_used_and_one_that_is_none_is_refused(capsys, text_file, tmp_path):
    out = str(tmp_path / "run")
    small = ["--steps", "5", "--hidden", "8", "--embed", "8", "--batch", "4", "--bptt", "16"]
    assert main(["train", str(text_file), "--out", out, *small, "--threads", "1"]) == 0
    capsys.readouterr()
    assert main([*QUICK, "--only", "typing", "--model", out, "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)["typing"]
    assert found["model"] == out and found["keystrokes"] > 0
    assert 0 < found["suggest_p50"] <= found["suggest_p95"] and found["tokens_per_second"] > 0
    assert main([*QUICK, "--only", "typing", "--model", f"{out},nowhere"]) == 4
    assert "measuring" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, said",
    [
        (["--generate", "--only", "cells"], "pass one of them"),
        (["--only", "ceiling"], "did you mean 'ceilings'?"),
        (["--only", "ceilings,"], "parts: ceilings"),
        (["--only", "xyz"], "parts: ceilings"),
        (["--only", "targets"], "pass a CORPUS"),
        (["--only", "targets", "book.txt"], "--target"),
        (["--rounds", "0"], "--rounds"),
        (["--threads", "0"], "--threads"),
        (["--minutes", "0"], "--minutes"),
        (["--quik"], "did you mean '--quick'?"),
    ],
)
def test_a_wrong_option_is_2_and_says_what_was_meant(capsys, words, said):
    assert main(["bench", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and "Traceback" not in err


def test_a_missing_corpus_is_3(capsys):
    assert main([*QUICK, "nowhere.txt", "--only", "throughput"]) == 3
    assert capsys.readouterr().out == ""
