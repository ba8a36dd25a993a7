"""Numbers as people write them: missing ones, thousands, decimal commas."""

import re
from collections.abc import Sequence

import numpy as np

from charlm.errors import CorpusError

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?", ".", "missing"})
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")  # 1,234,567.8
COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+")  # 1234,5 and 1.234,5
LARGEST = 1e100  # squares of larger ones are no numbers any more


def numbers_of(words: Sequence[str], separator: str, where: str) -> list[float | None]:
    """Read words as numbers, NaN where one is missing, None where it is none.

    separator: of the table. Between commas a comma in a number parts thousands; elsewhere it is
    the decimal mark. Raises CorpusError where it may be either.
    """
    plain = [_plain(word) for word in words]
    if None in plain:
        commas = [word.strip() for word, number in zip(words, plain, strict=True) if number is None]
        in_thousands = all(THOUSANDS.fullmatch(word) for word in commas)
        if separator != "," and in_thousands and all("." not in word for word in commas):
            raise CorpusError(
                f"{where} holds '{commas[0]}': that may be a decimal comma, or thousands",
                "write the numbers with a decimal point and nothing between thousands",
            )
        plain = [
            _with_commas(word, separator) if number is None else number
            for word, number in zip(words, plain, strict=True)
        ]
    return plain


def is_missing(word: str) -> bool:
    """Tell whether a word stands for no value."""
    return word.strip().lower() in MISSING


def is_number(word: str) -> bool:
    """Tell whether a word is a number without any comma."""
    return _plain(word) is not None


def _plain(word: str) -> float | None:
    if is_missing(word):
        return np.nan
    try:
        number = float(word)
    except ValueError:
        return None
    return number if np.isfinite(number) else np.nan


def _with_commas(word: str, separator: str) -> float | None:
    word = word.strip()
    if separator == "," or not COMMA.fullmatch(word):
        return float(word.replace(",", "")) if THOUSANDS.fullmatch(word) else None
    return float(word.replace(".", "").replace(",", "."))
