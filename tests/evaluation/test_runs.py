"""`charlm plot`: runs over one another in one PNG, whatever state they are in."""

import json
import math

import pytest

from charlm.cli.main import main
from charlm.evaluation.curve import LearningCurve, Point
from charlm.evaluation.overlay import COLOURS, DASHES, _style, overlay_plot
from charlm.evaluation.runs import names_apart, summaries
from tests.pictures import size_of

pytest.importorskip("matplotlib")


def make_run(folder, steps=4, validations=True, timings=True, slope=1.0):
    """Write the logs of a run, with whole numbers of bits."""
    folder.mkdir(parents=True)
    metrics, times = [], []
    for step in range(50, 50 * steps + 1, 50):
        bits = 2 + slope * 100 / step
        line = {"step": step, "targets": 10 * step, "nats": bits * math.log(2)}
        metrics.append(line | {"learning_rate": 0.01, "gradient_norm": 1.0})
        times.append({"step": step, "seconds": step / 10, "targets_per_second": 100.0})
        if validations:
            held_out = {"validation_nats": bits * math.log(2), "validation_bits_per_byte": bits / 2}
            metrics.append({"step": step, "targets": 10 * step} | held_out)
            times.append({"step": step, "seconds": step / 10, "validation": True})
    for name, lines in (("metrics", metrics), ("timings", times if timings else [])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.mark.parametrize("along", ["steps", "tokens", "seconds"])
def test_runs_are_drawn_and_summed_up(tmp_path, capsys, along):
    runs = [str(make_run(tmp_path / name)) for name in ("one", "two")]
    out = tmp_path / "both.png"
    assert main(["plot", *runs, "--out", str(out), "--x", along, "--json"]) == 0
    size_of(out.read_bytes())
    printed = capsys.readouterr().out
    found = json.loads(printed)
    assert found["out"] == str(out) and found["x"] == along
    one = found["runs"][0]
    assert (one["run"], one["steps"], one["tokens"], one["seconds"]) == ("one", 200, 2000, 20.0)
    assert one["training_bits_per_token"] == one["held_out_bits_per_token"] == pytest.approx(2.5)
    assert (one["bits_per_byte"], one["tokens_per_second"]) == (1.25, 100.0)


def test_the_table_has_no_column_that_is_empty(tmp_path, capsys):
    run = make_run(tmp_path / "run", validations=False, timings=False)
    assert main(["plot", str(run), "--out", str(tmp_path / "a.png")]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["run", "steps", "tokens", "training"]
    assert row.split() == ["run", "200", "2,000", "2.5000"]


def test_a_run_that_goes_on_is_drawn_and_one_without_a_point_left_out(tmp_path, capsys):
    going, new = make_run(tmp_path / "going"), tmp_path / "new"
    with (going / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 250, "targ')
    new.mkdir()
    (new / "metrics.jsonl").touch()
    assert main(["plot", str(going), str(new), "--out", str(tmp_path / "a.png"), "--json"]) == 0
    printed = capsys.readouterr()
    assert [run["run"] for run in json.loads(printed.out)["runs"]] == ["going"]
    assert f"{new} has logged nothing yet" in printed.err
    assert main(["plot", str(new), "--out", str(tmp_path / "b.png")]) == 4
    assert not (tmp_path / "b.png").exists()


def test_what_cannot_be_drawn_is_a_sentence_with_a_hint(tmp_path, capsys):
    run, out = make_run(tmp_path / "run", timings=False), str(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "there.png").mkdir()
    for words, code, said in (
        ([tmp_path / "none"], 4, "no run directory"),
        ([run / "metrics.jsonl"], 4, "no run directory"),
        ([tmp_path / "empty"], 4, "hint: a run is a directory that charlm train wrote"),
        ([tmp_path], 4, f"hint: it holds runs: charlm plot {tmp_path}/*"),
        ([run, "--x", "seconds"], 4, "no run has a time"),
        ([run, "--out", tmp_path / "book.txt"], 2, "must end in .png"),
        ([run, "--out", tmp_path / "nowhere" / "a.png"], 5, "nowhere"),
        ([run, "--out", tmp_path / "there.png"], 5, "not a file"),
    ):
        assert main(["plot", "--out", out, *map(str, words)]) == code
        printed = capsys.readouterr().err
        assert said in printed and "Traceback" not in printed
    assert not (tmp_path / "a.png").exists()


def test_runs_of_one_name_are_told_apart(tmp_path):
    paths = [tmp_path / name for name in ("a/x/run", "b/x/run", "c/other")]
    assert names_apart(paths) == ["a/x/run", "b/x/run", "other"]


def test_one_run_given_twice_is_drawn_once(tmp_path, capsys):
    run = make_run(tmp_path / "run")
    (tmp_path / "link").symlink_to(run)
    words = [str(run), str(tmp_path / "link"), "--out", str(tmp_path / "a.png"), "--json"]
    assert main(["plot", *words]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 1


def test_fifty_runs_have_styles_of_their_own_and_a_place_in_the_legend():
    styles = {(s["color"], str(s["linestyle"])) for s in (_style(n, 50) for n in range(50))}
    assert len(styles) == 50 <= len(COLOURS) * len(DASHES)
    curve = LearningCurve((Point(50, 10, 2.0), Point(100, 20, 1.0)), ())
    few, many = (
        size_of(overlay_plot({f"run-{n}": curve for n in range(runs)}))[0] for runs in (2, 50)
    )
    assert few[0] == many[0] and many[1] > few[1] + 100


def test_names_are_drawn_as_they_stand():
    curve = LearningCurve((Point(50, 10, 2.0),), ())
    names = ["$\\frac{", "_hidden", "漢字 🎉\n", "x" * 300]
    size_of(overlay_plot(dict.fromkeys(names, curve)))
    assert overlay_plot({"a": curve}) == overlay_plot({"a": curve})


def test_the_best_validation_counts_and_the_last_point_of_training():
    points = [Point(step, step, nats) for step, nats in ((50, 3.0), (100, 1.0), (150, 2.0))]
    [summary] = summaries({"run": LearningCurve(tuple(points), tuple(points))})
    assert summary.training_bits_per_token == pytest.approx(2 / math.log(2))
    assert summary.held_out_bits_per_token == pytest.approx(1 / math.log(2))
