"""One trial of a language model: trained as `charlm train` does, then scored by the network alone.

Counts, mixtures and a sample, which a run has beside its network, would take a trial's time and
change nothing of what is compared.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from charlm import storage
from charlm.errors import DivergedError
from charlm.evaluation.scoring import score_documents
from charlm.language.corpus import settled_characters
from charlm.language.course import set_up_machine
from charlm.language.evaluating import held_out_documents, units_of
from charlm.language.record import chosen_by, corpus_identity
from charlm.language.request import TrainRequest
from charlm.language.run import Run
from charlm.predict.neural import NeuralPredictor
from charlm.runs.dialogue import Stop
from charlm.runs.place import CHECKPOINTS
from charlm.runs.record import RunRecord, write_record
from charlm.text.memory import freed_memory_kept, return_freed_memory
from charlm.text.store import TokenStore
from charlm.training.memory import memory_errors
from charlm.training.precision import choose_device
from charlm.training.processes import Processes
from charlm.training.task import TrainState
from charlm.tuning.objective import Outcome, Report
from charlm.tuning.plan import threads_as_before, validation_tokens

SCORED = 300_000  # bytes of the held-out text by which trials are compared, at most


def train_trial(
    paths: Sequence[str],
    request: TrainRequest,
    store: TokenStore,
    directory: Path,
    settled: dict[str, float],
    report: Report,
    stop: Stop,
    stream: TextIO | None,
) -> Outcome | None:
    """Train and score; None where it was asked to stop. Raises what `Trainer.fit` raises."""
    device = choose_device(request.device)
    with memory_errors("training"), freed_memory_kept(), threads_as_before():
        machine = set_up_machine(request, device, True)  # its speed was measured for all trials
        tokens = validation_tokens(store, settled)
        run = Run(paths, request, store, directory, device, machine, Processes(), tokens)
        chosen = chosen_by(run.plan, machine.threads, machine.bf16)
        own = {"characters": settled_characters(store), "scored": tokens}
        record = RunRecord(list(paths), request, chosen, corpus_identity(store), own)
        write_record(directory, record)
        state = run.train(stream, stop, lambda line: None, report)
        storage.remove_directory(directory / CHECKPOINTS)
        if state.stopped_by == "request":
            return None
        outcome = _scored(run, state)
    return_freed_memory()
    return outcome


def _scored(run: Run, state: TrainState) -> Outcome:
    """Score the beginning of the held-out text exactly: each document once, in order."""
    tokenizer, valid = run.store.tokenizer, run.store.valid
    assert valid is not None
    sizes = units_of(tokenizer)
    documents = _beginning(held_out_documents(valid), sizes)
    predictor = NeuralPredictor(run.network, tokenizer.boundary_id)
    score = score_documents(predictor, documents, sizes=sizes)
    costs, units = score.stretches.sums()  # (C, 1), (C,)
    scale = 1 / math.log(2) if tokenizer.lossless else 1.0
    found = scale * score.nats / max(int(units.sum()), 1)
    if not math.isfinite(found):
        raise DivergedError("the trained network gives some of the held-out text no probability")
    return Outcome(
        score=found,
        costs=(scale * costs[:, 0]).tolist(),
        units=units.tolist(),
        keep=lambda: _keep(run, state),
    )


def _keep(run: Run, state: TrainState) -> None:
    """Write the model; what it has beside its network is left out."""
    run.save(state, None, finished=True)


def _beginning(documents: Iterator[np.ndarray], sizes: np.ndarray) -> Iterator[np.ndarray]:
    """Give documents of ids up to SCORED bytes in all, the last one perhaps cut."""
    left = SCORED
    for ids in documents:
        if left <= 0:
            return
        ends = np.cumsum(sizes[ids])
        count = int(np.searchsorted(ends, left, side="right"))
        yield ids[:count].astype(np.int64)
        left = left - int(ends[-1]) if count == len(ids) and count else 0
