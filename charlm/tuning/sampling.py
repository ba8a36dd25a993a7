"""Where trials come from: a queue of charlm's own plan and its neighbours, then Optuna's sampler.

The sampler is made anew for each trial, seeded by the search's seed and the trial's number. So no
two processes draw alike, and a search that was interrupted draws what it would have drawn.
"""

import warnings
from random import Random
from typing import Any

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import Trial, TrialState

from charlm.tuning.space import Choice, Space, Value, Values, counts, defaults, neighbour

NEIGHBOURS = 5
SECOND = 4  # place in the queue of the plan with another seed: what chance alone makes
STARTUP = NEIGHBOURS + 2  # ended trials from which the sampler learns
COMPARED = 4  # complete trials before others are ended early,
COMPARED_FROM = 5  # after so many tenths of their time: the rate falls to its end, and high rates
#                    look worse on the way than they are then
TOLD_FROM = 5  # complete trials: of fewer nothing is said about what matters


def first_trials(space: Space, seed: int) -> list[tuple[Values, dict[str, Any]]]:
    """Give the queue that a study begins with: values, and what is noted of each trial."""
    random = Random(seed)
    found: list[tuple[Values, dict[str, Any]]] = [
        (neighbour(space, random), {}) for _ in range(NEIGHBOURS if space else 0)
    ]
    found.insert(0, (defaults(space), {"plan": True}))
    found.insert(SECOND, (defaults(space), {"plan": True, "repeat": 1}))
    return found


def sampler(seed: int, number: int) -> BaseSampler:
    """Make the sampler that draws the trial of this number (TPE, Bergstra et al. 2011)."""
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # of Optuna 4, for constant_liar
        return TPESampler(n_startup_trials=STARTUP, constant_liar=True, seed=own)


def pruner(prune: bool) -> BasePruner:
    """Make what ends trials that are worse than half of the complete ones were by then."""
    if not prune:
        return NopPruner()
    return MedianPruner(COMPARED, n_warmup_steps=COMPARED_FROM, n_min_trials=COMPARED - 1)


def suggest(trial: Trial, space: Space) -> Values:
    """Draw a trial's values."""
    values: Values = {}
    for parameter in space:
        if not counts(parameter, values):
            continue
        name = parameter.name
        found: Value
        if isinstance(parameter, Choice):
            found = trial.suggest_categorical(name, parameter.values)
        elif parameter.whole:
            found = trial.suggest_int(name, int(parameter.low), int(parameter.high))
        else:
            found = trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
        values[name] = found
    return values


def importances(study: Study) -> dict[str, float]:
    """Give the share of each parameter in what makes trials better than the median."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < TOLD_FROM or len({trial.value for trial in complete}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how sure that is the report says itself
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    return {name: float(share) for name, share in found.items()}
