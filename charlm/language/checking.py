"""Checking a corpus before training: what is in it, what is odd in it, what training would take."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from charlm.language.corpus import open_texts
from charlm.language.estimate import Estimate, estimate
from charlm.language.request import TrainRequest
from charlm.text.finding import standard_input
from charlm.text.sources import ReadReport
from charlm.text.survey import Survey, survey

MANY_REPEATED = 0.2  # share of lines that come again above which a user is warned
MUCH_OVERLAP = 0.01  # share of the held-out lines that training sees, likewise
LONG_LINE = 1_000_000


@dataclass(frozen=True)
class CorpusCheck:
    """What a corpus holds, and what training on it would take.

    repeated_lines: share of the lines, blank ones aside, that stood in the corpus before
    overlap:        share of the held-out file's lines that are in the corpus; None without one
    sampled:        whether these two are estimated from a sample of the lines
    """

    report: ReadReport
    survey: Survey
    repeated_lines: float
    overlap: float | None
    sampled: bool
    training: Estimate

    def warnings(self) -> list[str]:
        """Say in sentences what a user should know before training."""
        return [*self.report.lines(), *self._about_lines(), *self._about_learning()]

    def to_json(self) -> dict[str, Any]:
        """Give everything as plain data."""
        report, found = self.report, self.survey
        return {
            "files": report.files,
            "documents": found.documents,
            **asdict(found.units),
            "bytes_read": report.bytes,
            "rows": report.rows,
            "broken_rows": report.broken_rows,
            "broken": report.broken,
            "skipped": report.skipped,
            "invalid_bytes": report.invalid_bytes,
            "first_invalid": report.first_invalid,
            "byte_order_marks": report.byte_order_marks,
            "nul_characters": found.zero_characters,
            "control_characters": found.control_characters,
            "line_ends": asdict(found.line_ends),
            "longest_line": found.longest_line,
            "repeated_lines": self.repeated_lines,
            "overlap": self.overlap,
            "sampled": self.sampled,
            "training": asdict(self.training),
            "warnings": self.warnings(),
        }

    def _about_lines(self) -> list[str]:
        found, told = self.survey, []
        if found.control_characters:
            told.append(
                f"{found.control_characters:,} control characters (other than NUL, tab and line "
                "ends) are in the text; they are kept"
            )
        if len(found.line_ends.kinds()) > 1:
            kinds = ", ".join(f"{n:,} {name.upper()}" for name, n in vars(found.line_ends).items())
            told.append(f"line ends are mixed ({kinds}); they are kept")
        if found.longest_line > LONG_LINE:
            told.append(f"the longest line has {found.longest_line:,} characters")
        if self.repeated_lines > MANY_REPEATED:
            told.append(f"{self.repeated_lines:.0%} of the lines stood in the text before")
        if self.overlap is not None and self.overlap > MUCH_OVERLAP:
            told.append(
                f"{self.overlap:.0%} of the held-out lines are in the training text as well: "
                "scores on them say little about new text"
            )
        return told

    def _about_learning(self) -> list[str]:
        if self.overlap is None and self.training.held_out_bytes == 0:
            return ["the text is too small for a held-out score"]
        return []


def check_corpus(paths: Sequence[str], request: TrainRequest) -> CorpusCheck:
    """Walk over a corpus once, in memory that does not grow with it.

    Raises CorpusError for what training would refuse.
    """
    with ExitStack() as corpora:
        corpus, valid = open_texts(paths, request, corpora, standard_input())
        held_out = None if valid is None else survey(valid).lines
        found = survey(corpus, held_out)
        if (not found.units.words and not corpus.options.raw) or not found.units.bytes:
            raise corpus.nothing_in_it()
        return CorpusCheck(
            report=corpus.report(),
            survey=found,
            repeated_lines=found.lines.repeated_share(),
            overlap=None if held_out is None else held_out.share_in(found.seen),
            sampled=found.lines.sampled or (held_out is not None and held_out.sampled),
            training=estimate(found.units, found.sample, request, valid is not None),
        )
