r"""Pre-tokens: how word and BPE tokenizers cut a text before they look anything up.

A pre-token is white space, or a word or a run of punctuation with the single space before it. The
classes are spelled out as ranges, so that the expression means the same to Python's `re` and to
the Oniguruma engine inside `tokenizers`, whatever Unicode version either knows.

Joined again the pre-tokens are the text. Since none mixes letters with punctuation, neither
"<|endoftext|>" nor "<0x41>" is ever one: text cannot forge a control or byte symbol.
"""

import re

MAX_LENGTH = 64  # characters of one pre-token; longer runs are cut

# White space as str.isspace has it, without line ends.
BLANKS = "\t\x0b\x0c\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
LINE_ENDS = "\r\n"
# Those that are not the space, one by one, and those of them that are ASCII.
ODD_BLANKS = [c for c in map(chr, range(0x3001)) if c.isspace() and c not in f" {LINE_ENDS}"]
_ODD_ASCII = [blank for blank in ODD_BLANKS if blank.isascii()]
APOSTROPHES = "'\u2019"
# Punctuation and symbols: ASCII's, Latin-1's, and the blocks that hold nothing else.
PUNCTUATION = (
    "\x00-\x08\x0e-\x1b!-/:-@\\[-\\^`{-\x84\x86-\x9f\xa1-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\xd7\xf7"
    "\u2010-\u2027\u202a-\u202e\u2030-\u205e\u2060-\u206f\u20a0-\u20cf\u2190-\u2bff"
    "\u3001-\u3004\u3008-\u3020\u3030\ufe10-\ufe6f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40"
    "\uff5b-\uff65\uffe0-\uffff\U0001f000-\U0001faff"
)
WORD = f"[^{BLANKS}{LINE_ENDS}{PUNCTUATION}]"

PRETOKEN = (
    f" ?{WORD}{{1,{MAX_LENGTH}}}(?:[{APOSTROPHES}]{WORD}{{1,{MAX_LENGTH}}})?"
    f"| ?[{PUNCTUATION}]{{1,{MAX_LENGTH}}}"
    f"|[{LINE_ENDS}]{{1,{MAX_LENGTH}}}"
    f"|[{BLANKS}]{{1,{MAX_LENGTH}}}(?=[{BLANKS}{LINE_ENDS}])"
    f"|[{BLANKS}]"
)
_PRETOKEN = re.compile(PRETOKEN)
_SEPARATOR = re.compile(f" (?<![{BLANKS}] )")

# A whole word, with the apostrophes inside it; and what of one stands at the end of a text, with
# the space before it.
WORD_PATTERN = re.compile(f"{WORD}+(?:[{APOSTROPHES}]{WORD}+)*")
TYPED_PATTERN = re.compile(f" ?{WORD_PATTERN.pattern}[{APOSTROPHES}]?\\Z| \\Z")

find_pretokens = _PRETOKEN.findall

# The last pre-token of a piece may go on in the next, and so may the blanks before it.
SAFE_TAIL = 4 * MAX_LENGTH + 8

# What follows a place that is safe to cut at is longer than any safe tail.
BLOCK = 1 << 13  # characters cut at once: one odd blank does not make a long text slow
MANY = 64  # a block has many runs of spaces if there is one in so many characters
_TAIL = SAFE_TAIL + 2 * (MAX_LENGTH + 1)

MAX_WORD = 1000  # characters of the longest white-space piece that can be in a closed vocabulary


def complete_pretokens(buffer: str) -> tuple[list[str], str]:
    """Cut what is certain of a text that will go on; give the rest to put before its next piece."""
    if len(buffer) <= SAFE_TAIL:
        return [], buffer
    found = find_pretokens(buffer)
    length = 0
    while length < SAFE_TAIL:
        length += len(found.pop())
    return found, buffer[-length:]


def find_chunks(text: str) -> list[str]:
    """Cut at spaces that no blank precedes, and leave them out: faster than to find pre-tokens.

    Whatever stands around it, a chunk holds the pre-tokens of " " + chunk, the first chunk those
    of itself. So a chunk met before need not be looked into again.
    """
    chunks: list[str] = []
    start = 0
    while len(text) - start > BLOCK:
        end = _separator(text, start, start + BLOCK)
        if end < 0:
            break
        chunks += _cut_block(text[start:end])
        start = end + 1
    chunks += _cut_block(text[start:])
    return chunks


def complete_chunks(buffer: str) -> tuple[str, str]:
    """Cut a text that will go on at the last space that certainly separates chunks.

    The first part is empty where there is none.
    """
    index = max(_separator(buffer, 0, max(len(buffer) - _TAIL, 0)), 0)
    return buffer[:index], buffer[index:]


def _separator(text: str, start: int, end: int) -> int:
    """Find the last space of text[start + 1 : end] that stands alone; -1 where there is none."""
    index = text.rfind(" ", start + 1, end)
    while index > 0 and (text[index - 1].isspace() or text[index + 1].isspace()):
        index = text.rfind(" ", start + 1, index)
    return index


def _cut_block(text: str) -> list[str]:
    """Cut a block into chunks: quickly unless it has odd blanks or is full of long runs."""
    odd = _ODD_ASCII if text.isascii() else ODD_BLANKS
    if any(blank in text for blank in odd) or text.count("   ") * MANY > len(text):
        return _SEPARATOR.split(text)
    pieces = text.split(" ")
    end = len(pieces)
    pieces.append("")  # so that another is always found
    chunks, start = pieces[:1], 1
    while start <= end:
        run = pieces.index("", start)
        chunks += pieces[start:run]
        start = run + 1
        if run < end:  # all spaces of a run but the first belong to what comes after
            while start < end and not pieces[start]:
                start += 1
            start += 1
            chunks.append(" ".join(pieces[run : min(start, end)]))
    return chunks


def complete_words(buffer: str) -> tuple[str, str]:
    """Hold back the white-space piece that a text ends in, since it may go on.

    Of a piece too long for any vocabulary only the beginning is held: it is as unknown.
    """
    held = 0 if not buffer or buffer[-1].isspace() else len(buffer.rsplit(maxsplit=1)[-1])
    start = len(buffer) - held
    return buffer[:start], buffer[start : start + MAX_WORD + 1]
