"""From a corpus to a trained model directory: the whole of `charlm train`.

The text is prepared before PyTorch is loaded: a mistake in it shows at once, and what preparing
needs of the memory is free again when training begins. What comes after is in course.py.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from charlm.errors import UsageError
from charlm.language.corpus import open_or_prepare, read_options
from charlm.language.handle import LanguageModel
from charlm.language.recipe import NAMES, request_from
from charlm.language.record import check_corpus
from charlm.language.request import TrainRequest
from charlm.language.result import FitResult, finished_result
from charlm.options import did_you_mean, without_paths
from charlm.runs.dialogue import NeverStop, Stop, teller
from charlm.runs.place import Place, find_place
from charlm.sinks.names import require
from charlm.text.finding import check_text, paths_of
from charlm.text.memory import return_freed_memory
from charlm.training.meeting import Meeting, open_meeting


def train(corpus: str | Path | Sequence[str | Path] = (), **options: Any) -> LanguageModel:  # noqa: ANN401
    """Train a model on files, directories or globs; without any, on the text Python ships with.

    Options are those of `charlm train`: minutes, epochs, steps, tokenizer, cell, hidden, out,
    preset, config, ...
    Raises a CharlmError for whatever is wrong.
    """
    if unknown := sorted(options.keys() - {*NAMES, "preset", "config"}):
        hint = did_you_mean(unknown[0], NAMES) or "see charlm train --help"
        raise UsageError(f"unknown option '{unknown[0]}'", hint)
    result = fit(paths_of(corpus), request_from(without_paths(options)))
    if result is None:
        raise UsageError("this process only helped: the first one has the model")
    return result.model


def fit(
    paths: Sequence[str],
    request: TrainRequest,
    progress: TextIO | None = None,
    stop: Stop | None = None,
) -> FitResult | None:
    """Prepare, plan, train, save, score; or go on where a run was interrupted.

    With several processes (torchrun) the first gives the result, the others None.
    """
    stop, tell = stop or NeverStop(), teller(progress)
    if request.device in ("cuda", "mps"):  # is it there? Ask before the work begins
        from charlm.training.precision import choose_device

        choose_device(request.device)
    with open_meeting() as meeting:
        if meeting.rank > 0:
            from charlm.language.course import follow

            follow(paths, request, meeting, stop)
            return None
        place = find_place(paths, request)
        if place.why is not None:
            tell(place.why)
        if place.finished:
            from charlm.language.course import dismiss

            dismiss(paths, request, meeting)
            return finished_result(place.directory)
        with place.opened():
            return _train(place, list(paths), request, meeting, progress, stop)


def _train(
    place: Place[TrainRequest],
    paths: list[str],
    request: TrainRequest,
    meeting: Meeting,
    progress: TextIO | None,
    stop: Stop,
) -> FitResult:
    """Prepare the text, then train on it, in a directory that is ours."""
    asked, tell, began = (paths, request), teller(progress), time.perf_counter()
    if place.record is not None:
        changes = place.record.changes(request)
        request = place.record.resumed(request)
        paths = paths or place.record.paths
        for name, (before, now) in changes.items():
            tell(f"changed: {name.replace('_', '-')} {before} -> {now}")
    require(request.sinks)
    if request.test is not None:  # is it there? It is read at the end only
        check_text(request.test, read_options(request))
    settled = None if place.record is None else place.record.settled
    store = open_or_prepare(paths, request, tell, settled)
    if place.record is not None:
        check_corpus(place.record, store)
    return_freed_memory()  # training will need it
    tell(f"prepared in {time.perf_counter() - began:.1f} s")
    from charlm.language.course import lead  # loads PyTorch

    return lead(place, paths, request, store, asked, meeting, progress, stop)
