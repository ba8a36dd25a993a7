"""Reading tokenizer.json: its kind is told from its own structure, and nothing is trusted."""

import json
from pathlib import Path
from typing import Any

import tokenizers

from charlm.errors import ModelError
from charlm.text.alphabets import ByteTokenizer, CharTokenizer
from charlm.text.pretokens import PRETOKEN
from charlm.text.symbols import BOUNDARY, BYTE_SYMBOLS, END_OF_LINE, UNKNOWN
from charlm.text.tokenizers import Tokenizer
from charlm.text.vocabularies import BpeTokenizer, ClosedTokenizer, WordTokenizer

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
        value = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise ModelError(f"{where} is not valid JSON: {fault}") from fault
    kind = _kind(value)
    if kind is None:
        raise ModelError(
            f"{where} is not a tokenizer that charlm made",
            "charlm reads only its own; train one with --tokenizer byte|char|word|bpe",
        )
    wrong = _fault(value, kind)
    if wrong is not None:
        raise ModelError(f"{where} is damaged: {wrong}")
    tokenizer: Tokenizer = kind(_parse(text, where))
    if tokenizer.to_json() != text:
        raise ModelError(f"{where} is not as charlm writes it: the library reads it differently")
    return tokenizer


def _kind(value: Any) -> type[Any] | None:  # noqa: ANN401
    """Tell the kind from model and decoder; None for anything that is not charlm's."""
    model = value.get("model") if isinstance(value, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
        return None
    if model.get("type") == "WordLevel":
        return ClosedTokenizer
    if model.get("type") != "BPE" or not isinstance(value.get("decoder"), dict):
        return None
    if value["decoder"].get("type") == "ByteLevel":
        return BpeTokenizer if value["pre_tokenizer"].get("type") == "Sequence" else ByteTokenizer
    if model.get("byte_fallback") is not True:
        return None
    return WordTokenizer if model.get("ignore_merges") is True else CharTokenizer


def _fault(value: dict[str, Any], kind: type[Any]) -> str | None:
    """Find what would make the tokenizer's ids wrong."""
    vocabulary = value["model"]["vocab"]
    if value.get("added_tokens"):
        return "it has added_tokens, which text could forge"
    if sorted(map(str, vocabulary.values())) != sorted(map(str, range(len(vocabulary)))):
        return "its ids are not 0, 1, 2, ..."
    needed = [END_OF_LINE, UNKNOWN] if kind is ClosedTokenizer else [BOUNDARY]
    if kind in (CharTokenizer, WordTokenizer):
        needed += BYTE_SYMBOLS
    for symbol in needed:
        if symbol not in vocabulary:
            return f"the symbol {symbol} is missing"
    if kind in (CharTokenizer, WordTokenizer):
        first = vocabulary[BYTE_SYMBOLS[0]]
        if [vocabulary[symbol] - first for symbol in BYTE_SYMBOLS] != list(range(256)):
            return "its bytes are out of order"
    rules = json.dumps(value["pre_tokenizer"])
    if kind in (WordTokenizer, BpeTokenizer) and json.dumps(PRETOKEN) not in rules:
        return "it cuts words by another rule"
    return None


def _parse(text: str, where: str) -> tokenizers.Tokenizer:
    """Let the library read it; its Rust code may panic, which is no Exception in Python."""
    try:
        return tokenizers.Tokenizer.from_str(text)
    except BaseException as fault:
        if isinstance(fault, Exception) or type(fault).__name__ == "PanicException":
            raise ModelError(f"{where} is damaged: {fault}") from None
        raise
