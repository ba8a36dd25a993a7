"""From a trial's values to its run: charlm's own plan, moved by so much."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from charlm.batches.windows import Windows
from charlm.language.course import set_up_machine
from charlm.language.plan import Plan, make_plan
from charlm.language.probe import Machine
from charlm.language.request import TrainRequest
from charlm.language.reserve import divide
from charlm.language.sizes import CorpusFacts
from charlm.language.validation import tokens_worth_scoring
from charlm.text.store import TokenStore
from charlm.training.precision import choose_device
from charlm.tuning.space import Values, number

UNITS = 32  # by which sizes differ
MOST_DROPOUT = 0.8


def settle(request: TrainRequest, store: TokenStore) -> dict[str, Any]:
    """Measure the machine where trials are timed; give its speed and the bytes of a validation."""
    with threads_as_before():
        machine = set_up_machine(request, choose_device(request.device), False)
    plan = _plan(request, store, machine)
    between = plan.loop.validate_every * plan.learned
    scored = tokens_worth_scoring(between, plan.budget.seconds is not None)
    return {"flops": machine.flops, "validation_bytes": round(scored * _bytes_per_token(store))}


@contextmanager
def threads_as_before() -> Iterator[None]:
    """Put the number of threads back: a trial that chose fewer shall not bind the next."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def validation_tokens(store: TokenStore, settled: dict[str, Any]) -> int:
    """Give how many tokens of the held-out text have the bytes that every validation scores."""
    tokens: int = round(settled["validation_bytes"] / _bytes_per_token(store))
    return max(1, tokens)


def planned(
    request: TrainRequest, values: Values, store: TokenStore, settled: dict[str, Any]
) -> TrainRequest:
    """Give the whole request of a trial: where its values are the defaults, the plan's own."""
    machine = Machine(flops=settled["flops"])
    size = request.hidden
    if size is None:
        size = _plan(request, store, machine).network.hidden_size
        factor = number(values, "hidden_factor", 1.0)
        if factor != 1.0:
            size = max(UNITS, UNITS * round(size * factor / UNITS))
    request = replace(request, hidden=size)
    plan = _plan(request, store, machine)
    rate = plan.optimizer.learning_rate
    factor = number(values, "lr_factor", 1.0)
    dropout = plan.dropout
    if shift := number(values, "dropout_shift", 0.0):
        dropout = round(min(MOST_DROPOUT, max(0.0, dropout + shift)), 2)
    batch = max(1, round(plan.batch_size * number(values, "batch_factor", 1.0)))
    windows = _windows(plan.windows, number(values, "bptt_factor", 1.0))
    return replace(
        request,
        tokenizer=request.tokenizer or store.tokenizer.kind,
        layers=plan.network.num_layers,
        lr=rate if factor == 1.0 else float(f"{rate * factor:.3g}"),
        dropout=dropout,
        batch=batch,
        bptt=windows.last,
        bptt_start=windows.first if request.batches == "streams" else None,
    )


def _plan(request: TrainRequest, store: TokenStore, machine: Machine) -> Plan:
    learned, _ = divide(store.train)
    tokenizer = store.tokenizer
    facts = CorpusFacts(len(learned.ids) - 1, tokenizer.vocab_size, tokenizer.kind)
    return make_plan(request, facts, machine)


def _windows(usual: Windows, factor: float) -> Windows:
    last = max(1, round(usual.last * factor))
    return replace(usual, first=min(usual.first, last), last=last)


def _bytes_per_token(store: TokenStore) -> float:
    assert store.valid is not None
    counts = store.valid.counts()
    return max(counts.bytes, 1) / max(counts.tokens, 1)
