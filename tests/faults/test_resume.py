"""A run interrupted as often and as rudely as may be comes to the same end, to the last bit."""

import hashlib
import json
import random
import shutil

import pytest
import torch

from charlm.training.checkpoints import Checkpoint, Checkpoints
from tests.faults.forge import outcome

SMALL = ["--hidden", 12, "--embed", 8, "--batch", 4, "--bptt", 12, "--lr", 0.01, "--threads", 1]
SMALL += ["--dropout", 0.2, "--steps", 24, "--save-every", 5]
KINDS = {
    "char lstm": ["--tokenizer", "char"],
    "byte gru": ["--tokenizer", "byte", "--cell", "gru", "--accumulate", 2, "--bptt-start", 3],
    "bpe rnn padded": [
        *["--tokenizer", "bpe", "--vocab-size", 300, "--cell", "rnn"],
        *["--documents", "line", "--batches", "padded"],
    ],
    "word lstm resets": ["--tokenizer", "word", "--documents", "blank", "--reset-at-documents"],
    "closed gru": ["--tokenizer", "word", "--unknown", "unk", "--cell", "gru", "--layers", 2],
    "classic recipe": [
        *["--preset", "awd-ptb", "--tokenizer", "char", "--lr", 3, "--validate-every", 0.05],
        *["--layers", 2, "--schedule", "step", "--average", 0.6],
    ],
}


@pytest.fixture(scope="session")
def references(forge):
    """Run each kind once without interruption; runs are kept to compare with."""
    kept = {}

    def reference(kind):
        if kind not in kept:
            out = forge.folder / f"reference-{kind.replace(' ', '-')}"
            assert forge.run(*words_of(forge, kind, out))[0] == 0
            kept[kind] = outcome(out)
        return kept[kind]

    return reference


def words_of(forge, kind, out):
    return ["train", forge.folder / "book.txt", *SMALL, *KINDS[kind], "--out", out, "--resume"]


def interrupted(forge, kind, out, faults):
    """Run to the end through all faults; give the outcome."""
    shutil.rmtree(out, ignore_errors=True)
    for fault in faults:
        code, log, fired = forge.run(*words_of(forge, kind, out), fault=fault)
        expected = {"kill": 137, "SIGTERM": 143, "SIGINT": 130, "SIGHUP": 129}[fault["does"]]
        assert code == (expected if fired else 0), log
        assert "Traceback" not in log, log
    code, log, _ = forge.run(*words_of(forge, kind, out))
    assert code == 0, log
    return outcome(out)


PLACES = [("step", 24), ("loss", 24), ("validation", 20), ("operation", 130)]


@pytest.mark.parametrize("kind", KINDS)
def test_d1_d2_killed_anywhere_a_run_ends_bit_identical(forge, references, kind, tmp_path):
    random_place = random.Random(kind)
    for _ in range(3):
        faults = []
        for _ in range(random_place.randint(1, 4)):
            place, most = random_place.choice(PLACES)
            does = random_place.choice(["kill", "kill", "SIGTERM", "SIGINT"])
            if place == "operation":
                does = "kill"
            faults.append({"at": place, "number": random_place.randint(1, most), "does": does})
        assert interrupted(forge, kind, tmp_path / "run", faults) == references(kind), faults


@pytest.mark.parametrize("number", [3, 17, 23])
@pytest.mark.parametrize("average", ["triggered", 0.3])
def test_a_run_that_averages_goes_on_to_the_same_average(forge, average, number, tmp_path):
    recipe = ["--preset", "awd-ptb", "--layers", 1, "--lr", 9, "--validate-every", 0.04]
    words = ["train", forge.folder / "book.txt", *SMALL, *recipe, "--average", average]
    ends = []
    for name in ("whole", "parts"):
        if name == "parts":
            kill = {"at": "step", "number": number, "does": "kill"}
            assert forge.run(*words, "--out", tmp_path / name, fault=kill)[0] == 137
        code, log, _ = forge.run(*words, "--out", tmp_path / name)
        assert code == 0, log
        ends.append(outcome(tmp_path / name))
    assert "average.safetensors" in ends[0] and ends[0] == ends[1]


@pytest.mark.parametrize("number", [1, 5, 24])
def test_d3_stopped_at_the_end_or_while_saving(forge, references, number, tmp_path):
    faults = [{"at": "step", "number": number, "does": "SIGTERM"}]
    assert interrupted(forge, "char lstm", tmp_path / "run", faults) == references("char lstm")


@pytest.mark.parametrize("number", [1, 4, 9])
def test_d3_stopped_during_validation(forge, references, number, tmp_path):
    faults = [{"at": "validation", "number": number, "does": "SIGINT"}]
    assert interrupted(forge, "byte gru", tmp_path / "run", faults) == references("byte gru")


@pytest.mark.parametrize("number", [2, 7, 12])
def test_d3_killed_inside_accumulation(forge, references, number, tmp_path):
    faults = [{"at": "loss", "number": number, "does": "kill"}]
    assert interrupted(forge, "byte gru", tmp_path / "run", faults) == references("byte gru")


def test_d4_without_the_hidden_state_a_resumed_run_is_another(forge, references, tmp_path):
    import safetensors.torch

    from charlm import storage

    out = tmp_path / "run"
    fault = {"at": "step", "number": 13, "does": "SIGTERM"}
    assert forge.run(*words_of(forge, "char lstm", out), fault=fault)[0] == 143
    path = max((out / "checkpoints").iterdir())
    carried = safetensors.torch.load((path / "carried.safetensors").read_bytes())
    assert "hidden.0" in carried
    forgotten = {name: array for name, array in carried.items() if "hidden" not in name}
    data = safetensors.torch.save(forgotten, metadata={"format": "pt"})
    manifest = storage.read_json(path / storage.MANIFEST, AssertionError)
    with storage.existing_directory(path) as writer:
        for name in manifest["files"]:
            whole = data if name.startswith("carried") else (path / name).read_bytes()
            writer.write_bytes(name, whole)
    assert forge.run(*words_of(forge, "char lstm", out))[0] == 0
    assert outcome(out)["model.safetensors"] != references("char lstm")["model.safetensors"]


def test_the_same_command_goes_on_with_an_unfinished_run_and_says_so(forge, tmp_path):
    words = words_of(forge, "char lstm", tmp_path / "run")[:-1]
    fault = {"at": "step", "number": 7, "does": "SIGTERM"}
    assert forge.run(*words, fault=fault)[0] == 143
    code, log, _ = forge.run(*words)
    assert code == 0 and "is not finished: going on with it" in log and "from step 7" in log
    code, log, _ = forge.run(*words)
    assert code == 2 and "already there" in log and "--force" in log


def test_resuming_a_finished_run_changes_nothing(forge, tmp_path):
    words = words_of(forge, "char lstm", tmp_path / "run")
    assert forge.run(*words)[0] == 0
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")}
    again = ["train", "--resume", "--out", tmp_path / "run"]
    for more in (["--steps", 5], ["--steps", 24, "--precision", "fp32"], ["--minutes", 1e-5]):
        code, log, _ = forge.run(*again, *more)
        assert code == 0 and "is finished" in log and "going on" not in log
    for same in (words, again):
        code, log, _ = forge.run(*same)
        assert code == 0 and "is finished" in log and "going on" not in log
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")} == before


def test_resuming_where_nothing_is_begins_and_says_so(forge, tmp_path):
    code, log, _ = forge.run(*words_of(forge, "char lstm", tmp_path / "run"))
    assert code == 0 and "there is no run" in log and "it begins" in log


def test_d13_a_change_that_makes_another_run_is_refused_with_what_differs(forge, tmp_path):
    words = words_of(forge, "char lstm", tmp_path / "run")
    fault = {"at": "step", "number": 7, "does": "SIGTERM"}
    assert forge.run(*words, fault=fault)[0] == 143
    code, log, _ = forge.run(*words, "--seed", 5)
    assert code == 2 and "--seed was 1, is now 5" in log
    code, log, _ = forge.run(*words, "--hidden", 16)
    assert code == 2 and "--hidden was 12, is now 16" in log
    code, log, _ = forge.run(*words, "--steps", 30, "--lr", 0.02)
    assert code == 0 and "changed: lr 0.01 -> 0.02" in log and "changed: steps 24 -> 30" in log


def test_d13_changes_last_for_all_later_resumes(forge, tmp_path):
    out, kind = tmp_path / "run", "char lstm"
    stop = {"at": "step", "number": 7, "does": "SIGTERM"}
    assert forge.run(*words_of(forge, kind, out), fault=stop)[0] == 143
    again = ["train", "--resume", "--out", out]
    assert forge.run(*again, "--steps", 30, "--lr", 0.005, fault=stop)[0] == 143
    code, log, _ = forge.run(*again)
    assert code == 0 and "trained 30 steps" in log and "rate 0.005" in log, log
    record = json.loads((out / "run.json").read_text())
    assert record["request"]["steps"] == 30 and record["request"]["save_every"] == "5"


def test_a_run_that_goes_on_for_longer_keeps_what_was_settled(forge, tmp_path):
    out = tmp_path / "run"
    words = ["train", forge.folder / "book.txt", "--threads", 1, "--out", out]
    assert forge.run(*words, "--minutes", 0.0005)[0] == 0
    before = json.loads((out / "run.json").read_text())["settled"]
    assert before["characters"] == 300 and before["scored"] >= 1000
    for minutes in (0.01, 0.02):  # enough for characters, had it begun so
        code, log, _ = forge.run("train", "--resume", "--out", out, "--minutes", minutes)
        assert code == 0 and "bpe tokenizer" in log and "going on" in log, log
        assert json.loads((out / "run.json").read_text())["settled"] == before


def test_a_finished_run_that_is_to_go_on_does_so_however_often_it_is_killed(forge, tmp_path):
    out, kind = tmp_path / "run", "char lstm"
    assert forge.run(*words_of(forge, kind, out))[0] == 0
    again = ["train", "--resume", "--out", out]
    for number, words in ((3, [*again, "--steps", 60]), (9, again)):
        kill = {"at": "step", "number": number, "does": "kill"}
        assert forge.run(*words, fault=kill)[0] == 137, "before a checkpoint, and after one"
    code, log, _ = forge.run(*again)
    assert code == 0 and "going on from step 30" in log and "trained 60 steps" in log, log
    code, log, _ = forge.run(*again)
    assert code == 0 and "is finished" in log, log


def test_the_interval_between_saves_is_kept_when_a_run_goes_on(forge, tmp_path):
    out, kind = tmp_path / "run", "char lstm"
    for number in (7, 9):
        kill = {"at": "step", "number": number, "does": "kill"}
        words = words_of(forge, kind, out) if number == 7 else ["train", "--resume", "--out", out]
        assert forge.run(*words, fault=kill)[0] == 137
    assert max(path.name for path in (out / "checkpoints").glob("step-*")) == "step-000000010"


def test_the_corpus_may_go_once_it_is_open(forge, tmp_path):
    out, kind = tmp_path / "run", "char lstm"
    fault = {"at": "step", "number": 7, "does": "remove the cache"}
    code, log, fired = forge.run(*words_of(forge, kind, out), fault=fault)
    assert code == 0 and fired and "held-out text" in log, log
    assert forge.run("eval", out)[0] == 0


STRANGE = {
    "a moment of another shape": ("optimizer", lambda t: t | {"1.exp_avg": torch.zeros(7)}),
    "another width": ("carried", lambda t: t | {"hidden.0": torch.zeros(4, 5)}),
    "too few streams": (
        "carried",
        lambda t: t | {f"hidden.{n}": torch.zeros(1, 12) for n in (0, 1)},
    ),
    "half a generator": ("carried", lambda t: t | {"random.cpu": t["random.cpu"][:, :100]}),
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_checkpoint_of_strange_tensors_is_refused_in_a_sentence(forge, tmp_path, case):
    out, kind = tmp_path / "run", "char lstm"
    kill = {"at": "step", "number": 7, "does": "kill"}
    assert forge.run(*words_of(forge, kind, out), fault=kill)[0] == 137
    checkpoints, (name, change) = Checkpoints(out / "checkpoints", print), STRANGE[case]
    found = checkpoints.newest()
    tensors = dict(found.tensors)
    tensors[name] = {key: tensor.clone() for key, tensor in change(tensors[name]).items()}
    checkpoints.save(Checkpoint(found.state, tensors))
    code, log, _ = forge.run(*words_of(forge, kind, out))
    assert code == 4 and "Traceback" not in log and "checkpoint" in log, (code, log)


@pytest.mark.parametrize(
    "name", ["progress", "step", "position", "rollbacks", "seconds", "model.safetensors"]
)
def test_a_checkpoint_of_strange_contents_is_refused_in_a_sentence(forge, tmp_path, name):
    out, kind = tmp_path / "run", "char lstm"
    kill = {"at": "step", "number": 7, "does": "kill"}
    assert forge.run(*words_of(forge, kind, out), fault=kill)[0] == 137
    for folder in (out / "checkpoints").glob("step-*"):
        state = json.loads((folder / "training.json").read_text())
        listed = json.loads((folder / "MANIFEST.json").read_text())
        if name in state:
            state[name] = "strange"
            data = json.dumps(state).encode()
            (folder / "training.json").write_bytes(data)
            facts = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            listed["files"]["training.json"] = facts
        else:
            (folder / name).unlink()
            del listed["files"][name]
        (folder / "MANIFEST.json").write_text(json.dumps(listed))
    code, log, _ = forge.run(*words_of(forge, kind, out))
    assert code == 4 and "Traceback" not in log and "--force" in log, log


def test_d13_another_text_is_refused(forge, tmp_path):
    book = tmp_path / "book.txt"
    book.write_text("once upon a time there was a king\n" * 40)
    words = ["train", book, *SMALL, "--out", tmp_path / "run"]
    fault = {"at": "step", "number": 7, "does": "SIGTERM"}
    assert forge.run(*words, fault=fault)[0] == 143
    book.write_text("once upon a time there was a queen\n" * 40)
    code, log, _ = forge.run(*words, "--resume")
    assert code == 3 and "not the one that this run began with" in log


def test_c10_a_torn_line_of_the_log_is_mended(forge, references, tmp_path):
    out = tmp_path / "run"
    fault = {"at": "step", "number": 14, "does": "kill"}
    assert forge.run(*words_of(forge, "char lstm", out), fault=fault)[0] == 137
    with (out / "metrics.jsonl").open("ab") as log:
        log.write(b'{"step": 14, "targ')
    assert forge.run(*words_of(forge, "char lstm", out))[0] == 0
    assert outcome(out) == references("char lstm")


def test_c10_a_log_that_lost_lines_ends_in_a_whole_one_and_it_is_said(forge, tmp_path):
    out = tmp_path / "run"
    fault = {"at": "step", "number": 14, "does": "kill"}
    assert forge.run(*words_of(forge, "char lstm", out), fault=fault)[0] == 137
    data = (out / "metrics.jsonl").read_bytes()
    (out / "metrics.jsonl").write_bytes(data[: data.index(b"\n") + 10])
    code, log, _ = forge.run(*words_of(forge, "char lstm", out))
    assert code == 0 and "metrics.jsonl has lost lines" in log, log
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["step"] < lines[-1]["step"] == 24
