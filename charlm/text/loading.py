"""Reading tokenizer.json: it is rebuilt from its vocabulary, and must mean what was written.

So nothing in the file is trusted: not its rules, not its ids, not its added tokens.
"""

import json
from pathlib import Path
from typing import Any

import tokenizers

from charlm.errors import ModelError
from charlm.text.alphabets import make_byte_tokenizer, make_char_tokenizer
from charlm.text.symbols import BYTE_SYMBOLS
from charlm.text.tokenizers import Tokenizer
from charlm.text.vocabularies import (
    make_bpe_tokenizer,
    make_closed_tokenizer,
    make_word_tokenizer,
)

FIXED = len(BYTE_SYMBOLS) + 1  # bytes and boundary, at the end of spelled vocabularies
MAX_BYTES = 256 * 1024 * 1024


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer.json that charlm wrote; raise ModelError with what is wrong with it."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ModelError(f"{path} is too large to be a tokenizer ({size:,} bytes)")
        text = path.read_text(encoding="utf-8")
    except OSError as fault:
        raise ModelError(f"cannot read {path}: {fault.strerror}") from fault
    except UnicodeDecodeError as fault:
        raise ModelError(f"{path} is not UTF-8 (offset {fault.start})") from fault
    return tokenizer_from_json(text, str(path))


def tokenizer_from_json(text: str, where: str) -> Tokenizer:
    """Make a tokenizer of its JSON; `where` names it in the ModelError raised otherwise."""
    try:
        tokenizer = _rebuild(json.loads(text))
        same = tokenizer is not None and _means_the_same(text, tokenizer.to_json())
    except BaseException as fault:
        # whatever a foreign file does to this code, it is the file's fault; the library's Rust
        # code may even panic, which is no Exception in Python
        if not isinstance(fault, Exception) and type(fault).__name__ != "PanicException":
            raise
        raise ModelError(f"{where} is damaged or not a tokenizer of charlm's: {fault}") from None
    if tokenizer is None or not same:
        raise ModelError(
            f"{where} is not as charlm writes it",
            "charlm reads only its own; train one with --tokenizer byte|char|word|bpe",
        )
    tokenizer.keep_json(text)
    return tokenizer


def _means_the_same(text: str, rebuilt: str) -> bool:
    """Compare what the library makes of a file: its versions write the same in several forms."""
    return text == rebuilt or tokenizers.Tokenizer.from_str(text).to_str(pretty=True) == rebuilt


def _rebuild(value: Any) -> Tokenizer | None:  # noqa: ANN401
    """Make the tokenizer anew from its vocabulary; None if it is of no kind we know."""
    model, decoder = value["model"], value["decoder"]
    symbols = sorted(model["vocab"], key=model["vocab"].__getitem__)
    if model["type"] == "WordLevel":
        return make_closed_tokenizer(symbols)
    if decoder["type"] == "ByteLevel":
        if value["pre_tokenizer"]["type"] == "ByteLevel":
            return make_byte_tokenizer()
        return make_bpe_tokenizer([(left, right) for left, right in model["merges"]])
    if not model["byte_fallback"]:
        return None
    make = make_word_tokenizer if model.get("ignore_merges") else make_char_tokenizer
    return make(symbols[:-FIXED])
