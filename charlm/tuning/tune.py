"""The whole of `charlm tune`: open the study, do trials, tell what came of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from charlm.errors import UsageError
from charlm.evaluation.plots import require_matplotlib
from charlm.language.recipe import Recipe, request_from
from charlm.language.request import TrainRequest
from charlm.options import did_you_mean
from charlm.runs.dialogue import NeverStop, Stop, Tell, teller
from charlm.tuning.language import LanguageObjective
from charlm.tuning.objective import Objective
from charlm.tuning.options import BUDGETS, FIXABLE, SearchOptions, TuneOptions
from charlm.tuning.place import study_directory
from charlm.tuning.report import TuneReport
from charlm.tuning.trials import best_of


def tune(corpus: str | Path | Sequence[str | Path] = (), **options: Any) -> TuneReport:  # noqa: ANN401
    """Search for better options than charlm's own plan, as `charlm tune` does.

    Options are those of `charlm tune`: minutes (of each trial), trials, study, and those of
    `charlm.train` that all trials shall have. `charlm.train(corpus, minutes=10,
    **report.best.options)` trains the best for longer. Raises a CharlmError for whatever is wrong.
    """
    paths = [corpus] if isinstance(corpus, str | Path) else corpus
    own = {name: options.pop(name) for name in TuneOptions.__dataclass_fields__ if name in options}
    known = (*FIXABLE, *Recipe.__dataclass_fields__)
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known) or "see charlm tune --help"
            raise UsageError(f"unknown option '{name}'", hint)
    asked = TuneOptions(**own)
    require(asked)
    objective = asked_for([str(path) for path in paths], options, asked, lambda line: None)
    return search(objective, asked, find_study(objective, asked))


def asked_for(
    paths: Sequence[str], given: Mapping[str, Any], options: TuneOptions, tell: Tell
) -> LanguageObjective:
    """Give what is to be tuned: what is `given`, a preset and a file included, is not searched."""
    request = request_from({**given, **options.budget})
    request = replace(request, **(BUDGETS | options.budget))
    usual = TrainRequest()
    fixed = {name for name in FIXABLE if getattr(request, name) != getattr(usual, name)}
    fixed |= {name for name in FIXABLE if given.get(name) is not None}
    return LanguageObjective(paths, request, fixed, tell)


def require(options: SearchOptions) -> None:
    """Raise UsageError where a package that is needed is missing: better before the work."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise UsageError(
            "tuning needs the package optuna", "pip install 'charlm-toolkit[tune]'"
        ) from None
    if options.plot:
        require_matplotlib()


def find_study(objective: Objective, options: SearchOptions) -> Path:
    """Find the directory of the search that is meant; see `study_directory`."""
    return study_directory(options.study, objective.name, objective.identity())


def search(
    objective: Objective,
    options: SearchOptions,
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
        directory,
        objective.unit,
        options.budget,
        trials,
        interval,
        importances,
        command,
        wording=objective.wording,
    )
    if not options.plot or stop.requested():
        return report
    from charlm.tuning.pictures import draw

    return replace(report, plots=draw(report))
