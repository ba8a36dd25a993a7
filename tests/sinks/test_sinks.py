"""What each sink makes of a run: the numbers of metrics.jsonl, also after it has been resumed."""

import json
import sys
import types

import pytest

from charlm.cli.main import main
from charlm.errors import UsageError
from charlm.language.fit import fit
from charlm.language.request import TrainRequest
from charlm.runs.dialogue import NeverStop
from charlm.runs.record import RunRecord
from charlm.sinks import opening
from charlm.sinks.names import names_in, require
from charlm.sinks.sink import SinkRun
from charlm.sinks.tensorboard import TensorBoard
from charlm.sinks.trackio import Trackio
from charlm.sinks.wandb import WeightsAndBiases

SMALL = {"hidden": 24, "embed": 12, "batch": 8, "bptt": 16, "lr": 0.01, "threads": 1}


def train(text_file, out, stop=None, **options):
    request = TrainRequest(**{"out": str(out), "steps": 110} | SMALL | options)
    return fit([str(text_file)], request, stop=stop)


class StopLater(NeverStop):
    """Asks for an end when it has been asked often enough: once a step, and in validations."""

    def __init__(self, times):
        self.left = times

    def requested(self):
        self.left -= 1
        return self.left < 0


def logged(run, name):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line[name]) for line in lines if name in line]


def scalars(directory):
    """Read event files back, as TensorBoard would show them."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(directory), size_guidance={"scalars": 0})
    events.Reload()
    tags = events.Tags()["scalars"]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def same(found, wanted):
    assert [step for step, _ in found] == [step for step, _ in wanted]
    assert [value for _, value in found] == pytest.approx([value for _, value in wanted], rel=1e-6)


def test_tensorboard_shows_the_log_and_the_run_is_the_same_bit_for_bit(text_file, tmp_path):
    pytest.importorskip("tensorboard")
    with_sink, without = tmp_path / "with" / "run", tmp_path / "without" / "run"
    stopped = train(text_file, with_sink, StopLater(160), log_to="tensorboard")
    assert 50 <= stopped.state.step < 100
    assert [step for step, _ in scalars(with_sink / "tensorboard")["train/nats"]] == [50]
    train(text_file, with_sink, resume=True)  # its sinks are those it began with
    train(text_file, without)
    for name in ("metrics.jsonl", "model.safetensors"):
        assert (with_sink / name).read_bytes() == (without / name).read_bytes()
    assert not (without / "tensorboard").exists()
    found = scalars(with_sink / "tensorboard")
    same(found["train/nats"], logged(with_sink, "nats"))
    same(found["train/learning_rate"], logged(with_sink, "learning_rate"))
    same(found["train/gradient_norm"], logged(with_sink, "gradient_norm"))
    same(found["validation/nats"], logged(with_sink, "validation_nats"))
    same(found["validation/bits_per_byte"], logged(with_sink, "validation_bits_per_byte"))
    assert [step for step, _ in found["speed/targets_per_second"]] == [50, 100]


def test_what_a_resumed_run_does_again_tensorboard_shows_once(tmp_path):
    pytest.importorskip("tensorboard")
    killed = TensorBoard(SinkRun(tmp_path, {}))
    for step in (50, 100, 150):
        killed.write(step, {"x": step})
    killed._writer.flush()
    resumed = TensorBoard(SinkRun(tmp_path, {}, step=100))
    for step in (150, 200):
        resumed.write(step, {"x": step + 1})
    resumed.go_back(150)
    resumed.write(200, {"x": 7})
    resumed.close()
    killed.close()
    found = scalars(tmp_path / "tensorboard")["x"]
    assert found == [(50, 50.0), (100, 100.0), (150, 151.0), (200, 7.0)]


class Fake(types.ModuleType):
    """Stands in for trackio and wandb as far as charlm calls them."""

    def __init__(self, logged_in=True):
        super().__init__("fake")
        self.logged_in, self.asked, self.said, self.axis = logged_in, [], [], None
        self.finished = 0

    def login(self, prompt):
        assert prompt is False
        return self.logged_in

    def init(self, **options):
        print("* a run begins")
        self.asked.append(options)
        return self

    def Settings(self, **values):
        return values

    def define_metric(self, name, step_metric):
        self.axis = (name, step_metric)

    def log(self, values, step=None):
        self.said.append((step, values))

    def finish(self):
        print("* a run ends")
        self.finished += 1


def test_wandb_is_given_the_step_as_axis_and_resumes_the_same_run(tmp_path, monkeypatch):
    fake = Fake()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    for step in (None, 50, None):
        sink = WeightsAndBiases(SinkRun(tmp_path, {"lr": 0.1}, step))
        sink.write(60, {"train/nats": 1.0})
        sink.close()
    first, resumed, anew = fake.asked
    assert first["id"] == resumed["id"] != anew["id"]
    assert (first["resume"], resumed["resume"], anew["resume"]) == (None, "allow", None)
    assert first["project"] == "charlm" and first["config"] == {"lr": 0.1}
    assert fake.axis == ("*", "step") and fake.finished == 3
    assert fake.said[0] == (None, {"step": 60, "train/nats": 1.0})


def test_wandb_never_asks_for_a_key_on_the_terminal(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", Fake(logged_in=False))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with pytest.raises(PermissionError, match="wandb login"):
        WeightsAndBiases(SinkRun(tmp_path, {}))
    monkeypatch.setenv("WANDB_MODE", "offline")
    WeightsAndBiases(SinkRun(tmp_path, {}))


def test_trackio_resumes_its_run_and_leaves_standard_output_alone(tmp_path, monkeypatch, capsys):
    fake = Fake()
    monkeypatch.setitem(sys.modules, "trackio", fake)
    for step in (None, 50):
        sink = Trackio(SinkRun(tmp_path, {}, step))
        sink.write(60, {"train/nats": 1.0})
        sink.close()
    first, resumed = fake.asked
    assert first["name"] == resumed["name"] and first["project"] == "charlm"
    assert (first["resume"], resumed["resume"]) == ("never", "allow")
    assert fake.said[0] == (60, {"train/nats": 1.0})
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("* a run") == 4


def test_a_sink_that_fails_stops_no_run(text_file, tmp_path, monkeypatch, capsys):
    def fails(run):
        raise RuntimeError("no such project")

    monkeypatch.setitem(opening.SINKS, "wandb", fails)
    monkeypatch.setitem(sys.modules, "wandb", Fake())
    words = [f"--{name}={value}" for name, value in SMALL.items()]
    words += ["--steps=60", "--log-to=wandb", f"--out={tmp_path / 'run'}"]
    assert main(["train", str(text_file), *words]) == 0
    said = capsys.readouterr().err
    assert said.count("wandb has failed") == 1 and "RuntimeError: no such project" in said


def test_a_package_that_is_missing_or_broken_is_told_before_the_work(
    text_file, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(UsageError, match="needs the package trackio") as refused:
        train(text_file, tmp_path / "run", log_to="trackio")
    assert refused.value.hint == "pip install 'charlm-toolkit[trackio]'"
    assert not (tmp_path / "run").exists()
    (tmp_path / "wandb.py").write_text("raise TypeError('another protobuf')")
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="cannot be imported: another protobuf"):
        require(("wandb",))


def test_a_resumed_run_keeps_its_sinks_unless_others_are_asked_for():
    began = RunRecord([], TrainRequest(steps=9, log_to="wandb"), {}, {}, {})
    for asked, sinks in ((None, ("wandb",)), ("none", ()), ("tensorboard", ("tensorboard",))):
        request = TrainRequest(resume=True, log_to=asked)
        assert began.resumed(request).sinks == sinks
        assert began.changed(request, {}).request.sinks == sinks
        assert began.same_request([], TrainRequest(steps=9, log_to=asked))


def test_sinks_are_named_in_one_option():
    assert names_in(None) == names_in("none") == ()
    assert names_in("wandb, tensorboard,wandb") == ("wandb", "tensorboard")
    with pytest.raises(UsageError, match="knows no 'tensorbord'") as refused:
        TrainRequest(log_to="tensorbord")
    assert refused.value.hint == "did you mean 'tensorboard'?"
    with pytest.raises(UsageError, match="knows no ''"):
        names_in("wandb,")
