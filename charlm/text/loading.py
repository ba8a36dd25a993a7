"""Reading tokenizer.json: it is rebuilt from its vocabulary, and must mean what was written.

So nothing in the file is trusted: not its rules, not its ids, not its added tokens.
"""

import json
import stat
from pathlib import Path
from typing import Any

import tokenizers

from charlm.errors import ModelError
from charlm.text.alphabets import make_byte_tokenizer, make_char_tokenizer
from charlm.text.symbols import BYTE_SYMBOLS, BYTE_TO_CHARACTER
from charlm.text.tokenizers import Tokenizer
from charlm.text.vocabularies import (
    make_bpe_tokenizer,
    make_closed_tokenizer,
    make_word_tokenizer,
)

FIXED = len(BYTE_SYMBOLS) + 1  # bytes and boundary, at the end of spelled vocabularies
MAX_BYTES = 64 * 1024 * 1024  # a million words and their merges take half of it
MAX_RULES = 64 * 1024  # of the file without its vocabulary and merges
WITHOUT: dict[str, Any] = {
    "added_tokens": [],
    "truncation": None,
    "padding": None,
    "post_processor": None,
}


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer.json that charlm wrote; raise ModelError with what is wrong with it."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):  # a pipe would never end
            raise ModelError(f"{path} is not a regular file")
        if facts.st_size > MAX_BYTES:
            raise ModelError(f"{path} is too large to be a tokenizer ({facts.st_size:,} bytes)")
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
        tokenizer = _rebuild(value)
        same = tokenizer is not None and _means_the_same(text, value, tokenizer.to_json())
    except BaseException as fault:
        # whatever a foreign file does to this code, it is the file's fault; the library's Rust
        # code may even panic, which is no Exception in Python
        if not isinstance(fault, Exception) and type(fault).__name__ != "PanicException":
            raise
        raise ModelError(
            f"{where} is damaged or not a tokenizer of charlm's: {_in_short(fault)}"
        ) from None
    if tokenizer is None or not same:
        raise ModelError(
            f"{where} is not as charlm writes it",
            "charlm reads only its own; train one with --tokenizer byte|char|word|bpe",
        )
    tokenizer.keep_json(text)
    return tokenizer


def _in_short(fault: BaseException) -> str:
    """Give one line that says what went wrong, however long a foreign file made it."""
    line, *_ = [*str(fault).splitlines(), ""]
    return f"{type(fault).__name__} {ascii(line)[:200]}"


def _means_the_same(text: str, value: Any, rebuilt: str) -> bool:  # noqa: ANN401
    """Compare what the library makes of a file: its versions write the same in several forms.

    The library sees a foreign file only when its vocabulary and merges are known to be ours and
    the rest is short and free of what we never write: its Rust code trusts all of them.
    """
    if text == rebuilt:
        return True
    ours = json.loads(rebuilt)
    merges = [_pair(merge) for merge in value["model"].get("merges", [])]
    if value["model"]["vocab"] != ours["model"]["vocab"]:
        return False
    if merges != [_pair(merge) for merge in ours["model"].get("merges", [])]:
        return False
    if any(value.get(name, absent) != absent for name, absent in WITHOUT.items()):
        return False
    model = {name: value["model"][name] for name in value["model"].keys() - {"vocab", "merges"}}
    rules, own = value | {"model": model}, ours | {"model": {"type": ours["model"]["type"]}}
    if _types(rules) != _types(own) or len(json.dumps(rules)) > MAX_RULES:
        return False
    return tokenizers.Tokenizer.from_str(text).to_str(pretty=True) == rebuilt


def _types(rules: Any) -> set[str]:  # noqa: ANN401
    """Name every kind of rule that stands in a file; those we never write have known panics."""
    inner = rules.values() if isinstance(rules, dict) else rules if isinstance(rules, list) else []
    found = set().union(*[_types(value) for value in inner if isinstance(value, dict | list)])
    return found | ({str(rules["type"])} if isinstance(rules, dict) and "type" in rules else set())


def _rebuild(value: Any) -> Tokenizer | None:  # noqa: ANN401
    """Make the tokenizer anew from its vocabulary; None if it is of no kind we know."""
    model, decoder = value["model"], value["decoder"]
    symbols = sorted(model["vocab"], key=model["vocab"].__getitem__)
    if model["type"] == "WordLevel":
        return make_closed_tokenizer(symbols)
    if decoder["type"] == "ByteLevel":
        if value["pre_tokenizer"]["type"] == "ByteLevel":
            return make_byte_tokenizer()
        merges = [_pair(merge) for merge in model["merges"]]
        return make_bpe_tokenizer(merges) if _build_on_each_other(merges) else None
    if not model["byte_fallback"]:
        return None
    make = make_word_tokenizer if model.get("ignore_merges") else make_char_tokenizer
    return make(symbols[:-FIXED])


def _pair(merge: Any) -> tuple[str, str]:  # noqa: ANN401
    """Read a merge; older versions of the library wrote its two symbols with a space between."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    if not isinstance(left, str) or not isinstance(right, str):
        raise TypeError("a merge is not of two symbols")
    return left, right


def _build_on_each_other(merges: list[tuple[str, str]]) -> bool:
    """Tell whether each merge joins two symbols that are bytes or earlier merges."""
    known = set(BYTE_TO_CHARACTER)
    for left, right in merges:
        if left not in known or right not in known:
            return False
        known.add(left + right)
    return True
