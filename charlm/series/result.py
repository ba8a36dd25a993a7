"""What a training run on a series gives back, and how it is told."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from charlm.series.handle import SeriesModel
from charlm.series.judging import Scores
from charlm.series.report import scores_table

if TYPE_CHECKING:
    from charlm.training.task import TrainState


@dataclass(frozen=True)
class SeriesResult:
    """A trained model and its scores.

    scores: None where training was stopped, or nothing was kept back to judge it on
    """

    model: SeriesModel
    state: "TrainState"
    scores: Scores | None

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold."""
        scores = self.model.config.get("scores")
        return {
            "model": str(self.model.directory),
            "training": asdict(self.state),
            "scores": scores,
        }

    def summary(self) -> str:
        """Tell the result: a table, and what to do next."""
        state, name = self.state, self.model.directory
        lines = [
            f"trained {state.step:,} steps, {state.targets:,} values, in {state.seconds:.1f} s"
        ]
        if state.stopped_by == "request":
            lines.append("stopped before the end; the best weights so far are saved, not judged")
        if state.skipped_steps:
            lines.append(f"steps skipped, for want of a finite gradient: {state.skipped_steps:,}")
        scores = self.model.config.get("scores")
        if scores is not None:
            lines += ["", scores_table(scores)]
        horizon = self.model.config["horizon"]
        lines += ["", f"model    {name}"]
        lines += [f"next     charlm series forecast {name} --horizon {horizon} --plot forecast.png"]
        return "\n".join(lines)
