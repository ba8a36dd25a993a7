"""What a user asks of a training run; everything left at None is for the plan to choose."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from charlm.model.shape import MAX_ROUNDS
from charlm.options import check, option
from charlm.runs.request import BUDGETS, RunRequest
from charlm.training.loop import LoopOptions

MAX_RANK = 10**7
CUTOFFS = r"none|\d{1,9}(,\d{1,9})*"
COUNTS = (
    "layers", "hidden", "last_hidden", "embed", "mixtures", "batch", "bptt", "bptt_start",
    "accumulate", "threads",
)  # fmt: skip
DROPOUTS = tuple(
    f"{where}dropout" for where in ("", "input_", "layer_", "output_", "weight_", "embed_")
)
CHANGEABLE = frozenset({
    *BUDGETS, "test", "lr", "schedule", "warmup", "weight_decay", "clip_norm",
    "lr_step_from", "lr_step_every", "lr_step_factor", *DROPOUTS, "activation_penalty",
    "temporal_penalty", "accumulate", "validate_every", "patience", "average", "threads", "device",
    "precision",
})  # fmt: skip
LARGEST = {  # else 10^9
    "layers": 1_000, "hidden": 10**7, "last_hidden": 10**7, "embed": 10**7, "mixtures": 1_000,
    "threads": 1_024,
}  # fmt: skip


@dataclass(frozen=True)
class TrainRequest(RunRequest):
    """The options of `charlm train` and of `charlm.train`."""

    KIND: ClassVar[str] = "language"
    CHANGEABLE: ClassVar[frozenset[str]] = CHANGEABLE
    BEFORE: ClassVar[Mapping[str, Any]] = {"cutoffs": "none"}

    tokenizer: Literal["byte", "char", "word", "bpe"] | None = option(
        None, "what a token is (default: chosen from the size of the corpus)"
    )
    vocab_size: int | None = option(None, "largest vocabulary of a char, word or bpe tokenizer")
    unknown: Literal["spell", "unk"] = option(
        "spell",
        "unknown words of a word tokenizer: spelled out, or <unk> as in published tables",
    )

    cell: Literal["lstm", "gru", "rnn"] = option("lstm", "recurrent cell")
    layers: int | None = option(None, "stacked recurrent layers")
    hidden: int | None = option(None, "units in each layer")
    last_hidden: int | None = option(
        None, "units in the last layer; as many as --embed spare the tied output layer a projection"
    )
    embed: int | None = option(None, "size of the embedding")
    nonlinearity: Literal["tanh", "relu"] = option("tanh", "of the rnn cell")
    mogrifier: int = option(
        0,
        "rounds in which input and state gate each other before each LSTM step (Mogrifier: 5)",
        metavar="ROUNDS",
    )
    mogrifier_rank: int = option(0, "of the matrices of these rounds; 0 is full", metavar="K")
    mixtures: int = option(
        1, "softmaxes mixed in the output layer, instead of --cutoffs", metavar="K"
    )
    cutoffs: str | None = option(
        None, "ids at which the softmax opens a second level, such as 1000,4000; or none"
    )
    tie: bool = option(True, "share the embedding's weights with the output layer")
    init: Literal["usual", "uniform"] = option(
        "usual", "first weights: orthogonal, with open forget gates; or all uniform, as published"
    )
    dropout: float | None = option(
        None, "on layers' outputs and on embeddings (a fifth of it, for bytes, chars)"
    )
    input_dropout: float | None = option(None, "the same on embeddings alone")
    layer_dropout: float | None = option(None, "the same between layers alone")
    output_dropout: float | None = option(None, "the same on the last layer's outputs alone")
    weight_dropout: float = option(0.0, "on the recurrent weights (AWD-LSTM)")
    embed_dropout: float = option(0.0, "on whole tokens of the embedding (AWD-LSTM)")
    activation_penalty: float = option(0.0, "on large outputs of the last layer (AR of AWD-LSTM)")
    temporal_penalty: float = option(0.0, "on large changes of them (TAR of AWD-LSTM)")

    valid: str | None = option(None, "held-out text (default: the corpus's end)", metavar="FILE")
    test: str | None = option(None, "text to score once, at the end", metavar="FILE")
    documents: Literal["file", "line", "blank"] = option(
        "file", "where a new document starts: with a file, a line, or after a blank line"
    )
    batches: Literal["streams", "padded"] = option(
        "streams", "contiguous streams with carried state, or padded separate documents"
    )
    reset_at_documents: bool = option(False, "start each document from the initial state")
    encoding: str = option("utf-8", "encoding of the text", metavar="NAME")
    strict: bool = option(False, "refuse text with any invalid byte or broken row")
    text_column: str = option("text", "column of a table that holds the text", metavar="NAME")

    batch: int | None = option(None, "streams (or documents) learned from at a time")
    bptt: int | None = option(None, "tokens between two updates (the window of truncated BPTT)")
    bptt_start: int | None = option(None, "the same at the beginning: it grows to --bptt")
    random_windows: bool = option(False, "vary them at random, and the rate with them (AWD-LSTM)")
    optimizer: Literal["adamw", "adam", "sgd"] = option("adamw", "update rule")
    lr: float | None = option(None, "peak learning rate")
    schedule: Literal["linear", "constant", "step"] = option(
        "linear", "course of the rate after warm-up: falling to zero, or in steps, or not"
    )
    lr_step_from: float = option(
        0.6, "share of the run at which --schedule step lets it fall first"
    )
    lr_step_every: float = option(0.2, "and after which share it falls again")
    lr_step_factor: float = option(0.1, "and to which share of what it was")
    warmup: float = option(0.02, "share of the run over which the rate rises")
    weight_decay: float | None = option(
        None, "of weight matrices, decoupled; with adam and sgd of all weights, in the gradient"
    )
    clip_norm: float | None = option(None, "largest norm of the whole gradient")
    accumulate: int = option(1, "slices each batch is cut into, to save memory")
    validate_every: float = option(0.1, "share of the run between two validations")
    patience: int = option(0, "stop after N validations without gain; 0 never stops")
    average: str = option(
        "none",
        "average the weights over the last share of the run, or once validations stop gaining",
        metavar="SHARE|triggered",
    )

    seed: int = option(1, "of the weights, the dropout and the order of the text")
    threads: int | None = option(None, "processor threads to use (default: measured)")
    device: Literal["auto", "cpu", "cuda", "mps"] = option("auto", "where to compute")
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto", "bf16 needs a processor that has it; auto looks"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("vocab_size", "lr", "clip_norm")
        decay = self.weight_decay
        check(
            decay is None or 0 <= decay < math.inf, f"--weight-decay must be 0 or more, not {decay}"
        )
        self.check_counts({name: LARGEST.get(name, 10**9) for name in COUNTS})
        self._check_regularisation()
        check(
            self.unknown == "spell" or self.tokenizer == "word",
            "--unknown unk is for --tokenizer word",
        )
        check(0 <= self.seed < 2**63, f"--seed must be in [0, 2^63), not {self.seed}")
        check(
            self.bptt is None or (self.bptt_start or 1) <= self.bptt,
            f"--bptt-start must be at most --bptt, {self.bptt}, not {self.bptt_start}",
        )
        check(
            self.cutoffs is None or re.fullmatch(CUTOFFS, self.cutoffs) is not None,
            f"--cutoffs must be numbers with commas between them, or none, not '{self.cutoffs}'",
        )
        self._check_extensions()
        check(
            self.batches == "streams" or self.bptt_start in (None, self.bptt),
            "--bptt-start is for streams: documents are cut into windows of one width",
        )
        self.loop()  # its own rules, before the corpus is read

    def _check_regularisation(self) -> None:
        for name in DROPOUTS:
            value, shown = getattr(self, name), "--" + name.replace("_", "-")
            check(value is None or 0 <= value < 1, f"{shown} must be in [0, 1), not {value}")
        for name in ("activation_penalty", "temporal_penalty"):
            value, shown = getattr(self, name), "--" + name.replace("_", "-")
            check(0 <= value < math.inf, f"{shown} must be 0 or more, not {value}")
        check(
            self.batches == "streams" or not self.random_windows,
            "--random-windows is for streams: documents are cut into windows of one width",
        )

    def loop(self) -> LoopOptions:
        """Give the options of the training loop."""
        return LoopOptions(
            schedule=self.schedule,
            warmup=self.warmup,
            accumulate=self.accumulate,
            validate_every=self.validate_every,
            patience=self.patience,
            average=self.average,
            lr_step_from=self.lr_step_from,
            lr_step_every=self.lr_step_every,
            lr_step_factor=self.lr_step_factor,
            save_steps=self.save_steps,
            save_seconds=self.save_seconds,
            seed=self.seed,
        )

    def _check_extensions(self) -> None:
        rounds, rank = self.mogrifier, self.mogrifier_rank
        check(
            self.last_hidden is None or (self.layers or 1) > 1,
            "--last-hidden is for --layers 2 or more",
            "of one layer --hidden are the units",
        )
        check(
            0 <= rounds <= MAX_ROUNDS,
            f"--mogrifier must be 0 to {MAX_ROUNDS} rounds, not {rounds}",
        )
        check(rounds == 0 or self.cell == "lstm", "--mogrifier is for --cell lstm")
        check(0 <= rank <= MAX_RANK, f"--mogrifier-rank must be 0 to {MAX_RANK:,}, not {rank}")
        check(
            rank == 0 or rounds > 0, "--mogrifier-rank needs --mogrifier", "such as --mogrifier 5"
        )
        check(
            self.mixtures == 1 or not self.cutoffs_asked,
            "--mixtures and --cutoffs cannot be given together",
        )

    @property
    def minutes_or_default(self) -> float | None:
        """The budget in minutes; 2 if no budget was given, None if it is in steps or epochs."""
        if self.steps is None and self.epochs is None:
            return 2.0 if self.minutes is None else self.minutes
        return None

    @property
    def seconds(self) -> float:
        """Give the budget in seconds; infinity if it is in steps or epochs."""
        minutes = self.minutes_or_default
        return math.inf if minutes is None else 60 * minutes

    @property
    def cutoffs_asked(self) -> tuple[int, ...]:
        """Give the cutoffs that were asked for."""
        asked = self.cutoffs or "none"
        return () if asked == "none" else tuple(map(int, asked.split(",")))
