"""What a search came to: a table, a verdict against charlm's own plan, and the command to run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charlm.tuning.objective import TEXT, Wording
from charlm.tuning.trials import TrialRecord, best_of, completed, shown


@dataclass(frozen=True)
class TuneReport:
    """The trials of a study, and which was best.

    budget:      of each trial: minutes or steps
    interval:    95 %, of the best one's score less that of charlm's own plan, on the held-out text
    importances: by parameter, where enough trials are complete
    command:     that trains what the best one did; None where no trial is complete
    plots:       files that were drawn
    trained:     what `--train-best` came to
    wording:     of what trials were scored on
    """

    directory: Path
    unit: str
    budget: Mapping[str, float | int]
    trials: tuple[TrialRecord, ...]
    interval: tuple[float, float] | None = None
    importances: Mapping[str, float] = field(default_factory=dict)
    command: str | None = None
    plots: tuple[Path, ...] = ()
    trained: Mapping[str, Any] | None = None
    wording: Wording = TEXT

    @property
    def best(self) -> TrialRecord | None:
        """Give the best complete trial."""
        return best_of(self.trials)

    @property
    def plan_scores(self) -> list[float]:
        """Give the scores of charlm's own plan, one for each seed."""
        return [score for score, trial in completed(self.trials) if trial.plan]

    @property
    def gain(self) -> float | None:
        """Give by how much the best is better than the plan's best run."""
        if self.best is None or self.best.score is None or not self.plan_scores:
            return None
        return min(self.plan_scores) - self.best.score

    @property
    def spread(self) -> float | None:
        """Give how far the plan's own scores are apart, which differ by chance alone."""
        scores = self.plan_scores
        return max(scores) - min(scores) if len(scores) > 1 else None

    @property
    def is_better(self) -> bool | None:
        """Tell whether the best beats the plan by more than chance; None if nobody can tell.

        It must be more than two runs of the plan differ by, and more than its interval on the text.
        """
        if self.best is None or self.gain is None:
            return None
        if self.best.plan or self.gain <= (self.spread or 0.0):
            return False
        if self.interval is not None and self.interval[1] >= 0:
            return False
        return None if self.interval is None or self.spread is None else True

    def verdict(self) -> str:
        """Say in a sentence whether the search was worth it."""
        best, gain = self.best, self.gain
        if best is None:
            return "no trial is complete yet: there is nothing to compare"
        if gain is None:
            return f"trial {best.number} is the best; charlm's own plan is not complete yet"
        if best.plan:
            return (
                f"no trial is better than charlm's own plan, {shown(best.score or 0.0)} {self.unit}"
            )
        by = f"{shown(gain)} {self.unit}{self._reach()}"
        if self.is_better:
            return f"trial {best.number} is better than charlm's own plan by {by}"
        if self.is_better is None:
            why = self.wording.short if self.interval is None else "the plan ran once"
            return (
                f"trial {best.number} is ahead of charlm's own plan by {by}; whether that is more "
                f"than chance nobody can tell, as {why}"
            )
        return (
            f"trial {best.number} does not beat charlm's own plan by more than chance may: it is "
            f"ahead by {by}"
        )

    def _reach(self) -> str:
        parts = []
        if self.interval is not None:
            low, high = -self.interval[1], -self.interval[0]
            parts.append(f"{shown(low)} to {shown(high)} on {self.wording.scored}")
        if self.spread is not None:
            parts.append(f"the plan itself differs by {shown(self.spread)} from seed to seed")
        return f" ({'; '.join(parts)})" if parts else ""

    def text(self) -> str:
        """Lay out everything for people."""
        lines = [table(self.trials, self.unit), "", self.verdict()]
        if self.best is not None:
            lines.append(self.wording.warning)
        if self.importances:
            shares = [f"{name} {share:.0%}" for name, share in self.importances.items()]
            known = f"as far as {len(completed(self.trials))} complete trials can tell"
            lines.append(f"what mattered most, {known}: {', '.join(shares[:4])}")
        lines += [f"plot     {path}" for path in self.plots]
        lines += ["", f"study    {self.directory}"]
        if self.command is not None:
            lines.append(f"best     {self.command}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold."""
        best = self.best
        return {
            "study": str(self.directory),
            "unit": self.unit,
            "budget": dict(self.budget),
            "trials": [trial.to_json() for trial in self.trials if trial.state != "waiting"],
            "best": None if best is None else best.number,
            "best_score": None if best is None else best.score,
            "plan_scores": self.plan_scores,
            "gain": self.gain,
            "interval": None if self.interval is None else list(self.interval),
            "spread": self.spread,
            "beats_the_plan": self.is_better,
            "verdict": self.verdict(),
            "importances": dict(self.importances),
            "command": self.command,
            "plots": [str(path) for path in self.plots],
            "trained": self.trained,
        }


def table(trials: Sequence[TrialRecord], unit: str) -> str:
    """Lay out the trials: the complete ones, the best first, then the others in their order."""
    listed = [trial for _, trial in completed(trials)]
    listed += [trial for trial in trials if trial.state not in ("waiting", "complete")]
    names = [name for name in dict.fromkeys(n for t in listed for n in t.options) if name != "seed"]
    rows = [["trial", unit, *(name.replace("_", " ") for name in names)]]
    for trial in listed:
        score = shown(trial.score or 0.0) if trial.state == "complete" else str(trial.state)
        options = [_cell(trial.options.get(name)) for name in names]
        rows.append([str(trial.number), score, *options])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    notes = ["", *map(_note, listed)]
    return "\n".join(f"{line}  {note}".rstrip() for line, note in zip(lines, notes, strict=True))


def _note(trial: TrialRecord) -> str:
    if trial.plan and trial.state != "again":
        return "charlm's own plan" + (", another seed" if trial.repeat else "")
    return trial.why or ""


def _cell(value: Any) -> str:  # noqa: ANN401
    if value is None:
        return "usual"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
