"""One process of a search: it takes trials until the study has enough, and waits for others'."""

import time
from contextlib import AbstractContextManager
from typing import TextIO

from charlm.errors import DivergedError, OutOfMemoryError, UsageError
from charlm.runs.dialogue import Stop, teller
from charlm.tuning.objective import Objective, Options, Outcome
from charlm.tuning.options import SearchOptions
from charlm.tuning.study import Study, Trial
from charlm.tuning.trials import TrialRecord, best_of, shown

LOOK_EVERY = 1.0  # seconds, at what other processes have come to


class Watch:
    """Looks on at one trial: passes its scores on, and asks it to stop where that is no use.

    It is the trial's `Stop`: a signal stops the trial too.
    """

    def __init__(self, trial: Trial, outer: Stop) -> None:
        self._trial, self._outer = trial, outer
        self.share: float | None = None  # of the budget, at which it was told to stop

    def report(self, share: float, score: float) -> None:
        """Take note of a validation."""
        if self._trial.report(share, score):
            self.share = share

    def training(self) -> AbstractContextManager[None]:
        """Mark the part in which a request is honoured."""
        return self._outer.training()

    def requested(self) -> bool:
        """Tell whether to stop."""
        return self.share is not None or self._outer.requested()


class Worker:
    """Takes trials of a study and does them, one after the other."""

    def __init__(
        self,
        study: Study,
        objective: Objective,
        options: SearchOptions,
        stream: TextIO | None,
        stop: Stop,
    ) -> None:
        self._study, self._objective, self._options = study, objective, options
        self._stream, self._stop, self._tell = stream, stop, teller(stream)

    def work(self) -> None:
        """Go on until the study has its trials, all of them ended, or a stop is asked for."""
        told = False
        while not self._stop.requested():
            trial, running = self._study.take(self._options.trials), self._study.running()
            if trial is None and not running:  # perhaps one ended, or died, in between
                trial = self._study.take(self._options.trials)
                if trial is None:
                    return
            if trial is not None:
                told = False
                with trial.held:
                    self._do(trial)
                continue
            if not told:
                self._tell(f"waiting for {', '.join(running)}")
                told = True
            time.sleep(LOOK_EVERY)

    def _do(self, trial: Trial) -> None:
        about = self._objective.told(trial.values)
        if trial.repeat:
            about += ", with another seed"
        self._tell(f"trial {trial.number}: {about}")
        watch, began = Watch(trial, self._stop), time.monotonic()
        try:
            options = self._objective.options(trial.values, trial.repeat)
            self._study.note(trial, options)
            outcome = self._train(trial, options, watch)
        except (DivergedError, OutOfMemoryError, UsageError) as fault:
            self._end(trial, fault.message, time.monotonic() - began)
            return
        seconds = time.monotonic() - began
        if outcome is not None:
            before = best_of(self._study.records())
            best = self._study.complete(trial, outcome, seconds, self._options.keep_models)
            self._tell(f"trial {trial.number}: {self._praise(outcome, best, before)}")
        elif watch.share is not None:
            self._end(trial, f"worse than most at {100 * watch.share:.0f} %", seconds)
        else:
            self._study.give_back(trial)

    def _train(self, trial: Trial, options: Options, watch: Watch) -> Outcome | None:
        shown = self._stream if self._stream is not None and self._stream.isatty() else None
        return self._objective.train(options, trial.directory, watch.report, watch, shown)

    def _end(self, trial: Trial, why: str, seconds: float) -> None:
        self._study.prune(trial, why, seconds)
        self._tell(f"trial {trial.number}: ended early: {why}")

    def _praise(self, outcome: Outcome, best: bool, before: TrialRecord | None) -> str:
        score = f"{shown(outcome.score)} {self._objective.unit}"
        if not best:
            return score
        return f"{score}, the best so far" if before is not None else score
