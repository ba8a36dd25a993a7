"""From corpus, budget and options to a plan: the size of the network and how it is trained.

With steps or epochs the plan is a pure function of corpus, options and seed. With minutes it also
looks at the processor threads and whether they multiply bfloat16 in hardware.
"""

import math
from dataclasses import dataclass
from typing import Any

from charlm.language.request import TrainRequest
from charlm.model.shape import GATES, NetworkConfig
from charlm.training.budget import Budget
from charlm.training.loop import LoopOptions
from charlm.training.optimizers import OptimizerOptions

REFERENCE_THREADS = 2
FP32_SPEED = 0.6  # of what bfloat16 reaches in an LSTM
FLOPS = 170e9  # reached in training with two threads and bfloat16
BATCH = 16
MAX_RATE = 2e-2


@dataclass(frozen=True)
class CorpusFacts:
    """What the plan needs to know of a prepared corpus."""

    tokens: int
    vocab_size: int
    kind: str
    closed: bool = False

    @property
    def symbols(self) -> bool:
        """Tell whether tokens are bytes or characters, of which a word takes several."""
        return self.kind in ("byte", "char")


@dataclass(frozen=True)
class Plan:
    """Everything a run is, but for the corpus and the seed."""

    network: NetworkConfig
    optimizer: OptimizerOptions
    loop: LoopOptions
    budget: Budget
    batch_size: int
    window: int


def make_plan(request: TrainRequest, corpus: CorpusFacts, threads: int, bf16: bool) -> Plan:
    """Choose what the request leaves open."""
    hidden = request.hidden or _hidden_size(request, corpus, threads, bf16)
    window = request.bptt or _window(corpus)
    batch = request.batch or (BATCH if request.batches == "streams" else 2 * BATCH)
    learned = _targets_learned(request, corpus, hidden, threads, bf16)
    dropout = request.dropout
    if dropout is None:
        dropout = _dropout(learned / max(corpus.tokens, 1), corpus)
    return Plan(
        network=_network(request, corpus, hidden, dropout),
        optimizer=_optimizer(request, corpus, hidden),
        loop=LoopOptions(
            schedule=request.schedule,
            warmup=request.warmup,
            accumulate=request.accumulate,
            validate_every=request.validate_every,
            patience=request.patience,
            save_steps=request.save_steps,
            save_seconds=request.save_seconds,
            seed=request.seed,
        ),
        budget=_budget(request, corpus),
        batch_size=batch,
        window=window,
    )


def _network(
    request: TrainRequest, corpus: CorpusFacts, hidden: int, dropout: float
) -> NetworkConfig:
    return NetworkConfig(
        vocab_size=corpus.vocab_size,
        embed_size=_embed_size(request, corpus, hidden),
        hidden_size=hidden,
        num_layers=request.layers or 1,
        cell=request.cell,
        nonlinearity=request.nonlinearity,
        tie_weights=request.tie,
        input_dropout=dropout,
        layer_dropout=dropout,
        output_dropout=dropout,
        weight_dropout=request.weight_dropout,
        embed_dropout=request.embed_dropout,
    )


def _optimizer(request: TrainRequest, corpus: CorpusFacts, hidden: int) -> OptimizerOptions:
    """Choose the rate: small networks take, and need, high ones."""
    adamw = min(MAX_RATE, (4.6 if corpus.symbols else 4.0) / hidden)
    defaults: dict[str, Any] = {"adamw": (adamw, 1.0), "sgd": (20.0, 0.25)}
    rate, clip = defaults[request.optimizer]
    if request.cell != "lstm":
        rate /= 2
    return OptimizerOptions(
        optimizer=request.optimizer,
        learning_rate=request.lr or rate,
        weight_decay=0.01 if request.weight_decay is None else request.weight_decay,
        clip_norm=request.clip_norm or clip,
    )


def _budget(request: TrainRequest, corpus: CorpusFacts) -> Budget:
    if request.steps is not None:
        return Budget(steps=request.steps)
    if request.epochs is not None:
        return Budget(targets=_targets_asked(request, corpus))
    assert request.minutes_or_default is not None
    return Budget(seconds=60 * request.minutes_or_default)


def _power(threads: int, bf16: bool) -> float:
    """Estimate the machine's speed, as a multiple of two threads with bfloat16."""
    return threads / REFERENCE_THREADS * (1.0 if bf16 else FP32_SPEED)


def _hidden_size(request: TrainRequest, corpus: CorpusFacts, threads: int, bf16: bool) -> int:
    """Choose the number of units: as many as the budget can train.

    The constants are those of trials on two cores (docs/benchmarks.md): the best size for a
    character model was about 256 units for one minute and 384 for two. Of a large vocabulary's
    time only the recurrent layers' share counts.
    """
    minutes = request.minutes_or_default
    if minutes is None:
        size = 84 * (_targets_asked(request, corpus) / 1e5) ** 0.4
    else:
        size = 290.0
        for _ in range(8):  # the share depends on the size, the size on the share
            recurrent, head = _products(request, corpus, round(size))
            share = recurrent / (recurrent + head)
            size = 290 * (minutes * share * _power(threads, bf16)) ** 0.4
    if request.layers is not None:
        size /= math.sqrt(request.layers)
    smallest = 64 if corpus.symbols else 128
    return int(max(smallest, min(1024, 32 * round(size / 32))))


def _embed_size(request: TrainRequest, corpus: CorpusFacts, hidden: int) -> int:
    return request.embed or min(hidden, 128 if corpus.symbols else 200)


def _products(request: TrainRequest, corpus: CorpusFacts, hidden: int) -> tuple[int, int]:
    """Count the multiplications for one prediction, of the recurrent layers and of the head."""
    embed, layers = _embed_size(request, corpus, hidden), request.layers or 1
    gates = GATES[request.cell]
    recurrent = gates * hidden * (embed + hidden + (layers - 1) * 2 * hidden)
    return recurrent, embed * (hidden + corpus.vocab_size)


def _targets_learned(
    request: TrainRequest, corpus: CorpusFacts, hidden: int, threads: int, bf16: bool
) -> float:
    """Estimate how many predictions the run will learn from."""
    minutes = request.minutes_or_default
    if minutes is None:
        return _targets_asked(request, corpus)
    work = 6 * sum(_products(request, corpus, hidden))
    return 60 * minutes * FLOPS * _power(threads, bf16) / work


def _targets_asked(request: TrainRequest, corpus: CorpusFacts) -> int:
    """Count the predictions that the steps or epochs asked for will learn from."""
    if request.steps is not None:
        return request.steps * (request.batch or BATCH) * (request.bptt or _window(corpus))
    assert request.epochs is not None
    return max(1, round(request.epochs * corpus.tokens))


def _window(corpus: CorpusFacts) -> int:
    return 64 if corpus.symbols else 35


def _dropout(epochs: float, corpus: CorpusFacts) -> float:
    """Choose the dropout: none for text seen once, more the oftener it is seen again."""
    if epochs <= 1.5:
        return 0.0
    slope = 0.07 if corpus.symbols else 0.17
    return round(min(0.5, slope * math.log2(epochs)), 2)
