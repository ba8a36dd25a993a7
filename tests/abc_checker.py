"""A strict reader of tunes in ABC 2.1: headers, music and the lengths of bars.

It knows the part of the standard that folk tunes use, and refuses the rest:
https://abcnotation.com/wiki/abc:standard:v2.1
"""

import re
from fractions import Fraction

ONCE = ("X", "T", "M", "L", "K")  # in this order; T may come again, M and L also in the tune
HEADER = frozenset("ABCDFGHILMNOPQRSTXYZ")
INSIDE = frozenset("IKLMNPQRTVY")
KEY = re.compile(r"([A-G][#b]?\s*(m|min|maj|mix|dor|phr|lyd|loc|aeo|ion)?[a-z]*|HP|Hp|none)?")
CHORD = re.compile(r"[A-Ga-g][#b]?[^\"/]*(/[A-Ga-g][#b+]?)?|[_^<>@].*|\([A-G][^\"]*\)")
NOTE = re.compile(r"(?:\^\^|\^|__|_|=)?[A-Ga-g][,']*|[zx]")
LENGTH = re.compile(r"(\d*)(/+\d*)?")
BAR = re.compile(r":*\|+:*\]?|:*\|\]|::+|\[\|:*|:\|:?")
ENDING = re.compile(r"\[?[1-9]([,-][1-9])*")
BROKEN = re.compile(r"<+|>+")
TUPLET = re.compile(r"\(([2-9])(?::(\d?))?(?::(\d?))?")
IN_THE_TIME_OF = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}


class NotAbc(ValueError):
    """A tune breaks the standard; the message says where."""


def tunes_in(text: str) -> list[str]:
    """Cut a tune book at blank lines; what has no X: is no tune."""
    pieces = re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n"))
    return [piece.strip() for piece in pieces if re.search(r"^X:", piece, re.M)]


def check_tune(text: str) -> int:
    """Give the number of bars of a tune; raise NotAbc for what is none."""
    lines = [line.split("%")[0].rstrip() for line in text.strip().splitlines()]
    lines = [line for line in lines if line]
    reader = _Tune()
    music = reader.head(lines)
    for line in lines[music:]:
        if re.match(r"[A-Za-z]:", line):
            reader.field(line)
        else:
            reader.line(line)
    return reader.end()


class _Tune:
    """The state of a reader: the metre, the unit, and what the open bar holds."""

    def __init__(self) -> None:
        self.metre: Fraction | None = None
        self.unit = Fraction(1, 8)
        self.bars: list[tuple[Fraction, Fraction]] = []  # length and metre of each
        self.length = Fraction(0)  # of the open bar
        self.last = Fraction(0)  # of its last note, for > and <
        self.broken = Fraction(0)  # how the next note is scaled by > or <
        self.tuplet = (0, Fraction(1))  # notes that remain, and their scale
        self.open_tie = False

    def head(self, lines: list[str]) -> int:
        """Read the header; give the number of the first line of music."""
        seen: list[str] = []
        for number, line in enumerate(lines):
            if not re.match(r"[A-Za-z]:", line):
                raise NotAbc(f"no header: {line!r}")
            if line[0] not in HEADER | {"K"}:
                raise NotAbc(f"no such header: {line!r}")
            seen.append(line[0])
            self.field(line)
            if line[0] == "K":
                wanted = [name for name in seen if name in ONCE and name != "T"]
                order = [name for name in ("X", "M", "L", "K") if name in seen]
                if seen[:2] != ["X", "T"] or wanted != order or "M" not in seen:
                    raise NotAbc(f"headers not in order: {''.join(seen)}")
                return number + 1
        raise NotAbc("no K:")

    def field(self, line: str) -> None:
        """Read one field."""
        name, value = line[0], line[2:].strip()
        right = {
            "X": r"\d+", "T": r".+", "M": r"\d+/\d+|C\|?|none", "L": r"1/(1|2|4|8|16|32|64)",
            "K": KEY.pattern,
        }.get(name, r".*")  # fmt: skip
        if not re.fullmatch(right, value):
            raise NotAbc(f"no such {name}: {value!r}")
        if name == "L":
            self.unit = Fraction(value)
        elif name == "M":
            self._close()
            if value == "none":
                self.metre = None
            else:
                self.metre = Fraction({"C": "4/4", "C|": "2/2"}.get(value, value))

    def line(self, text: str) -> None:
        """Read one line of music."""
        place = 0
        while place < len(text):
            rest = text[place:]
            used = self._step(rest)
            if not used:
                raise NotAbc(f"not music: {rest[:12]!r}")
            place += used

    def _step(self, rest: str) -> int:
        """Read what comes next; give the number of its characters, 0 for none that is known."""
        if rest[0] in " \t\\~.()-" and not TUPLET.match(rest):
            return 1
        if found := re.match(r'"([^"]*)"', rest):
            if not CHORD.fullmatch(found[1].strip()):
                raise NotAbc(f"no chord: {found[0]}")
            return found.end()
        if found := re.match(r"\[([A-Za-z]):([^\]]*)\]", rest):
            self.field(f"{found[1]}:{found[2]}")
            return found.end()
        if found := re.match(r"![a-zA-Z<>().+]*!|\+[a-z]+\+", rest):
            return found.end()
        if found := TUPLET.match(rest):
            return self._tuplet(found)
        if found := re.match(r"\{[^{}]*\}", rest):
            return found.end()  # grace notes last no time
        if found := BAR.match(rest):
            self._close()
            ending = ENDING.match(rest[found.end() :].lstrip())
            digits = ending is not None and rest[found.end()] != " "
            return found.end() + (ending.end() if digits and ending else 0)
        if found := re.match(r"\[[1-9]([,-][1-9])*", rest):
            return found.end()
        return self._sound(rest)

    def _tuplet(self, found: re.Match[str]) -> int:
        notes = int(found[1])
        time = int(found[2]) if found[2] else IN_THE_TIME_OF.get(notes, 2)
        self.tuplet = (int(found[3]) if found[3] else notes, Fraction(time, notes))
        return found.end()

    def _sound(self, rest: str) -> int:
        """Read a note, a rest or a chord of notes, its length, and a tie or > behind it."""
        if rest[0] == "[":
            found = re.match(r"\[(?:(?:\^\^|\^|__|_|=)?[A-Ga-g][,']*\d*(?:/\d*)?)+\]", rest)
        else:
            found = NOTE.match(rest)
        if found is None:
            return 0
        used = found.end()
        inner = re.search(r"[A-Ga-g][,']*(\d+(?:/\d*)?|/\d*)\]?", found[0])
        length = _length(inner[1]) if rest[0] == "[" and inner else Fraction(1)
        if told := LENGTH.match(rest[used:]):
            length *= _length(told[0])
            used += told.end()
        remaining, scale = self.tuplet
        if remaining:
            length *= scale
            self.tuplet = (remaining - 1, scale)
        if self.broken:
            length *= self.broken
            self.broken = Fraction(0)
        self.length += length * self.unit
        self.last = length * self.unit
        if rest[used : used + 1] == "-":
            used += 1
        if long := BROKEN.match(rest[used:].lstrip()):
            used += rest[used:].index(long[0]) + long.end()
            part = Fraction(1, 2 ** len(long[0]))
            mine, self.broken = (2 - part, part) if long[0][0] == ">" else (part, 2 - part)
            self.length += self.last * (mine - 1)
        return used

    def _close(self) -> None:
        if self.broken or self.tuplet[0]:
            raise NotAbc("a bar ends inside a tuplet, or after > or <")
        if self.length and self.metre is not None:
            self.bars.append((self.length, self.metre))
        self.length = Fraction(0)

    def end(self) -> int:
        """Close the tune: judge its bars, and give their number."""
        self._close()
        if not self.bars:
            raise NotAbc("no music")
        carried = Fraction(0)  # of a bar cut in two by a repeat, or an upbeat
        for number, (length, metre) in enumerate(self.bars):
            if length > metre:
                raise NotAbc(f"bar {number + 1} lasts {length}, the metre is {metre}")
            if length == metre:
                carried = Fraction(0)
                continue
            if carried + length == metre:
                carried = Fraction(0)
            elif carried and number + 1 < len(self.bars) and number:
                raise NotAbc(f"bar {number + 1} lasts {length}, the metre is {metre}")
            else:
                carried = length
        return len(self.bars)


def _length(words: str) -> Fraction:
    found = re.fullmatch(r"(\d*)(/*)(\d*)", words)
    if found is None:
        raise NotAbc(f"no length: {words!r}")
    above = int(found[1] or 1)
    below = int(found[3]) if found[3] else 2 ** len(found[2])
    if not below or not above:
        raise NotAbc(f"no length: {words!r}")
    return Fraction(above, below)
