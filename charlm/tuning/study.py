"""A study on a disk that several processes, or machines, share: who does which trial.

Whoever takes a trial, ends one or looks for dead ones holds the study's lock. A trial that runs has
a lock of its own, which goes with its process however that ends: a trial that runs without one
belongs to a process that died, and is queued once more.
"""

import math
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from optuna.study import Study as OptunaStudy
from optuna.trial import FrozenTrial, TrialState
from optuna.trial import Trial as OptunaTrial

from charlm import storage
from charlm.runs.dialogue import Stop, Tell
from charlm.tuning.objective import Objective, Options, Outcome
from charlm.tuning.sampling import first_trials, sampler, suggest
from charlm.tuning.score import SCORE, write_score
from charlm.tuning.space import Values
from charlm.tuning.trials import TrialRecord, best_of

TRIES = 2  # of a trial whose process died: what kills one, such as a lack of memory, may kill more
QUIET = 3600.0  # seconds without a sign after which a trial of another machine counts as dead
KEPT = ("metrics.jsonl", "timings.jsonl", "run.json", SCORE)  # of a trial that is not the best
TENTHS = 10  # of the budget, at which trials are compared
STATES = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


class Trial:
    """A trial that this process has taken, and its directory, which is locked as long."""

    def __init__(
        self, own: OptunaTrial, values: Values, attributes: dict[str, Any], directory: Path
    ) -> None:
        self.own, self.values, self.directory = own, values, directory
        self.number: int = own.number
        self.plan = bool(attributes.get("plan"))
        self.repeat = int(attributes.get("repeat", 0))
        self.held = ExitStack()
        self._reported: set[int] = set()

    def report(self, share: float, score: float) -> bool:
        """Note a score at a share of the budget; tell whether most were better by then.

        charlm's own plan, which the others are compared with, always goes on.
        """
        tenth = int(TENTHS * share + 1e-6)
        if tenth in self._reported or not math.isfinite(score):
            return False
        self._reported.add(tenth)
        self.own.report(score, tenth)
        return not self.plan and share < 1 and self.own.should_prune()


class Study:
    """The trials of one search: taken, ended, listed."""

    def __init__(
        self,
        directory: Path,
        study: OptunaStudy,
        objective: Objective,
        seed: int,
        stop: Stop,
        tell: Tell,
    ) -> None:
        self.directory, self._study, self._seed = directory, study, seed
        self._space, self._stop, self._tell = objective.space(), stop, tell

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from taking and ending trials; a signal waits for the end."""
        with storage.locked(self.directory, math.inf), self._stop.training():
            yield

    def take(self, most: int) -> Trial | None:
        """Take the next trial; None where the study has `most` that run or have ended."""
        with self._alone():
            self._free_the_dead()
            trials = self._all()
            done_again = _repeated(trials)
            waiting = [t for t in trials if t.state == TrialState.WAITING]
            taken = [t for t in trials if t not in waiting and t.number not in done_again]
            if len(taken) >= most:
                return None
            if not waiting:  # what is waiting, to be done again, comes first
                self._queue_next(trials)
            self._study.sampler = sampler(self._seed, len(trials))
            own = self._study.ask()
            directory = self.trial_directory(own.number)
            held = ExitStack()
            held.enter_context(storage.locked(directory))
            storage.remove_directory(directory)
            own.set_user_attr("process", {"host": socket.gethostname(), "pid": os.getpid()})
            values = suggest(own, self._space)
            trial = Trial(own, values, own.user_attrs, directory)
            trial.held = held
            return trial

    def note(self, trial: Trial, options: Options) -> None:
        """Note what a trial is, in the words of the command line."""
        with self._alone():
            trial.own.set_user_attr("options", options)

    def complete(self, trial: Trial, outcome: Outcome, seconds: float, keep_all: bool) -> bool:
        """Note a trial's score; keep its weights if it is the best so far. Tell whether it is."""
        write_score(trial.directory, outcome)
        with self._alone():
            before = best_of(self.records())
            best = before is None or before.score is None or outcome.score < before.score
            if best or keep_all:
                outcome.keep()
            trial.own.set_user_attr("seconds", round(seconds, 1))
            self._study.tell(trial.own, outcome.score)
            if best and before is not None and not keep_all:
                storage.strip_directory(self.trial_directory(before.number), KEPT)
        return best

    def prune(self, trial: Trial, why: str, seconds: float) -> None:
        """Note that a trial was ended early, or could not be trained; the search avoids the like.

        Its directory keeps its logs.
        """
        with self._alone():
            trial.own.set_user_attr("why", why)
            trial.own.set_user_attr("seconds", round(seconds, 1))
            self._study.tell(trial.own, state=TrialState.PRUNED)
        storage.strip_directory(trial.directory, KEPT)

    def give_back(self, trial: Trial) -> None:
        """Queue a trial once more that was interrupted; this does not count as a try."""
        with self._alone():
            frozen = next(each for each in self._all() if each.number == trial.number)
            self._queue_again(frozen, int(frozen.user_attrs.get("tries", 1)))
        storage.strip_directory(trial.directory, KEPT)

    def running(self) -> list[str]:
        """Tell which processes surely are at a trial now."""
        found = []
        for trial in self._all():
            locked = storage.is_locked(self.trial_directory(trial.number))
            if trial.state == TrialState.RUNNING and locked:
                found.append(f"trial {trial.number} of {_process(trial)}")
        return found

    def records(self) -> list[TrialRecord]:
        """Give all trials, in their order."""
        trials = self._all()
        again = _repeated(trials)
        return [_record(trial, again.get(trial.number)) for trial in trials]

    def importances(self) -> dict[str, float]:
        """Give what share of the differences in score each parameter explains (PED-ANOVA).

        Watanabe et al. 2023, arXiv 2304.10255. Nothing where there is too little to tell.
        """
        from charlm.tuning.sampling import importances

        return importances(self._study)

    def trial_directory(self, number: int) -> Path:
        """Give the run directory of a trial."""
        return self.directory / f"trial-{number:04d}"

    def _all(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _queue_next(self, trials: list[FrozenTrial]) -> None:
        """Queue the next of the first trials, if there is one left."""
        begun = {trial.user_attrs.get("place") for trial in trials}
        for place, (values, attributes) in enumerate(first_trials(self._space, self._seed)):
            if place not in begun:
                self._study.enqueue_trial(values, attributes | {"place": place})
                return

    def _free_the_dead(self) -> None:
        for trial in self._all():
            if trial.state == TrialState.RUNNING and not self._is_alive(trial):
                self._tell(f"trial {trial.number} has lost {_process(trial)}")
                self._queue_again(trial, int(trial.user_attrs.get("tries", 1)) + 1)
                directory = self.trial_directory(trial.number)
                with storage.locked(directory):
                    storage.strip_directory(directory, KEPT)

    def _queue_again(self, trial: FrozenTrial, tries: int) -> None:
        """Queue a trial's values under a new number, before the old one is noted as failed."""
        again = trial.number in _repeated(self._all())
        if tries <= TRIES and not again:
            values = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
            kept = {n: v for n, v in trial.user_attrs.items() if n in ("plan", "repeat")}
            self._study.enqueue_trial(values, kept | {"tries": tries, "again": trial.number})
        self._study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)

    def _is_alive(self, trial: FrozenTrial) -> bool:
        """Tell whether a trial's process is still there; another machine's may not be seen."""
        directory, process = self.trial_directory(trial.number), trial.user_attrs.get("process")
        if storage.is_locked(directory):
            return True
        if process is None:  # it died as it took the trial
            return False
        if process["host"] == socket.gethostname() and os.name != "nt":
            return False
        return time.time() - _last_sign(directory, trial) < QUIET


def _repeated(trials: list[FrozenTrial]) -> dict[int, int]:
    """Give the trials that others repeat, and by which."""
    pairs = [(trial.user_attrs.get("again"), trial.number) for trial in trials]
    return {old: new for old, new in pairs if old is not None}


def _process(trial: FrozenTrial) -> str:
    process = trial.user_attrs.get("process")
    return f"process {process['pid']} on {process['host']}" if process else "its process"


def _last_sign(directory: Path, trial: FrozenTrial) -> float:
    begun = 0.0 if trial.datetime_start is None else trial.datetime_start.timestamp()
    times = [begun]
    with suppress(OSError):
        times += [path.stat().st_mtime for path in [directory, *directory.iterdir()]]
    return max(times)


def _record(trial: FrozenTrial, again: int | None) -> TrialRecord:
    attributes, state = trial.user_attrs, STATES[trial.state]
    why = attributes.get("why")
    if trial.state == TrialState.FAIL:
        why = "its process died each time" if again is None else f"done again as trial {again}"
    values = trial.params or trial.system_attrs.get("fixed_params", {})
    return TrialRecord(
        number=trial.number,
        state="again" if again is not None else state,  # type: ignore[arg-type]
        score=trial.value if trial.value is not None and math.isfinite(trial.value) else None,
        values=dict(values),
        options=attributes.get("options", {}),
        plan=bool(attributes.get("plan")),
        repeat=int(attributes.get("repeat", 0)),
        seconds=attributes.get("seconds"),
        why=why,
    )
