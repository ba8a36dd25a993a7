"""From a corpus to a trained model directory: the whole of `charlm train`."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO

import torch

from charlm import storage
from charlm.errors import UsageError
from charlm.evaluation.metrics import Evaluation
from charlm.language.corpus import open_or_prepare
from charlm.language.handle import LanguageModel, load
from charlm.language.network import set_threads
from charlm.language.place import Place, find_place
from charlm.language.record import (
    RunRecord,
    check_corpus,
    chosen_by,
    corpus_identity,
    write_record,
)
from charlm.language.request import TrainRequest
from charlm.language.result import FitResult
from charlm.language.run import Run, Stop
from charlm.options import from_json
from charlm.text.store import TokenStore, open_store
from charlm.training.precision import choose_device, use_bf16
from charlm.training.processes import Processes, join_processes
from charlm.training.task import TrainState
from charlm.training.threads import fastest_thread_count
from charlm.version import __version__


class _NeverStop:
    def training(self) -> AbstractContextManager[None]:
        return nullcontext()

    def requested(self) -> bool:
        return False


def train(corpus: str | Path | Sequence[str | Path] = (), **options: Any) -> LanguageModel:  # noqa: ANN401
    """Train a model on files, directories or globs; without any, on the text Python ships with.

    Options are those of `charlm train`: minutes, epochs, steps, tokenizer, cell, hidden, out, ...
    Raises a CharlmError for whatever is wrong.
    """
    paths = [corpus] if isinstance(corpus, str | Path) else corpus
    if unknown := options.keys() - TrainRequest.__dataclass_fields__.keys():
        raise UsageError(f"unknown option '{sorted(unknown)[0]}'", "see charlm train --help")
    result = fit([str(path) for path in paths], TrainRequest(**options))
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
    device = choose_device(request.device)
    stop = stop or _NeverStop()
    with join_processes(device) as processes:
        processes.agree(f"{__version__} {torch.__version__} {paths} {request}", "what they do")
        if processes.rank > 0:
            _help(processes, device, stop)
            return None
        tell = _teller(progress)
        place = find_place(paths, request)
        if place.why is not None:
            tell(place.why)
        if place.finished:
            processes.announce("null")
            return _finished(place.directory)
        with place.opened():
            return _lead(place, list(paths), request, processes, progress, stop)


def _lead(
    place: Place,
    paths: list[str],
    request: TrainRequest,
    processes: Processes,
    progress: TextIO | None,
    stop: Stop,
) -> FitResult:
    """Do what the first process does, or the only one."""
    tell, out = _teller(progress), place.directory
    began = time.perf_counter()
    if place.record is not None:
        changes = place.record.changes(request)
        request = place.record.resumed(request)
        paths = paths or place.record.paths
        for name, (before, now) in changes.items():
            tell(f"changed: {name.replace('_', '-')} {before} -> {now}")
    bf16 = _set_up_machine(request)
    store = open_or_prepare(paths, request, tell)
    if place.record is not None:
        check_corpus(place.record, store)
    run = Run(paths, request, store, out, choose_device(request.device), bf16, processes)
    chosen = chosen_by(run.plan, torch.get_num_threads(), bf16)
    record = RunRecord(paths, request, chosen, corpus_identity(store))
    if place.record is None:
        write_record(out, record)
    processes.announce(json.dumps(record.to_json() | {"out": str(out.resolve())}))
    tell(f"prepared in {time.perf_counter() - began:.1f} s; {run.describe()}")
    state = run.train(progress, stop, tell)
    model = run.save(state, None, finished=False)
    if state.stopped_by == "request":
        return FitResult(model, state, None, None, "")
    evaluation = model.evaluate_held_out(run.score_seconds())
    model = run.save(state, evaluation, finished=True)
    storage.forget_replaced(out)
    test = None if request.test is None else model.evaluate(path=request.test)
    cut = 0
    if evaluation is not None and store.valid is not None:
        cut = store.valid.counts().bytes - evaluation.bytes
    return FitResult(model, state, evaluation, test, _sample(model), cut)


def _help(processes: Processes, device: torch.device, stop: Stop) -> None:
    """Do what the other processes do: train with the first, on the corpus that it prepared."""
    told = json.loads(processes.announce(None))
    if told is None:
        return
    chosen = told["chosen"] | {"out": told["out"]}
    request = from_json(TrainRequest, told["request"] | chosen)
    set_threads(chosen["threads"])
    store: TokenStore = open_store(Path(told["corpus"]["directory"]))
    bf16 = use_bf16(request.precision, device)
    run = Run(told["paths"], request, store, Path(told["out"]), device, bf16, processes)
    run.train(None, stop, lambda line: None)


def _set_up_machine(request: TrainRequest) -> bool:
    """Choose the number of threads; say whether to compute in bfloat16."""
    device = choose_device(request.device)
    bf16 = use_bf16(request.precision, device)
    if request.threads is not None:
        set_threads(request.threads)
    elif device.type == "cpu" and request.minutes_or_default is not None:
        set_threads(fastest_thread_count(bf16))
    return bf16


def _finished(directory: Path) -> FitResult:
    """Give what a finished run came to; nothing is changed."""
    model = load(directory)
    run, held_out = model.config["run"], model.config.get("held_out")
    names = {field.name for field in fields(Evaluation)}
    evaluation = None
    if held_out is not None:
        evaluation = Evaluation(**{name: held_out[name] for name in names})
    state = TrainState(
        step=run["steps"],
        targets=run["targets"],
        seconds=run["seconds"],
        stopped_by=run["stopped_by"],
    )
    return FitResult(model, state, evaluation, None, "")


def _teller(stream: TextIO | None) -> Callable[[str], None]:
    def tell(line: str) -> None:
        if stream is not None:
            with suppress(OSError):  # nobody reads it any more
                print(line, file=stream, flush=True)

    return tell


def _sample(model: LanguageModel) -> str:
    return model.generate(
        "", max_tokens=200 if model.tokenizer.kind in ("byte", "char") else 60, seed=1
    )
