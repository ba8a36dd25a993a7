"""A study: its trials are counted, ended, done again; nothing depends on who does them."""

import os
import time
from contextlib import nullcontext

import pytest

pytest.importorskip("optuna")

from charlm import storage
from charlm.errors import ModelError, UsageError
from charlm.runs.dialogue import NeverStop
from charlm.tuning.opening import open_study
from charlm.tuning.options import TuneOptions
from charlm.tuning.study import QUIET
from charlm.tuning.trials import best_of
from charlm.tuning.tune import search
from tests.tuning.parabola import Parabola


class StopAfter:
    """Asks for an end after so many looks."""

    def __init__(self, looks):
        self.left = looks

    def training(self):
        return nullcontext()

    def requested(self):
        self.left -= 1
        return self.left < 0


def done(directory, trials, objective=None, stop=None, **options):
    asked = TuneOptions(trials=trials, **options)
    return search(objective or Parabola(), asked, directory, None, stop)


def opened(directory, objective=None):
    told = []
    study = open_study(directory, objective or Parabola(), TuneOptions(), NeverStop(), told.append)
    return study, told


def drawn(report):
    return [(t.state, t.score, t.values) for t in report.trials]


def test_the_first_trial_is_the_plan_and_all_are_counted(tmp_path):
    report = done(tmp_path / "s", 9)
    assert len(report.trials) == 9
    assert [t.number for t in report.trials if t.plan] == [0, 4]
    assert report.trials[0].values == {"side": "left", "x": 1.0, "count": 2}
    assert report.best.score == min(t.score for t in report.trials if t.state == "complete")
    assert report.trials[4].options["seed"] == 2
    assert all(t.seconds is not None for t in report.trials)


def test_the_same_again_does_nothing_and_more_goes_on(tmp_path):
    first = done(tmp_path / "s", 5)
    objective = Parabola()
    assert drawn(done(tmp_path / "s", 5, objective)) == drawn(first) and not objective.trained
    assert drawn(done(tmp_path / "s", 7, objective))[:5] == drawn(first)
    assert len(objective.trained) == 2


def test_in_pieces_a_search_draws_what_it_draws_in_one(tmp_path):
    whole = done(tmp_path / "whole", 11)
    for trials in (1, 5, 8, 11):
        pieces = done(tmp_path / "pieces", trials)
    assert drawn(pieces) == drawn(whole)
    assert drawn(done(tmp_path / "other", 3, seed=2)) != drawn(whole)[:3]


def test_trials_that_are_worse_than_most_end_early_but_never_the_plan(tmp_path):
    report = done(tmp_path / "s", 12)
    pruned = [t for t in report.trials if t.state == "pruned"]
    assert pruned and all("worse than most at 50 %" in t.why for t in pruned)
    assert not any(t.plan for t in pruned)
    median = sorted(t.score for t in report.trials[:5])[2]
    assert all(t.score - 5 > median for t in pruned)  # its last report was 5 above its end
    assert all(t.state == "complete" for t in done(tmp_path / "all", 7, prune=False).trials)


def test_a_trial_that_diverges_is_recorded_and_the_search_goes_on(tmp_path):
    objective = Parabola(diverges=lambda options: options["side"] == "right")
    report = done(tmp_path / "s", 9, objective)
    lost = [t for t in report.trials if t.why == "training diverged"]
    assert lost and all(t.state == "pruned" and t.score is None for t in lost)
    assert len(report.trials) == 9 and report.best is not None
    nothing = done(tmp_path / "none", 3, Parabola(diverges=lambda options: True))
    assert nothing.best is None and nothing.command is None
    assert "no trial is complete" in nothing.verdict() and nothing.text()


def test_only_the_best_keeps_its_weights(tmp_path):
    report = done(tmp_path / "s", 8)
    kept = [path.parent.name for path in (tmp_path / "s").glob("*/model.safetensors")]
    assert kept == [f"trial-{report.best.number:04d}"]
    assert len(list((tmp_path / "s").glob("*/metrics.jsonl"))) == 8
    complete = [t for t in report.trials if t.state == "complete"]
    assert len(list((tmp_path / "s").glob("*/score.json"))) == len(complete)
    done(tmp_path / "all", 8, keep_models=True)
    assert len(list((tmp_path / "all").glob("*/model.safetensors"))) == len(complete)


def test_two_who_search_take_different_trials_and_see_each_other(tmp_path):
    (one, _), (other, _) = opened(tmp_path / "s"), opened(tmp_path / "s")
    first, second = one.take(2), other.take(2)
    assert (first.number, second.number) == (0, 1)
    assert one.take(2) is None and other.take(2) is None
    assert len(other.running()) == 2 and f"process {os.getpid()}" in other.running()[0]
    second.held.close()
    assert len(one.running()) == 1
    first.held.close()


def test_what_a_dead_process_was_at_is_done_again_and_first(tmp_path):
    study, told = opened(tmp_path / "s")
    lost = study.take(9)
    study.take(9).held.close()  # locks go with their process
    lost.held.close()
    (tmp_path / "s/trial-0000/checkpoints").mkdir(parents=True)
    again = study.take(9)
    assert again.values == lost.values and again.plan and again.number == 2
    assert [t.state for t in study.records()] == ["again", "again", "running", "waiting"]
    assert study.records()[0].why == "done again as trial 2"
    assert not (tmp_path / "s/trial-0000/checkpoints").exists()
    assert f"trial 0 has lost process {os.getpid()}" in told[0]
    again.held.close()


def test_what_kills_each_process_is_not_tried_for_ever(tmp_path):
    study, _ = opened(tmp_path / "s")
    for number in range(2):
        trial = study.take(9)
        assert trial.plan and trial.number == number
        trial.held.close()
    following = study.take(9)
    assert not following.plan
    assert study.records()[1].state == "failed" and "died each time" in study.records()[1].why
    following.held.close()


def test_a_silent_trial_of_another_machine_is_left_alone_for_an_hour(tmp_path, monkeypatch):
    now = time.time()
    study, _ = opened(tmp_path / "s")
    trial = study.take(9)
    trial.own.set_user_attr("process", {"host": "elsewhere", "pid": 1})
    trial.held.close()  # as if its lock were not seen from here
    trial.directory.mkdir()
    following = study.take(9)
    assert following.number == 1 and study.records()[0].state == "running"
    following.held.close()
    monkeypatch.setattr(time, "time", lambda: now + QUIET + 60)
    again = study.take(9)
    assert again.plan and study.records()[0].state == "again"
    again.held.close()


def test_a_search_that_is_stopped_gives_its_trial_back(tmp_path):
    report = done(tmp_path / "s", 6, stop=StopAfter(25))
    assert [t.state for t in report.trials].count("again") == 1
    again = done(tmp_path / "s", 6)
    assert [t.state for t in again.trials].count("complete") == 6 - len(
        [t for t in again.trials if t.state == "pruned"]
    )
    whole = done(tmp_path / "whole", 6)
    assert sorted(t.score for t in again.trials if t.score is not None) == sorted(
        t.score for t in whole.trials
    )


def test_another_text_other_options_and_another_kind_are_refused(tmp_path):
    done(tmp_path / "s", 1)
    with pytest.raises(UsageError, match="another text"):
        opened(tmp_path / "s", Parabola("there"))
    longer = Parabola()
    longer.identity = lambda: {"corpus": {"text": "here"}, "options": {"minutes": 2.0}}
    with pytest.raises(UsageError, match=r"minutes 1\.0, not 2\.0"):
        opened(tmp_path / "s", longer)
    longer.identity = lambda: {**Parabola().identity(), "kind": "series"}
    with pytest.raises(UsageError, match="another kind"):
        opened(tmp_path / "s", longer)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format": 9}', '{"format": 1, "seed": 2}'])
def test_a_damaged_record_is_a_sentence(tmp_path, content):
    done(tmp_path / "s", 1)
    (tmp_path / "s/study.json").write_text(content)
    with pytest.raises(ModelError, match=r"study\.json"):
        opened(tmp_path / "s")


def test_a_foreign_journal_is_a_sentence(tmp_path):
    done(tmp_path / "s", 1)
    (tmp_path / "s/journal.jsonl").write_text('{"hello": 1}\n{"world": 2}\n')
    with pytest.raises(ModelError, match="not the journal of a study"):
        opened(tmp_path / "s")


def test_what_was_settled_is_settled_for_all(tmp_path):
    class Settling(Parabola):
        def settle(self, known):
            self.seen = known
            return super().settle(known)

    first, second = Settling(), Settling()
    opened(tmp_path / "s", first)
    opened(tmp_path / "s", second)
    assert first.seen is None and second.seen == {"machine": 3}


def test_the_best_of_nothing_is_nothing(tmp_path):
    assert best_of([]) is None
    assert storage.is_locked(tmp_path) is False
