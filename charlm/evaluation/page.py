"""A text as a page to look at: every token coloured by how much it surprised. One HTML file.

The page asks for nothing from outside and needs no script to be read; a strict policy in its head
says so to the browser. What the text holds is text there, whatever it looks like. HTML has no
place for the character NUL, of which only the mark is there; all else stands there as it was.
"""

import base64
import hashlib
import heapq
import html
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise

from charlm.evaluation.characters import Unit, shown, units
from charlm.evaluation.colours import LIMITS, SCRIPT, STYLE
from charlm.evaluation.metrics import Evaluation
from charlm.evaluation.tokens import TokenScore

MOST_TOKENS = 500_000  # that a page shows: with more, a browser becomes slow
BLOCK = 200  # tokens, and the rest of their line, that a browser lays out together
WORDS = 12  # most surprising ones that are listed,
CANDIDATES = 5 * WORDS  # of so many places: a word may be there several times
LONGEST_WORD = 40  # characters

_MARKED = re.compile("[\0-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_CONTROLS = (  # names of the characters from U+0000 to U+001F, as ISO 646 has them
    "NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI "
    "DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US"
)
_MARKS = {chr(code): name for code, name in enumerate(_CONTROLS.split())} | {"\x7f": "DEL"}
_EDGES = re.compile(r"^\W+|\W+$")  # of a word


@dataclass
class _Body:
    """The text as HTML, in blocks that end where a line does, and what was met on the way."""

    blocks: list[str] = field(default_factory=list)
    classes: list[int] = field(default_factory=lambda: [0] * (len(LIMITS) + 1))  # tokens of each
    tokens: int = 0
    first_guesses: int = 0

    def __post_init__(self) -> None:
        self._block: list[str] = []
        self._word: list[Unit] = []
        self._words: list[tuple[float, int, str]] = []  # bits, number, text; a heap
        self._number = 0
        self._begins = False  # a document, which is not the first

    def add(self, unit: Unit) -> None:
        """Take the next unit."""
        if unit.text[:1].isspace():
            self._end_word()
        self._word.append(unit)
        kind = _kind(unit.bits)
        self._block.append(f'<span class=b{kind} title="{unit.title}">{escaped(unit.text)}</span>')
        self.classes[kind] += len(unit.tokens)
        self.tokens += len(unit.tokens)
        self.first_guesses += sum(token.rank == 1 for token in unit.tokens)
        if unit.text[-1:].isspace():
            self._end_word()
            if unit.text[-1] == "\n" and len(self._block) >= BLOCK:
                self._end_block()

    def end_document(self) -> None:
        """Begin anew: what comes next belongs to another text."""
        self._end_word()
        self._end_block()
        self._begins = bool(self.blocks)

    def words(self) -> list[tuple[float, int, str]]:
        """Give bits, number and text of the most surprising words, each of them once."""
        once: dict[str, tuple[float, int, str]] = {}
        for found in sorted(self._words, key=lambda found: (-found[0], found[1])):
            once.setdefault(found[2].casefold(), found)
        return list(islice(once.values(), WORDS))

    def _end_word(self) -> None:
        """Give the word a number, which a link can lead to, if it is among the most surprising."""
        text = "".join(unit.text for unit in self._word).strip()
        text = _EDGES.sub("", text) or text
        bits = sum(unit.bits for unit in self._word)
        full = len(self._words) == CANDIDATES
        if 0 < len(text) <= LONGEST_WORD and not (full and bits <= self._words[0][0]):
            self._number += 1
            add = heapq.heappushpop if full else heapq.heappush
            add(self._words, (bits, self._number, text))
            place = len(self._block) - len(self._word)
            named = f"<span id=w{self._number}"
            self._block[place] = self._block[place].replace("<span", named, 1)
        self._word = []

    def _end_block(self) -> None:
        if self._block:
            start = "<div class=next>" if self._begins else "<div>"
            self.blocks.append(f"{start}{''.join(self._block)}</div>")
            self._begins = False
        self._block = []


def page(
    scores: Iterable[TokenScore | None], evaluation: Evaluation, model: str, text: str
) -> Iterator[bytes]:
    """Give the page of a text piece by piece; together they are one UTF-8 file of HTML.

    scores:     of the tokens of the text, None between documents; no more than MOST_TOKENS are
                asked for and shown
    evaluation: of the whole text, whose numbers stand above it
    model, text: their names
    """
    body = _Body()
    for unit in units(islice(scores, MOST_TOKENS)):
        if unit is None:
            body.end_document()
        else:
            body.add(unit)
    yield _head(f"{text}, as read by {model}").encode()
    yield _summary(body, evaluation, model, text).encode()
    yield _scale(body).encode()
    yield _words(body).encode()
    yield b'</header>\n<main tabindex=0 lang="" aria-label="The text">'
    for block in body.blocks:
        yield block.encode()
    hint = (
        "Point at the text, or step through it with \u2190 \u2192, "
        f"and with n and p to what took {LIMITS[4]:.0f} bits or more"
    )
    yield f"</main>\n<output hidden>{hint}</output>\n<script>{SCRIPT}</script>\n".encode()
    yield b"</body>\n</html>\n"


def escaped(text: str) -> str:
    """Write text as HTML; what is not to be seen in it, line ends among it, gets a mark."""
    return _MARKED.sub(_marked, html.escape(text, quote=False))


def _marked(match: re.Match[str]) -> str:
    character = match.group()
    if character == "\n":
        return "<u>\n</u>"
    mark = _MARKS.get(character) or f"U+{ord(character):04X}"
    plain = {"\0": "", "\r": "&#13;"}.get(character, character)  # a plain CR would become LF
    return f"<u data-c={mark}>{plain}</u>"


def _head(title: str) -> str:
    policy = (
        f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return f"""<!doctype html>
<html lang=en>
<head>
<meta charset=utf-8>
<meta http-equiv=Content-Security-Policy content="{policy}">
<meta name=viewport content="width=device-width,initial-scale=1">
<meta name=referrer content=no-referrer>
<title>{escaped_name(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
"""


def _summary(body: _Body, evaluation: Evaluation, model: str, text: str) -> str:
    perplexities = evaluation.token_perplexity, evaluation.word_perplexity
    rows = [
        ("bits per byte", evaluation.bits_per_byte and f"{evaluation.bits_per_byte:.4f}"),
        ("token perplexity", perplexities[0] and shown(perplexities[0])),
        ("word perplexity", perplexities[1] and shown(perplexities[1])),
        ("tokens", f"{evaluation.tokens:,}"),
        ("bytes", f"{evaluation.bytes:,}"),
        ("unknown tokens", f"{evaluation.unknown_tokens:,}" if evaluation.unknown_tokens else None),
        ("first guess right", f"{body.first_guesses / max(body.tokens, 1):.1%}"),
    ]
    numbers = "".join(f"<div><dt>{name}<dd>{value}</div>" for name, value in rows if value)
    cut = ""
    if body.tokens < evaluation.tokens:
        cut = (
            f"<p class=cut>The page ends after the first {body.tokens:,} of "
            f"{evaluation.tokens:,} tokens: with more it would be too large for a browser. Words "
            "and shares are of these; the other numbers are of the whole text.</p>\n"
        )
    return (
        f"<h1><bdi>{escaped_name(text)}</bdi>, as read by <bdi>{escaped_name(model)}</bdi></h1>\n"
        f"<p>Predictor: {escaped_name(evaluation.predictor)}</p>\n<dl>{numbers}</dl>\n{cut}"
    )


def _scale(body: _Body) -> str:
    """Explain the colours: for each class its bits, their probability, its share of the tokens."""
    edges = ["0", "\u00bd", *(f"{limit:.0f}" for limit in LIMITS[1:])]
    ranges = [f"{low}\u2013{high}" for low, high in pairwise(edges)]
    ranges = [f"{each} bit{'s' if number > 1 else ''}" for number, each in enumerate(ranges)]
    ranges.append(f"{edges[-1]}+ bits")
    chances = ["p \u2265 0.71", *(f"p \u2265 1/{2**limit:,.0f}" for limit in LIMITS[1:]), "rarer"]
    items = [
        f"<li><b class=b{number}>{name}</b><small>{chance}<br>"
        f"{body.classes[number] / max(body.tokens, 1):.1%} of tokens</small>"
        for number, (name, chance) in enumerate(zip(ranges, chances, strict=True))
    ]
    return f"<h2>Surprise of a token</h2>\n<ul class=scale>{''.join(items)}</ul>\n"


def _words(body: _Body) -> str:
    found = body.words()
    if not found:
        return ""
    items = "".join(
        f"<li><a href=#w{number}><bdi>{escaped(word)}</bdi></a> <small>{bits:.0f} bits</small>"
        for bits, number, word in found
    )
    return f"<h2>Most surprising words</h2>\n<ol class=words>{items}</ol>\n"


def escaped_name(name: str) -> str:
    """Write a name as HTML in one line; what is not to be seen in it becomes an escape."""
    return html.escape("".join(c if c.isprintable() else repr(c)[1:-1] for c in name))


def _kind(bits: float) -> int:
    return bisect_right(LIMITS, bits)


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
