"""The form of a compressed file: what it needs, then the coder's bytes, then a checksum of both.

bytes   what
4       MAGIC
1       format, 1
6       of the SHA-256 that names model and predictor
1       the predictor, as `charlm.language.compressing` numbers them
4       the fingerprint of the predictor's arithmetic (`codec.fingerprint`)
8       of the original's SHA-256
1 - 9   its length: 7 bits a byte, low ones first, the last below 128
1 + n   n and the machine's description, ASCII
...     the coder's bytes
4       CRC-32 of all before it, high byte first
"""

import hashlib
import struct
import zlib
from dataclasses import dataclass

from charlm.errors import CorpusError

MAGIC = b"\xffCLM"
FORMAT = 1
MODEL_BYTES, CONTENT_BYTES, FINGERPRINT_BYTES = 6, 8, 4
_FIXED = struct.Struct(f">4sB{MODEL_BYTES}sB{FINGERPRINT_BYTES}s{CONTENT_BYTES}s")
_CRC = struct.Struct(">I")
_MAX_DIGITS = 9  # of a length: up to 2^63


@dataclass(frozen=True)
class Header:
    """What a compressed file needs to be decoded, and what must come out.

    model, predictor, fingerprint: which model, which of its predictors, what that computes
    content, length: of the original
    machine: that compressed it
    """

    model: bytes
    predictor: int
    fingerprint: bytes
    content: bytes
    length: int
    machine: str


def content_digest(data: bytes) -> bytes:
    """Give what a header holds of the original's SHA-256."""
    return hashlib.sha256(data).digest()[:CONTENT_BYTES]


def pack(header: Header, payload: bytes) -> bytes:
    """Write a compressed file."""
    fixed = _FIXED.pack(
        MAGIC, FORMAT, header.model, header.predictor, header.fingerprint, header.content
    )
    machine = header.machine.encode("ascii", "replace")[:255]
    body = b"".join([fixed, _digits(header.length), bytes([len(machine)]), machine, payload])
    return body + _CRC.pack(zlib.crc32(body))


def unpack(data: bytes, where: str) -> tuple[Header, bytes]:
    """Read a compressed file: its header and the coder's bytes.

    Raises CorpusError, in which `where` names the file, for any other file and for a damaged one.
    """
    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        raise CorpusError(f"{where} is not a file that charlm compress wrote")
    if len(data) > len(MAGIC) and data[len(MAGIC)] != FORMAT:
        raise CorpusError(
            f"{where} has the format {data[len(MAGIC)]}; this charlm reads format {FORMAT}",
            "another version of charlm wrote it",
        )
    body, checksum = data[: -_CRC.size], data[-_CRC.size :]
    if len(body) < _FIXED.size or _CRC.pack(zlib.crc32(body)) != checksum:
        raise CorpusError(
            f"{where} is cut off or damaged: its checksum fails", "copy it again from where it came"
        )
    _, _, model, predictor, fingerprint, content = _FIXED.unpack_from(body)
    digits = body[_FIXED.size : _FIXED.size + _MAX_DIGITS]
    size = next((place for place, digit in enumerate(digits, 1) if digit < 128), 0)
    at = _FIXED.size + size
    end = at + 1 + (body[at] if at < len(body) else 0)
    if not size or end > len(body):
        raise CorpusError(f"{where} is not as charlm compress writes it")
    length = sum((digit & 127) << (7 * place) for place, digit in enumerate(digits[:size]))
    machine = body[at + 1 : end].decode("ascii", "replace")
    return Header(model, predictor, fingerprint, content, length, machine), body[end:]


def _digits(number: int) -> bytes:
    """Write a whole number below 2^63, 7 bits a byte, low ones first."""
    digits = []
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    return bytes([*digits, number])
