"""The course of a run once its text is prepared: plan, train, save, score.

With several processes the first leads: it prepares the text, says what was chosen, writes and
scores. The others follow.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import torch

from charlm import storage
from charlm.language.corpus import settled_characters
from charlm.language.handle import LanguageModel
from charlm.language.pace import tokens_per_second
from charlm.language.probe import Machine, measure
from charlm.language.record import chosen_by, corpus_identity
from charlm.language.request import TrainRequest
from charlm.language.result import FitResult
from charlm.language.run import Run
from charlm.options import from_json
from charlm.runs.dialogue import Stop, teller
from charlm.runs.place import Place
from charlm.runs.record import RunRecord, write_record
from charlm.text.memory import freed_memory_kept
from charlm.text.store import TokenStore, open_store
from charlm.training.meeting import Meeting
from charlm.training.memory import memory_errors
from charlm.training.precision import choose_device, use_bf16
from charlm.training.processes import Processes, join_processes
from charlm.training.threads import fastest_thread_count, set_threads
from charlm.version import __version__

Asked = tuple[Sequence[str], TrainRequest]  # what was asked of every process


@memory_errors("training")
def lead(
    place: Place[TrainRequest],
    paths: list[str],
    request: TrainRequest,
    store: TokenStore,
    asked: Asked,
    meeting: Meeting,
    progress: TextIO | None,
    stop: Stop,
) -> FitResult:
    """Do what the first process does, or the only one."""
    with join_processes(choose_device(request.device), meeting) as processes:
        _agree(processes, asked)
        device = choose_device(request.device)
        machine = set_up_machine(request, device, place.record is not None)
        machine = replace(machine, flops=machine.flops * processes.size)
        settled = {} if place.record is None else place.record.settled
        scored = settled.get("scored")
        run = Run(paths, request, store, place.directory, device, machine, processes, scored)
        chosen = chosen_by(run.plan, machine.threads, machine.bf16)
        settled = {"characters": settled_characters(store), "scored": run.scored}
        record = RunRecord(paths, request, chosen, corpus_identity(store), settled)
        if place.record is None:
            write_record(place.directory, record)
        elif (changed := place.record.changed(asked[1], chosen)) != place.record:
            write_record(place.directory, changed)
        told = record.to_json() | {"out": str(place.directory.resolve())}
        processes.announce(json.dumps(told))
        with freed_memory_kept():
            return _complete(run, progress, stop)


def _complete(run: Run, progress: TextIO | None, stop: Stop) -> FitResult:
    """Train to the end, save, score."""
    tell = teller(progress)
    for line in run.describe():
        tell(line)
    state = run.train(progress, stop, tell)
    model = run.save(state, None, finished=False)
    if state.stopped_by == "request":
        return FitResult(model, state, None, None, "")
    began = time.monotonic()
    run.combine(tell)
    model.equip(run.counts, run.combination)
    run.tokens_per_second = tokens_per_second(model)
    seconds = run.score_seconds()
    evaluation = model.evaluate_held_out(max(seconds - (time.monotonic() - began), seconds / 4))
    model = run.save(state, evaluation, finished=True)
    storage.forget_replaced(run.out)
    request, valid, cut = run.request, run.store.valid, 0
    test = None if request.test is None else model.evaluate(path=request.test)
    if evaluation is not None and valid is not None:
        cut = valid.counts().bytes - evaluation.bytes
    return FitResult(model, state, evaluation, test, _sample(model), cut)


@memory_errors("training")
def follow(paths: Sequence[str], request: TrainRequest, meeting: Meeting, stop: Stop) -> None:
    """Do what the other processes do: train with the first, on the corpus that it prepared."""
    device = choose_device(request.device)
    with join_processes(device, meeting) as processes:
        _agree(processes, (paths, request))
        told = json.loads(processes.announce(None))
        if told is None:
            return
        chosen = told["chosen"] | {"out": told["out"]}
        request = from_json(TrainRequest, told["request"] | chosen)
        set_threads(chosen["threads"])
        store: TokenStore = open_store(Path(told["corpus"]["directory"]))
        bf16 = use_bf16(request.precision, device)
        machine, scored = Machine(chosen["threads"], bf16), told["settled"]["scored"]
        out = Path(told["out"])
        run = Run(told["paths"], request, store, out, device, machine, processes, scored)
        with freed_memory_kept():
            run.train(None, stop, lambda line: None)


def dismiss(paths: Sequence[str], request: TrainRequest, meeting: Meeting) -> None:
    """Tell the other processes, if there are any, that there is nothing to do."""
    with join_processes(choose_device(request.device), meeting) as processes:
        _agree(processes, (paths, request))
        processes.announce("null")


def _agree(processes: Processes, asked: Asked) -> None:
    paths, request = asked
    versions = f"{__version__} {torch.__version__}"
    processes.agree(f"{versions} {list(paths)} {request}", "what they do")


def set_up_machine(request: TrainRequest, device: torch.device, resumed: bool) -> Machine:
    """Choose the number of threads and the type of numbers; measure the speed.

    A resumed run measures nothing: what it chose stands in its record.
    """
    bf16 = use_bf16(request.precision, device)
    if request.threads is not None:
        set_threads(request.threads)
    elif device.type == "cpu" and request.minutes_or_default is not None:
        set_threads(fastest_thread_count(bf16))
    if request.minutes_or_default is not None and not resumed:
        return measure(device, bf16)
    return Machine(torch.get_num_threads(), bf16)


def _sample(model: LanguageModel) -> str:
    return model.generate(
        "", max_tokens=200 if model.tokenizer.kind in ("byte", "char") else 60, seed=1
    )
