"""Language models as what is tuned: a network and its tokenizer around charlm's own plan.

What is searched is mostly not sizes and rates but how they differ from the plan's: the plan follows
from tokenizer, cell and machine, and a trial that changes one of these changes the others with it.
Imports no torch.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TextIO

from charlm.errors import CorpusError, UsageError
from charlm.language.command import command_line
from charlm.language.corpus import open_or_prepare
from charlm.language.fit import fit
from charlm.language.record import corpus_identity
from charlm.language.request import TrainRequest
from charlm.runs.dialogue import Stop, Tell
from charlm.text.finding import is_prepared, run_name
from charlm.tuning.objective import TEXT, Options, Outcome, Report
from charlm.tuning.space import Choice, Number, Parameter, Value, Values, option_of, told

TOKENIZERS: tuple[Value, ...] = ("byte", "char", "word", "bpe")
VOCABULARIES: dict[str, tuple[int, ...]] = {
    "bpe": (512, 1_024, 2_048, 4_096, 8_192, 16_384),
    "word": (2_000, 5_000, 10_000, 20_000, 40_000),
}
BYTES_PER_SYMBOL = 50  # of text, at least: a vocabulary is larger than a text can teach
SHOWN = (
    "tokenizer", "vocab_size", "cell", "layers", "hidden", "lr", "dropout", "weight_dropout",
    "batch", "bptt", "bptt_start",
)  # fmt: skip
BUDGETS = ("minutes", "steps", "epochs")


class LanguageObjective:
    """Tunes `charlm train` on a corpus: bits per byte on its held-out text."""

    wording = TEXT

    def __init__(
        self, paths: Sequence[str], request: TrainRequest, fixed: Collection[str], tell: Tell
    ) -> None:
        """Prepare the corpus; `fixed` are the options of the request that are not searched.

        Raises CorpusError, also where the text is too short to hold some of it out.
        """
        if "-" in paths:
            raise UsageError(
                "each trial reads the text anew, and standard input can be read once",
                "put it into a file",
            )
        self.paths, self.request = list(paths), request
        self.name = run_name(paths)
        self.store = open_or_prepare(self.paths, request, tell)
        if self.store.valid is None or len(self.store.valid.ids) < 2:
            raise CorpusError(
                "the corpus is too small to hold text out, by which trials are compared",
                "name held-out text with --valid FILE",
            )
        self.fixed = {*fixed} | ({"tokenizer", "vocab_size"} if self._is_prepared() else set())
        self.settled: dict[str, Any] = {}
        lossless = self.store.tokenizer.lossless
        self.unit = "bits per byte" if lossless else "nats per token"

    def identity(self) -> dict[str, Any]:
        """Name the text by what is in it, and the fixed options by their values."""
        options, usual = asdict(self.request), asdict(TrainRequest())
        corpus = corpus_identity(self.store)
        corpus.pop("directory")
        kept = {
            name: value
            for name, value in options.items()
            if (name in self.fixed or value != usual[name]) and name != "valid"  # it is in `corpus`
        }
        return {"corpus": corpus, "options": kept}

    def space(self) -> list[Parameter]:
        """Give what is searched; the plan's own choice is the default of each."""
        kind = self.store.tokenizer.kind
        found: list[Parameter] = [Choice("tokenizer", TOKENIZERS, kind), *self._vocabularies(kind)]
        found += [
            Choice("cell", ("lstm", "gru", "rnn"), self.request.cell),
            Number("layers", 1, 3, 1, whole=True),
            Number("hidden_factor", 0.4, 2.0, 1.0, log=True),
            Number("lr_factor", 0.25, 3.0, 1.0, log=True),
            Number("dropout_shift", -0.3, 0.3, 0.0),
            Number("weight_dropout", 0.0, 0.4, 0.0),
            Number("batch_factor", 0.125, 2.0, 1.0, log=True),
            Number("bptt_factor", 0.5, 4.0, 1.0, log=True),
        ]
        fixed = self.fixed | self._implied()
        return [each for each in found if option_of(each.name) not in fixed]

    def _vocabularies(self, kind: str) -> list[Parameter]:
        """Give a parameter for the size of each vocabulary; None is the usual one."""
        most = self.store.train.counts().bytes / BYTES_PER_SYMBOL
        found: list[Parameter] = []
        for name, sizes in VOCABULARIES.items():
            values = (None, *(size for size in sizes if size <= most))
            if len(values) == 1:
                continue
            if "tokenizer" not in self.fixed:
                found.append(Choice(f"{name}_vocab_size", values, None, ("tokenizer", name)))
            elif name == kind:
                found.append(Choice(f"{name}_vocab_size", values, None))
        return found

    def _implied(self) -> set[str]:
        """Name the options that others that are given leave no choice."""
        implied = set()
        if self.request.mogrifier:
            implied.add("cell")
        if self.request.unknown == "unk":  # other words would be <unk>: scores would not compare
            implied |= {"tokenizer", "vocab_size"}
        if "bptt_start" in self.fixed:
            implied.add("bptt")
        parts = {"input_dropout", "layer_dropout", "output_dropout"}
        return implied | ({"dropout"} if parts <= self.fixed else set())

    def settle(self, known: dict[str, Any] | None) -> dict[str, Any]:
        """Measure the machine, once for all trials, and choose how much text a validation scores.

        That many bytes are scored on the way in every trial, whatever its tokenizer.
        """
        if known is None:
            from charlm.tuning.plan import settle  # loads PyTorch

            known = settle(self.request, self.store)
        self.settled = known
        return known

    def keep(self, directory: Path) -> None:
        """Put nothing there: the prepared text has a place of its own."""

    def request_of(self, values: Values) -> TrainRequest:
        """Give the request for a trial's tokenizer, cell and layers; sizes and rates are to come.

        Raises UsageError for what does not go together.
        """
        chosen: dict[str, Any] = {}
        for name, value in values.items():
            if name.endswith("_vocab_size"):
                chosen["vocab_size"] = value
            elif not name.endswith(("_factor", "_shift")):
                chosen[name] = value
        if "weight_dropout" in chosen:
            chosen["weight_dropout"] = round(chosen["weight_dropout"], 2)
        return replace(self.request, **chosen)

    def options(self, values: Values, repeat: int) -> Options:
        """Give the plan's options for a trial's tokenizer and cell, moved by its factors."""
        from charlm.tuning.plan import planned

        request = self.request_of(values)
        store = open_or_prepare(self.paths, request, lambda line: None)
        request = planned(request, values, store, self.settled)
        found = {name: getattr(request, name) for name in SHOWN}
        return found | ({"seed": request.seed + repeat} if repeat else {})

    def train(
        self,
        options: Options,
        directory: Path,
        report: Report,
        stop: Stop,
        stream: TextIO | None,
    ) -> Outcome | None:
        """Train a network, and score it on the held-out text."""
        from charlm.tuning.trial import train_trial

        request = self._run_of(options)
        store = open_or_prepare(self.paths, request, lambda line: None)
        return train_trial(
            self.paths, request, store, directory, self.settled, report, stop, stream
        )

    def told(self, values: Values) -> str:
        """Tell what differs from the plan."""
        return told(values, self.space())

    def command(self, options: Options | None) -> str:
        """Write the command that trains what a trial did."""
        return command_line(self.paths, self._run_of(options))

    def train_longer(
        self,
        options: Options | None,
        minutes: float | None,
        out: str | None,
        progress: TextIO | None,
        stop: Stop,
    ) -> tuple[dict[str, Any], str]:
        """Train the same for so many minutes, as `charlm train` does."""
        request = replace(self._run_of(options), out=out)
        if minutes is not None:
            budget: dict[str, Any] = dict.fromkeys(BUDGETS)
            request = replace(request, **(budget | {"minutes": minutes}))
        result = fit(self.paths, request, progress, stop)
        if result is None:
            return {}, ""
        return result.to_json(), result.summary()

    def _run_of(self, options: Options | None) -> TrainRequest:
        given = dict(options or {})
        if self._is_prepared():  # its tokenizer is settled
            given.pop("tokenizer", None)
            given.pop("vocab_size", None)
        return replace(self.request, **given)

    def _is_prepared(self) -> bool:
        return len(self.paths) == 1 and is_prepared(self.paths[0])
