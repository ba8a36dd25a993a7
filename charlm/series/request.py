"""What a user asks of a run on a series; what is left at None is for the plan to choose."""

import math
import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from charlm.options import check, option
from charlm.runs.request import BUDGETS, RunRequest
from charlm.training.loop import LoopOptions

TEST, VALID = "20%", "10%"
SHARE = r"\d+(\.\d+)?%|\d+"
CHANGEABLE = frozenset({
    *BUDGETS, "lr", "schedule", "warmup", "weight_decay", "clip_norm", "dropout",
    "validate_every", "patience", "average", "threads", "device", "horizon",
})  # fmt: skip
LARGEST = {
    "layers": 100, "hidden": 10**5, "embed": 10**5, "batch": 10**6, "bptt": 10**6,
    "season": 10**7, "horizon": 10**7, "threads": 1_024,
}  # fmt: skip


@dataclass(frozen=True)
class SeriesRequest(RunRequest):
    """The options of `charlm series train` and of `charlm.series.train`."""

    KIND: ClassVar[str] = "series"
    CHANGEABLE: ClassVar[frozenset[str]] = CHANGEABLE

    minutes: float | None = option(None, "time for the training loop, instead of steps")
    epochs: float | None = option(None, "passes over the training part, instead of steps")
    steps: int | None = option(None, "updates (default: by the length of the series)")

    column: str | None = option(
        None, "columns that are the series, with commas between them (default: all of numbers)",
        metavar="NAME[,NAME]",
    )  # fmt: skip
    time: str | None = option(
        None, "column that holds times (default: the first that does)", metavar="NAME"
    )
    noise: float = option(0.0, "standard deviation of the noise on the built-in wave, sine")

    test: str | None = option(
        None,
        f"rows at the end that the model is judged on: a number, or a share such as {TEST}% (the "
        "default); 0 for none",
        metavar="ROWS",
    )
    valid: str | None = option(
        None,
        f"rows before them that training steers by, likewise (default {VALID}%)",
        metavar="ROWS",
    )
    scaling: Literal[
        "auto", "standard", "min-max", "robust", "difference", "log-difference", "none"
    ] = option("auto", "what the network reads in place of the values")
    season: int | None = option(
        None, "rows after which the series repeats itself (default: from the times, or found)"
    )
    lag: bool = option(True, "let the network read the value one season before the next, too")
    horizon: int | None = option(
        None,
        "rows ahead over which a closed loop is judged (default: a season, or a "
        "quarter of the rows judged)",
    )

    head: Literal["quantiles", "gaussian", "squared", "absolute"] | None = option(
        None, "what is predicted: a distribution by its quantiles (the default) or a normal one, "
        "or a point, judged by its squared (the default for sine) or absolute error"
    )  # fmt: skip
    cell: Literal["lstm", "gru", "rnn"] = option("lstm", "recurrent cell")
    layers: int = option(1, "stacked recurrent layers")
    hidden: int = option(32, "units in each layer")
    embed: int = option(16, "units of the linear layer below them")
    dropout: float = option(0.0, "on layers' outputs")

    batch: int | None = option(None, "pieces of the series learned from at a time")
    bptt: int | None = option(None, "rows between two updates (the window of truncated BPTT)")
    lr: float = option(5e-3, "peak learning rate")
    schedule: Literal["linear", "constant", "step"] = option(
        "linear", "course of the rate after warm-up: falling to zero, or in steps, or not"
    )
    warmup: float = option(0.02, "share of the run over which the rate rises")
    weight_decay: float = option(0.01, "decoupled weight decay of weight matrices")
    clip_norm: float = option(1.0, "largest norm of the whole gradient")
    validate_every: float = option(0.05, "share of the run between two validations")
    patience: int = option(0, "stop after N validations without gain; 0 never stops")
    average: str = option(
        "none",
        "average the weights over the last share of the run, or once validations stop gaining",
        metavar="SHARE|triggered",
    )
    seed: int = option(1, "of the weights, the dropout and the order of the rows")
    threads: int | None = option(None, "processor threads to use (default: 1 for small networks)")
    device: Literal["auto", "cpu", "cuda", "mps"] = option("cpu", "where to compute")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("test", "valid"):  # in Python a number of rows may be one
            if isinstance(getattr(self, name), int):
                object.__setattr__(self, name, str(getattr(self, name)))
        self.check_positive("lr", "clip_norm")
        self.check_counts(LARGEST)
        check(0 <= self.dropout < 1, f"--dropout must be in [0, 1), not {self.dropout}")
        check(0 <= self.noise < math.inf, f"--noise must be 0 or more, not {self.noise}")
        decay = self.weight_decay
        check(0 <= decay < math.inf, f"--weight-decay must be 0 or more, not {decay}")
        for name in ("test", "valid"):
            value = getattr(self, name)
            right = value is None or re.fullmatch(SHARE, value) is not None
            if right and value is not None and value.endswith("%"):
                right = float(value[:-1]) < 100
            check(
                right,
                f"--{name} must be a number of rows, or a share below 100 %, not '{value}'",
                f"such as --{name} 24 or --{name} 20%",
            )
        check(0 <= self.seed < 2**63, f"--seed must be in [0, 2^63), not {self.seed}")
        self.loop()

    def loop(self) -> LoopOptions:
        """Give the options of the training loop."""
        return LoopOptions(
            schedule=self.schedule,
            warmup=self.warmup,
            validate_every=self.validate_every,
            patience=self.patience,
            average=self.average,
            save_steps=self.save_steps,
            save_seconds=self.save_seconds,
            seed=self.seed,
        )


def rows_asked(words: str, total: int) -> int:
    """Turn `24` or `20%` of `total` rows into a number of rows."""
    if words.endswith("%"):
        return round(total * float(words[:-1]) / 100)
    return int(words)
