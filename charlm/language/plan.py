"""From corpus, budget, machine and options to a plan: the network and how it is trained.

A pure function. With steps or epochs the machine makes no difference.
"""

import math
from dataclasses import dataclass, replace

from charlm.batches.windows import Windows
from charlm.language.probe import Machine
from charlm.language.request import TrainRequest
from charlm.language.sizes import (
    CorpusFacts,
    choose_batch,
    choose_hidden,
    choose_windows,
    hidden_for_targets,
    network_of,
    operations,
)
from charlm.model.shape import NetworkConfig
from charlm.training.budget import Budget
from charlm.training.loop import LoopOptions
from charlm.training.optimizers import OptimizerOptions

MAX_RATE = 3e-2
RATE_TIMES_UNITS = 7.7  # of symbols; networks twice as wide take half the rate
WORD_RATE_TIMES_UNITS = 5.1
CLIP_NORM = 1.0
PASSES_KEPT = 4  # that weight decay lets a weight remember
MAX_DECAY = 0.5
# by kind of token: passes that need no dropout, and what doubling them adds
DROPOUT = {"byte": (2.5, 0.22), "char": (2.5, 0.22), "bpe": (1.5, 0.09), "word": (1.0, 0.17)}
LOOP_SPEED = 0.5  # of a Mogrifier's plain loop, beside PyTorch's LSTM, in operations a second
WIDE = 672  # units for which symbols' dropout was tried; smaller networks learn less by heart


@dataclass(frozen=True)
class Plan:
    """Everything a run is, but for the corpus and the seed.

    batch_size: streams (or documents) learned from at a time
    windows:    steps of them, from the beginning to the end of the run
    dropout:    of the network, where no other was asked for a part of it
    learned:    an estimate of how many predictions the run learns from
    passes:     and so of how often it sees its text
    """

    network: NetworkConfig
    optimizer: OptimizerOptions
    loop: LoopOptions
    budget: Budget
    batch_size: int
    windows: Windows
    dropout: float
    learned: float
    passes: float


def make_plan(request: TrainRequest, corpus: CorpusFacts, machine: Machine) -> Plan:
    """Choose what the request leaves open."""
    windows, batch = choose_windows(request, corpus), choose_batch(request, corpus)
    budget = _budget(request, corpus)
    asked = _targets_asked(budget, batch, windows)
    available = operations_available(budget.seconds or 0.0, machine, request)
    hidden = request.hidden
    if hidden is None and asked is None:
        hidden = choose_hidden(request, corpus, available)
    elif hidden is None:
        assert asked is not None
        hidden = hidden_for_targets(request, corpus, asked)
    learned = asked
    if learned is None:
        work = sum(operations(network_of(request, corpus, hidden)))
        learned = available / work
    passes = learned / max(corpus.tokens, 1)
    dropout = request.dropout
    if dropout is None:
        dropout = _dropout(passes, corpus, hidden)
    return Plan(
        network=network_of(request, corpus, hidden, dropout),
        optimizer=_optimizer(request, corpus, hidden, corpus.tokens / (batch * windows.mean)),
        loop=request.loop(),
        budget=budget,
        batch_size=batch,
        windows=windows,
        dropout=dropout,
        learned=learned,
        passes=passes,
    )


def _optimizer(
    request: TrainRequest, corpus: CorpusFacts, hidden: int, steps_of_pass: float
) -> OptimizerOptions:
    """Choose the rate: small networks take, and need, high ones. And the weight decay.

    Decay makes a weight forget the steps before the last 1 / (rate x decay); that time is a fixed
    number of passes, so that little text takes much of it (Wang & Aitchison 2024, arXiv
    2405.13698).
    """
    scale = RATE_TIMES_UNITS if corpus.symbols else WORD_RATE_TIMES_UNITS
    adamw = min(MAX_RATE, scale / hidden)
    rate, clip = (20.0, 0.25) if request.optimizer == "sgd" else (adamw, CLIP_NORM)
    if request.cell != "lstm":
        rate /= 2
    rate, decay = request.lr or rate, request.weight_decay
    if decay is None and request.optimizer == "adamw":
        mean = rate * _mean_factor(request)
        decay = 1 / (PASSES_KEPT * max(steps_of_pass, 1.0) * mean)
        decay = float(f"{min(MAX_DECAY, decay):.2g}")
    return OptimizerOptions(
        optimizer=request.optimizer,
        learning_rate=rate,
        weight_decay=decay or 0.0,
        clip_norm=request.clip_norm or clip,
    )


def _mean_factor(request: TrainRequest) -> float:
    """Give the mean of the schedule's factors, the warm-up left out."""
    if request.schedule != "step":
        return 1.0 if request.schedule == "constant" else 0.5
    loop = replace(request.loop(), warmup=0.0)
    return sum(loop.rate_factor((k + 0.5) / 100) for k in range(100)) / 100


def _budget(request: TrainRequest, corpus: CorpusFacts) -> Budget:
    if request.steps is not None:
        return Budget(steps=request.steps)
    if request.epochs is not None:
        return Budget(targets=max(1, round(request.epochs * corpus.tokens)))
    assert request.minutes_or_default is not None
    return Budget(seconds=60 * request.minutes_or_default)


def operations_available(seconds: float, machine: Machine, request: TrainRequest) -> float:
    """Give the operations that the machine can do in a time, with such a network."""
    return seconds * machine.flops * (LOOP_SPEED if request.mogrifier else 1.0)


def _targets_asked(budget: Budget, batch: int, windows: Windows) -> float | None:
    """Count the predictions that steps or epochs will learn from; None for minutes."""
    if budget.steps is not None:
        return budget.steps * batch * windows.mean
    return budget.targets


def _dropout(passes: float, corpus: CorpusFacts, hidden: int) -> float:
    """Choose the dropout: none for text seen a few times, more the oftener it is seen again."""
    few, slope = DROPOUT[corpus.kind]
    if corpus.symbols:
        slope *= math.sqrt(hidden / WIDE)
    return 0.0 if passes <= few else round(min(0.5, slope * math.log2(passes / few)), 2)
