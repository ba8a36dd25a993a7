"""What is tuned: a space of options, a training run for each choice of them, a score to make small.

The search knows no more of it than this, so that words and series can be tuned by the same one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TextIO

from charlm.runs.dialogue import Stop
from charlm.tuning.space import Space, Values

Options = dict[str, Any]
Report = Callable[[float, float], None]  # the share of the budget that is used, and the score then


@dataclass(frozen=True)
class Outcome:
    """What a trial came to.

    score: in the objective's unit; the smaller the better
    costs: of the stretches it was scored on, of text or of rows, the same for all trials, and
    units: their sizes: costs over units is the score; so that two trials can be compared in pairs
    keep:  writes what was trained into the trial's directory
    """

    score: float
    costs: list[float] = field(default_factory=list)
    units: list[int] = field(default_factory=list)
    keep: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Wording:
    """How what trials are scored on is called.

    corpus:  what is learned from, as in "another text"
    scored:  "this text": what an interval speaks of
    short:   why there is no interval, where there is none
    warning: the winner was chosen by its score: a sentence
    """

    corpus: str
    scored: str
    short: str
    warning: str


TEXT = Wording(
    corpus="text",
    scored="this text",
    short="the held-out text is too short",
    warning="the best score was chosen on the held-out text, and so is a little flattering: a text "
    "that no trial was scored on tells more",
)
ROWS = Wording(
    corpus="series",
    scored="these rows",
    short="the rows to steer by are too few",
    warning="the best score was chosen on the rows to steer by, and so is a little flattering: the "
    "rows kept back behind them, which no trial has seen, tell more",
)


class Objective(Protocol):
    """What a search makes small.

    name:    of the study, after the corpus
    unit:    of the score
    wording: of what is told
    """

    name: str
    unit: str
    wording: Wording

    def identity(self) -> dict[str, Any]:
        """Give, as plain data, all that must be equal for scores to compare."""

    def space(self) -> Space:
        """Give what is searched, what is fixed left out."""

    def settle(self, known: dict[str, Any] | None) -> dict[str, Any]:
        """Measure and choose what all trials share, as plain data; or take what is `known`."""

    def keep(self, directory: Path) -> None:
        """Put what all trials share and `settle` cannot give into the study's directory, once."""

    def options(self, values: Values, repeat: int) -> Options:
        """Give what a trial is, in the words of the command line, as plain data.

        repeat: 0 for the usual seed, 1 for another, and so on
        Raises UsageError where the values do not go together.
        """

    def train(
        self,
        options: Options,
        directory: Path,
        report: Report,
        stop: Stop,
        stream: TextIO | None,
    ) -> Outcome | None:
        """Train one trial in a directory of its own; None where it was asked to stop.

        Raises DivergedError or OutOfMemoryError where such options cannot be trained, UsageError
        where they do not go together.
        """

    def told(self, values: Values) -> str:
        """Give a trial's values in a few words."""

    def command(self, options: Options | None) -> str:
        """Give the command that trains what an outcome's options say; None is charlm's own plan."""

    def train_longer(
        self,
        options: Options | None,
        minutes: float | None,
        out: str | None,
        progress: TextIO | None,
        stop: Stop,
    ) -> tuple[dict[str, Any], str]:
        """Train the same once more; give the result as plain data and as a text for people.

        minutes: for so long; None for the budget of a trial
        """
