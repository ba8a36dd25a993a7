"""A tiny objective for tests of the search: no network, the score is the square of a number."""

from pathlib import Path

from charlm.errors import DivergedError
from charlm.tuning.objective import TEXT, Outcome
from charlm.tuning.space import Choice, Number


class Parabola:
    """The score of x is x squared, and one more for the wrong side; curves fall to it."""

    name, unit, wording = "parabola", "points", TEXT

    def __init__(self, corpus="here", diverges=lambda options: False, at=lambda share: None):
        self.corpus, self.diverges, self.at = corpus, diverges, at
        self.trained = []

    def identity(self):
        return {"corpus": {"text": self.corpus}, "options": {"minutes": 1.0}}

    def space(self):
        return [
            Choice("side", ("left", "right"), "left"),
            Number("x", -4.0, 4.0, 1.0),
            Number("far", 1.0, 100.0, 10.0, log=True, when=("side", "right")),
            Number("count", 1, 5, 2, whole=True),
        ]

    def settle(self, known):
        return {"machine": 3} if known is None else known

    def keep(self, directory):
        (directory / "kept").touch()

    def options(self, values, repeat):
        return {**values, "seed": 1 + repeat}

    def train(self, options, directory, report, stop, stream):
        self.trained.append(options)
        (directory / "checkpoints").mkdir(parents=True)
        (directory / "metrics.jsonl").write_text("{}\n")
        score = options["x"] ** 2 + (options["side"] == "right") + 0.01 * options["seed"]
        with stop.training():
            for tenth in range(1, 11):
                self.at(tenth)
                if self.diverges(options):
                    raise DivergedError("training diverged")
                report(tenth / 10, score + 10 - tenth)
                if stop.requested():
                    return None
        costs, units = [score * 32.0 + k % 3 for k in range(64)], [32] * 64
        return Outcome(score, costs, units, lambda: self._keep(directory))

    def _keep(self, directory: Path):
        (directory / "model.safetensors").write_bytes(b"weights")
        (directory / "MANIFEST.json").write_text("{}")

    def told(self, values):
        return str(values)

    def command(self, options):
        return f"train {options}"

    def train_longer(self, options, minutes, out, progress, stop):
        return {}, ""
