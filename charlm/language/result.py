"""What a training run gives back, and how it is told."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charlm.evaluation.metrics import Evaluation
from charlm.evaluation.report import evaluation_table
from charlm.language.handle import LanguageModel, load

if TYPE_CHECKING:
    from charlm.training.task import TrainState


@dataclass(frozen=True)
class FitResult:
    """A trained model, its scores and a sample of its text.

    held_out: the score of the held-out text; None where there is none, or training was stopped
    test:     the score of the test text, where one was given
    cut:      bytes of held-out text left unscored, so that the score stayed in its time
    """

    model: LanguageModel
    state: "TrainState"
    held_out: Evaluation | None
    test: Evaluation | None
    sample: str
    cut: int = 0

    def to_json(self) -> dict[str, Any]:
        """Turn it into what JSON can hold."""
        state = asdict(self.state)
        if self.held_out is None:
            state["best_nats"] = None
        return {
            "model": str(self.model.directory),
            "training": state,
            "held_out": None if self.held_out is None else self.held_out.to_json(),
            "held_out_bytes_unscored": self.cut,
            "test": None if self.test is None else self.test.to_json(),
            "sample": self.sample,
        }

    def summary(self) -> str:
        """Tell the result: a table, a sample, and what to do next."""
        state, name = self.state, self.model.directory
        lines = [
            f"trained {state.step:,} steps, {state.targets:,} tokens, in {state.seconds:.1f} s"
        ]
        if state.stopped_by == "request":
            lines.append("stopped before the end; the best weights so far are saved, not scored")
        elif self.held_out is None:
            lines.append("the corpus is too small for a held-out score")
        if self.cut:
            lines.append(
                f"scored on the beginning of the held-out text, to stay in time; {self.cut:,} "
                f"bytes are left (charlm eval {name} scores all)"
            )
        if self.state.skipped_steps:
            lines.append(f"steps skipped, for want of a finite gradient: {state.skipped_steps:,}")
        lines.append("")
        for title, evaluation in (("held-out text", self.held_out), ("test text", self.test)):
            if evaluation is not None:
                lines += [title, evaluation_table(evaluation), ""]
        lines += _writing(self.model.config)
        if self.sample:
            lines += ["sample", self.sample.strip("\n"), ""]
        lines += [f"model    {name}"]
        if state.stopped_by == "request":
            lines.append(f"go on    charlm train --resume --out {name}")
        lines.append(f'next     charlm generate {name} "Your prompt"')
        return "\n".join(lines)


def _writing(config: Mapping[str, Any]) -> list[str]:
    """Tell how fast one stream is written, by the network alone and by the best combination."""
    speeds = (config.get("run") or {}).get("tokens_per_second") or {}
    told = ", ".join(f"{name} {speed:,.0f} tokens/s" for name, speed in speeds.items())
    return [f"writing  {told}", ""] if told else []


def finished_result(directory: Path) -> FitResult:
    """Give what a finished run came to; nothing is changed."""
    from charlm.training.task import TrainState

    model = load(directory)
    run, held_out = model.config["run"], model.config.get("held_out")
    evaluation = None if held_out is None else Evaluation.from_json(held_out)
    state = TrainState(
        step=run["steps"],
        targets=run["targets"],
        seconds=run["seconds"],
        stopped_by=run["stopped_by"],
    )
    return FitResult(model, state, evaluation, None, "")
