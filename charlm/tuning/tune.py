"""The whole of `charlm tune`: open the study, do trials, tell what came of them."""

from pathlib import Path
from typing import TextIO

from charlm.errors import UsageError
from charlm.evaluation.plots import require_matplotlib
from charlm.language.dialogue import NeverStop, Stop, teller
from charlm.tuning.objective import Objective
from charlm.tuning.options import TuneOptions
from charlm.tuning.place import study_directory
from charlm.tuning.report import TuneReport
from charlm.tuning.trials import best_of


def require(options: TuneOptions) -> None:
    """Raise UsageError where a package that is needed is missing: better before the work."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise UsageError(
            "tuning needs the package optuna", "pip install 'charlm-toolkit[tune]'"
        ) from None
    if options.plot:
        require_matplotlib()


def find_study(objective: Objective, options: TuneOptions) -> Path:
    """Find the directory of the search that is meant; see `study_directory`."""
    return study_directory(options.study, objective.name, objective.identity())


def search(
    objective: Objective,
    options: TuneOptions,
    directory: Path,
    progress: TextIO | None = None,
    stop: Stop | None = None,
) -> TuneReport:
    """Do trials until the study in `directory` has enough; go on where it was interrupted.

    Several processes may do this at once, with the same directory. Raises UsageError for a study
    of something else, ModelError for a damaged one, DiskError, and what the objective raises.
    """
    require(options)
    from charlm.tuning.opening import open_study
    from charlm.tuning.score import paired_interval
    from charlm.tuning.worker import Worker

    stop, tell = stop or NeverStop(), teller(progress)
    study = open_study(directory, objective, options, stop, tell)
    Worker(study, objective, options, progress, stop).work()
    trials = tuple(study.records())
    best, interval, command = best_of(trials), None, None
    plan = best_of([trial for trial in trials if trial.plan])
    if best is not None:
        command = objective.command(None if best.plan else best.options)
        if plan is not None and not best.plan:
            first, second = (study.trial_directory(each.number) for each in (plan, best))
            interval = paired_interval(first, second)
    importances = {} if stop.requested() else study.importances()
    report = TuneReport(
        directory, objective.unit, options.budget, trials, interval, importances, command
    )
    return report
