"""Compressing with a model: any bytes, by what one of its predictors expects of them.

It is the proof of a score: the bits that a predictor reports are the bits that the text takes, and
some 60 bytes more for what decoding must know. Who decodes needs the same model.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from charlm import storage
from charlm.compression.codec import Passed, decode, encode, fingerprint
from charlm.compression.container import MODEL_BYTES, Header, content_digest, pack, unpack
from charlm.compression.machine import description, differences, one_thread
from charlm.errors import CorpusError, ModelError, UsageError
from charlm.language.combination import (
    ADAPT,
    CACHE,
    COUNTS,
    NAMES,
    NETWORK,
    PARTS,
    read_combination,
)
from charlm.language.counts import COUNTS as COUNTS_FILE
from charlm.language.directory import TOKENIZER, WEIGHTS
from charlm.options import check
from charlm.runs.files import CONFIG

if TYPE_CHECKING:
    from charlm.language.handle import LanguageModel


@dataclass(frozen=True)
class Compressed:
    """What compressing came to. model_bytes: of the files without which nothing is decoded."""

    bytes: int
    compressed_bytes: int
    model_bytes: int
    predictor: str
    seconds: float

    @property
    def bits_per_byte(self) -> float | None:
        """Bits of the compressed file for each byte of the original."""
        return 8 * self.compressed_bytes / self.bytes if self.bytes else None

    def to_json(self) -> dict[str, Any]:
        """Give it as plain data."""
        return vars(self) | {"bits_per_byte": self.bits_per_byte, "seconds": round(self.seconds, 3)}

    def line(self) -> str:
        """Give it as a line for people."""
        bits = self.bits_per_byte
        rate = "" if bits is None else f", {bits:.3f} bits per byte"
        return (
            f"{self.bytes:,} -> {self.compressed_bytes:,} bytes{rate}, by {self.predictor} "
            f"(its model has {self.model_bytes:,} bytes)"
        )


def silent(size: int) -> None:
    """Hear of progress and do nothing."""


def compress(model: "LanguageModel", data: bytes, passed: Passed = silent) -> bytes:
    """Compress any bytes; `passed` is told of the bytes that are done, token by token.

    Raises UsageError for the closed word form, which cannot give a text back.
    """
    tokenizer, name = model.tokenizer, model.name
    check(isinstance(data, bytes), f"bytes are compressed, not {data!r:.60}", "encode a text first")
    if not tokenizer.lossless:
        raise UsageError(
            "this model cannot give a text back: its words are the closed form, with <unk>",
            "compress with one trained by --unknown spell, or --tokenizer byte, char or bpe",
        )
    if name.endswith(ADAPT) or model.parts.memory is not None:
        raise UsageError(
            "what a model has adapted to or read before is not in a compressed file",
            "compress without --adapt, and with a model that was loaded without a state",
        )
    with one_thread():  # from the making of the predictor on
        predictor = model.fresh_predictor(name)
        header = Header(
            model=model_digest(model, name),
            predictor=_number(name),
            fingerprint=fingerprint(predictor),
            content=content_digest(data),
            length=len(data),
            machine=description(),
        )
        return pack(header, encode(data, tokenizer, predictor, passed))


def decompress(
    model: "LanguageModel",
    data: bytes,
    passed: Passed = silent,
    where: str = "the compressed data",
) -> bytes:
    """Give the bytes that were compressed with this model; `where` names them in errors.

    Raises CorpusError for what is damaged, no such file, or was compressed where arithmetic has
    other results, and ModelError where it was compressed with another model.
    """
    check(isinstance(data, bytes | bytearray), f"decompress takes bytes, not {data!r:.40}")
    header, payload = unpack(bytes(data), where)
    name = _name(header.predictor)
    if name is None:
        raise CorpusError(f"{where} asks for a predictor that this charlm does not have")
    with one_thread():
        has_it = name == NETWORK or model.combination is not None
        if not has_it or model_digest(model, name) != header.model:
            raise ModelError(
                f"{where} was not compressed with the model in {model.directory}",
                f"it needs the very same files, and its predictor '{name}'",
            )
        predictor = model.fresh_predictor(name)
        if fingerprint(predictor) != header.fingerprint:
            raise _other_arithmetic(where, header)
        result = decode(payload, header.length, model.tokenizer, predictor, passed)
    if len(result) != header.length or content_digest(result) != header.content:
        raise _other_arithmetic(where, header)
    return result


def left_out(model: "LanguageModel") -> str | None:
    """Say that what was tuned later does not count here, where scores do count it."""
    name, counted, trained = model.name, model.parts.combination, read_combination(model.config)
    if counted is None or trained is None or name.endswith(ADAPT):
        return None
    flatness = counted.flatness == trained.flatness or CACHE not in name
    if flatness and counted.row(name) == trained.row(name):
        return None
    return (
        "compressed by the shares that training found; eval counts those that charlm adapt found, "
        "and tells other bits"
    )


def claimed_length(data: bytes, where: str) -> int:
    """Give the length that a compressed file says its original has; CorpusError if it is none."""
    return unpack(data, where)[0].length


def model_digest(model: "LanguageModel", name: str) -> bytes:
    """Name a model and one of its predictors by what it computes with: 6 bytes of a SHA-256.

    What else a model directory tells, of its training for example, may change; what was tuned
    later counts for nothing here.
    """
    files = [WEIGHTS, COUNTS_FILE] if COUNTS in name else [WEIGHTS]
    combination = read_combination(model.config)
    facts = {
        "network": model.config["network"],
        "tokenizer": model.tokenizer.sha256(),
        "files": {file: storage.file_sha256(model.directory / file) for file in files},
        "shares": combination.row(name) if combination else [],
        "flatness": combination.flatness if combination and CACHE in name else 0,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()[:MODEL_BYTES]


def model_bytes(model: "LanguageModel", name: str) -> int:
    """Give the size of the files that a predictor is made from."""
    files = [CONFIG, WEIGHTS, TOKENIZER] + ([COUNTS_FILE] if COUNTS in name else [])
    return sum((model.directory / file).stat().st_size for file in files)


def _number(name: str) -> int:
    """Number a predictor by its parts: 1 network, 2 counts, 4 cache."""
    return sum(1 << PARTS.index(part) for part in name.split("+"))


def _name(number: int) -> str | None:
    """Give the predictor of a number; None where there is none."""
    return next((name for name in NAMES if _number(name) == number), None)


def _other_arithmetic(where: str, header: Header) -> CorpusError:
    """Say that it cannot be decoded here, and what is not as it was there."""
    found = differences(header.machine, description())
    return CorpusError(
        f"{where} cannot be decoded here: the model's numbers have other last digits than where "
        "it was compressed",
        f"it needs the same machine and build: {'; '.join(found)}"
        if found
        else "NumPy and processor go by the same names; its BLAS library may be another",
    )
