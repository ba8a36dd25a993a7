"""A survey of a corpus: its size, its odd characters, its line ends and its repeated lines."""

import codecs
from dataclasses import dataclass, field

from charlm.text.repetition import LineCutter, LineSample, digest
from charlm.text.sources import Corpus
from charlm.text.units import UnitCounter, Units

SAMPLE = 2_000_000  # characters kept, to estimate what tokenizers make of the text
CONTROLS = [chr(code) for code in (*range(1, 9), 11, 12, *range(14, 32), 127)]
RARE_ENDS = ("\x85", "\u2028", "\u2029")


@dataclass
class LineEnds:
    """How often lines end in which way."""

    lf: int = 0
    crlf: int = 0
    cr: int = 0
    other: int = 0  # next line, line separator, paragraph separator

    def kinds(self) -> list[str]:
        """Name those that the text has."""
        return [name for name, count in vars(self).items() if count]


@dataclass
class Survey:
    """What one walk over a corpus found in its text."""

    documents: int = 0
    units: Units = field(default_factory=Units)
    zero_characters: int = 0
    control_characters: int = 0
    line_ends: LineEnds = field(default_factory=LineEnds)
    longest_line: int = 0
    lines: LineSample = field(default_factory=LineSample)
    seen: set[int] = field(default_factory=set)  # lines of the text looked for that it has
    sample: str = ""


def survey(corpus: Corpus, looked_for: LineSample | None = None) -> Survey:
    """Walk over a corpus once; note which of the lines `looked_for` it has."""
    found, cutter, counter = Survey(), LineCutter(), UnitCounter()
    sample: list[str] = []
    kept = 0
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    ends_in_cr = False
    wanted = {} if looked_for is None else looked_for.counts
    for piece in corpus.pieces():
        text = decoder.decode(piece.text) if isinstance(piece.text, bytes) else piece.text
        if piece.starts_document:
            found.documents += 1
            found.units += counter.total()
            counter, ends_in_cr = UnitCounter(), False
        counter.add(piece.text)
        _count_characters(found, text, ends_in_cr)
        ends_in_cr = text.endswith("\r")
        for line in cutter.push(text, piece.starts_document):
            _note_line(found, line, wanted)
        if kept < SAMPLE:
            sample.append(text[: SAMPLE - kept])
            kept += len(sample[-1])
    for line in cutter.flush():
        _note_line(found, line, wanted)
    found.units += counter.total()
    found.longest_line, found.sample = cutter.longest, "".join(sample)
    return found


def _note_line(found: Survey, line: str, wanted: dict[int, int]) -> None:
    if not line or line.isspace():
        return
    number = digest(line)
    found.lines.add(number)
    if number in wanted:
        found.seen.add(number)


def _count_characters(found: Survey, text: str, after_cr: bool) -> None:
    found.zero_characters += text.count("\0")
    if not text.isprintable():
        found.control_characters += sum(map(text.count, CONTROLS))
    ends = found.line_ends
    pairs, feeds, returns = text.count("\r\n"), text.count("\n"), text.count("\r")
    ends.crlf += pairs
    ends.lf += feeds - pairs
    ends.cr += returns - pairs
    if after_cr and text.startswith("\n"):  # the pair was cut in two
        ends.crlf, ends.lf, ends.cr = ends.crlf + 1, ends.lf - 1, ends.cr - 1
    if not text.isascii():
        ends.other += sum(map(text.count, RARE_ENDS))
