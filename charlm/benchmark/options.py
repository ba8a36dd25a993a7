"""What is asked of `charlm bench`. Imports no torch."""

from dataclasses import dataclass

from charlm.errors import UsageError
from charlm.options import check, did_you_mean, option

GENERATION = ("writing", "typing", "starting", "scoring", "serving")
PARTS = ("ceilings", "throughput", "cells", "contest", "memory", *GENERATION, "targets")
LONG = ("typing", "starting", "scoring", "serving", "targets")  # they train models first
QUICK_ROUNDS = 2


@dataclass(frozen=True)
class BenchOptions:
    """The options of `charlm bench`."""

    only: str | None = option(
        None,
        f"parts to run, of {','.join(PARTS)} (default: all but {','.join(LONG)})",
        metavar="PART,...",
    )
    generate: bool = option(False, f"run {','.join(GENERATION)}: what a trained model is used for")
    model: str | None = option(
        None,
        "models to type, start, score and serve with (default: one of characters and one of BPE, "
        "trained on the CORPUS, or the built-in text)",
        metavar="MODEL,...",
    )
    rounds: int = option(5, "times that each thing is measured; the medians are told")
    threads: int | None = option(None, "processor threads to use (default: measured)")
    quick: bool = option(False, "tiny sizes and two rounds: does everything run?")
    minutes: float | None = option(
        None,
        "time for each run to a target (default: the target's own), or for each model (default 2)",
        metavar="M",
    )
    target: float | None = option(
        None, "nats per token to reach (default: those known for the published corpora)"
    )
    seeds: int = option(3, "runs to each target, with the seeds 1 to N")
    textbook_minutes: float = option(
        0.0, "time the textbook loop may train to a target; else its time is projected", metavar="M"
    )

    def __post_init__(self) -> None:
        for name in self.parts:
            if name not in PARTS:
                hint = did_you_mean(name, PARTS) or f"parts: {', '.join(PARTS)}"
                raise UsageError(f"--only knows no part '{name}'", hint)
        both = self.generate and self.only is not None
        check(not both, "--generate and --only both say what to run", "pass one of them")
        for name, value in (("rounds", self.rounds), ("seeds", self.seeds)):
            check(1 <= value <= 1000, f"--{name} must be from 1 to 1,000, not {value}")
        threads = self.threads
        check(
            threads is None or 1 <= threads <= 1024,
            f"--threads must be from 1 to 1,024, not {threads}",
        )
        for name, wish in (("minutes", self.minutes), ("target", self.target)):
            check(wish is None or 0 < wish < 1e6, f"--{name} must be above 0, not {wish}")
        check(0 <= self.textbook_minutes < 1e6, "--textbook-minutes must be 0 or more")

    @property
    def parts(self) -> tuple[str, ...]:
        """Give the names of the parts to run."""
        if self.only is not None:
            return tuple(self.only.split(","))
        return GENERATION if self.generate else tuple(part for part in PARTS if part not in LONG)

    @property
    def repeats(self) -> int:
        """Give how often each thing is measured."""
        return min(self.rounds, QUICK_ROUNDS) if self.quick else self.rounds

    @property
    def models(self) -> list[str]:
        """Give the directories of the models that are named."""
        return [] if self.model is None else self.model.split(",")
