"""Kinds of characters: those that a regular expression cannot tell apart.

All characters, in the order of their code points, are cut at the borders of each set, escape and
literal in the expression; those in the same of them are of one kind. To cut too often does no harm.
A place is where a character stands among all but the surrogates, which no text holds.
"""

import math
import re
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from charlm.errors import UsageError

SURROGATES = range(0xD800, 0xE000)
ESCAPE = re.compile(
    r"\\([NpP]\{[^}]*\}|[pP]\w|x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[0-7]{1,3}|.|$)", re.S
)
LINE_ENDS = "\n\r\v\f\x85\u2028\u2029"
# what \b, \X and the flag w look at beside the character itself
CLUSTERS = (
    r"\p{GCB=CN} \p{GCB=EX} \p{GCB=PP} \p{GCB=SM} \p{GCB=L} \p{GCB=V} \p{GCB=T} \p{GCB=LV} "
    r"\p{GCB=LVT} \p{GCB=ZWJ} \p{GCB=RI} \p{InCB=Linker} \p{InCB=Consonant} \p{InCB=Extend} "
    r"\p{Extended_Pictographic}"
)
WORDS = (
    r"\p{WB=EX} \p{WB=FO} \p{WB=HL} \p{WB=KA} \p{WB=LE} \p{WB=ML} \p{WB=MN} \p{WB=MB} "
    r"\p{WB=NU} \p{WB=SQ} \p{WB=DQ} \p{WB=RI} \p{WB=ZWJ} \p{WB=WSegSpace}"
)


class CharacterKinds:
    """The kinds of characters that an expression tells apart.

    pattern:  of the package `regex`, which knows it to be right
    compiled: the same, by that package
    seconds:  of a processor that they may take to find; then UsageError is raised
    """

    def __init__(self, pattern: str, compiled: Any, seconds: float = math.inf) -> None:  # noqa: ANN401
        end = time.thread_time() + seconds
        turns: dict[int, int] = {0: 0}  # the sets that begin or end at a place, as bits
        for number, spans in enumerate(_sets(pattern, compiled.flags, end)):
            for border in (border for span in spans for border in span):
                turns[border] = turns.get(border, 0) ^ (1 << number)
        self._starts, self._kinds, kind = sorted(turns), list[int](), 0
        for start in self._starts:
            kind ^= turns[start]
            self._kinds.append(kind)
        self._known: dict[bytes, str] = {}

    def beginning(self, pending: bytes) -> str:
        """Give one character of each kind among those whose UTF-8 begins with some bytes."""
        if pending not in self._known:
            low, high = _places(pending)
            pieces = range(bisect_right(self._starts, low) - 1, bisect_left(self._starts, high))
            found: dict[int, str] = {}
            for piece in pieces if low < high else ():
                found.setdefault(self._kinds[piece], _all()[max(self._starts[piece], low)])
            self._known[pending] = "".join(found.values())
        return self._known[pending]


def has_flag(pattern: str, flag: str) -> bool:
    """Tell whether an expression sets a flag, as "i", for itself or for a part of it."""
    return re.search(rf"\(\?[a-zA-Z\d]*{flag}", pattern) is not None


def alike(characters: Iterable[str]) -> set[str]:
    """Give the characters that may match some, or a part of them, where case is ignored."""
    return set().union(*map(_alike, characters))


def first_beginning(pending: bytes) -> str:
    """Give the first character whose UTF-8 begins with some bytes; "" where none does."""
    low, high = _places(pending)
    return _all()[low] if low < high else ""


def _sets(pattern: str, flags: int, end: float) -> Iterator[list[tuple[int, int]]]:
    """Give sets of characters as places from and to, which together tell all kinds."""
    any_case = has_flag(pattern, "i")
    # a comment may look like a set, and letters of a set match others where case is ignored
    overlapping = any_case or "#" in pattern
    atoms = dict.fromkeys(_until(end, _atoms(pattern, flags, overlapping=overlapping)))
    literals = {atom for atom in atoms if len(atom) == 1 and atom != "."}
    classes = [r"\w", *(atom for atom in atoms if atom not in literals and atom != r"\X")]
    classes += CLUSTERS.split() if r"\X" in pattern else ()
    classes += WORDS.split() if has_flag(pattern, "w") else ()
    for atom in _until(end, classes):
        for more in (0, int(re.IGNORECASE))[: 1 + any_case]:
            spans = _spans(atom, flags & ~re.IGNORECASE | more)
            if sum(end - start for start, end in spans) == 1:
                literals.add(_all()[spans[0][0]])
            yield spans
    for character in (alike(literals) if any_case else literals).union(LINE_ENDS):
        if ord(character) not in SURROGATES:
            place = ord(character) - len(SURROGATES) * (ord(character) >= SURROGATES.stop)
            yield [(place, place + 1)]


def _until(end: float, some: Iterable[str]) -> Iterator[str]:
    """Give each, until this thread has taken a processor for so many seconds in all."""
    for each in some:
        if time.thread_time() > end:
            raise UsageError("its sets of characters take too long to tell apart", "use fewer")
        yield each


def _atoms(pattern: str, flags: int, *, overlapping: bool) -> Iterator[str]:
    """Give the escapes, whole sets and single characters of an expression."""
    place = 0
    while place < len(pattern):
        atom, escape = pattern[place], ESCAPE.match(pattern, place)
        if escape:
            atom = escape[0]
        elif atom == "[":
            atom = _set_at(pattern, place, flags)
        yield atom
        place += 1 if overlapping else len(atom)


def _set_at(pattern: str, start: int, flags: int) -> str:
    """Give the set that begins at a bracket: the least that is an expression; else the bracket."""
    end = pattern.find("]", start)
    while end >= 0:
        if _compiled(pattern[start : end + 1], flags):
            return pattern[start : end + 1]
        end = pattern.find("]", end + 1)
    return pattern[start]


def _spans(atom: str, flags: int) -> list[tuple[int, int]]:
    """Give the places from and to of the characters that an expression alone matches."""
    compiled = _compiled(f"(?-f:{atom})+", flags)
    found = (match.span() for match in compiled.finditer(_all())) if compiled else ()
    return [(start, end) for start, end in found if start < end]


def _compiled(atom: str, flags: int) -> Any:  # noqa: ANN401
    """Compile a part of an expression; None if it is none by itself."""
    import regex

    try:
        return regex.compile(atom, flags)
    except regex.error:
        return None


@lru_cache(maxsize=1)
def _all() -> str:
    points = np.r_[0 : SURROGATES.start, SURROGATES.stop : 0x110000].astype("<u4")
    return str(points.tobytes(), "utf-32-le")


@lru_cache(maxsize=4096)
def _places(pending: bytes) -> tuple[int, int]:
    """Give the places from and to of the characters whose UTF-8 begins with some bytes."""
    if not pending:
        return 0, len(_all())
    after = pending[:-1] + bytes([pending[-1] + 1])
    low, high = (bisect_left(_all(), edge, key=str.encode) for edge in (pending, after))
    return low, high


def _folded(character: str) -> set[str]:
    return set((character + character.upper()).casefold())


@lru_cache(maxsize=4096)
def _alike(character: str) -> set[str]:
    parts = _folded(character)
    wholes = {whole for part in parts for whole in _cased().get(part, "")}
    known = {character, *parts, *wholes}
    # the package may know of more letters than Python
    simple = _compiled(f"(?-f:[{re.escape(''.join(known))}])", re.IGNORECASE)
    return known.union(simple.findall("".join(_cased().values())))


@lru_cache(maxsize=1)
def _cased() -> dict[str, str]:
    """Give, for each folded character, those that it is a part of when they are folded."""
    found: dict[str, str] = {}
    for start, end in _spans(r"[\p{CWCM}\p{CWCF}]", 0):
        for character in _all()[start:end]:
            for part in _folded(character):
                found[part] = found.get(part, "") + character
    return found
