"""Opening a study: making it, or finding it again and looking whether it is the same."""

import math
from pathlib import Path

import optuna
from optuna.storages import JournalStorage

from charlm import storage
from charlm.errors import ModelError
from charlm.runs.dialogue import Stop, Tell
from charlm.tuning.journal import Journal
from charlm.tuning.objective import Objective
from charlm.tuning.options import SearchOptions
from charlm.tuning.record import StudyRecord, read_study, write_study
from charlm.tuning.sampling import pruner
from charlm.tuning.study import Study

JOURNAL = "journal.jsonl"
NAME = "charlm"


def open_study(
    directory: Path, objective: Objective, options: SearchOptions, stop: Stop, tell: Tell
) -> Study:
    """Make a study, or go on with one; its objective learns what was settled for all trials.

    Raises UsageError where the study is of something else, ModelError where it is damaged.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with storage.locked(directory, math.inf), stop.training():
        record, identity = read_study(directory), objective.identity()
        if record is None:
            settled = objective.settle(None)
            record = StudyRecord(identity, objective.unit, settled, options.seed)
            write_study(directory, record)
        else:
            record.refuse_other(identity, directory)
            if record.seed != options.seed:
                tell(f"the study goes on with its own seed, {record.seed}")
            objective.settle(record.settled)
        objective.keep(directory)
        own = _open_journal(directory / JOURNAL, options.prune, tell)
    return Study(directory, own, objective, record.seed, stop, tell)


def _open_journal(path: Path, prune: bool, tell: Tell) -> optuna.Study:
    journal = Journal(path, tell)
    journal.mend()
    try:
        return optuna.create_study(
            storage=JournalStorage(journal),
            study_name=NAME,
            load_if_exists=True,
            pruner=pruner(prune),
        )
    except (KeyError, ValueError, TypeError, AssertionError, AttributeError) as fault:
        raise ModelError(
            f"{path} is not the journal of a study: {fault!r}",
            "give another directory with --study",
        ) from fault
